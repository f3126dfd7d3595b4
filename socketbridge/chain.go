package socketbridge

import "github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"

// Handler handles an event. As a middleware, it calls p.Next to run the next one, like a
// Fiber handler. An error ends the packet: it is passed to the socket's error handlers,
// or logged if there are none. A client that waits for an answer gets an error answer;
// see EventError.
type Handler func(p *Packet) error

// chain is what one call of On adds: middlewares and a handler.
type chain []Handler

// withChain returns a copy of m with one more chain for event. Concurrent readers of m
// are not disturbed.
func withChain(m map[string][]chain, event string, handlers []Handler) map[string][]chain {
	if len(handlers) == 0 {
		panic("socketbridge: On needs a handler")
	}
	if siopacket.Reserved(event) {
		panic("socketbridge: event name " + event + " is reserved; use OnConnection, OnDisconnecting or OnDisconnect")
	}
	next := make(map[string][]chain, len(m)+1)
	for k, v := range m {
		next[k] = v
	}
	next[event] = with(next[event], chain(handlers))
	return next
}

// with returns a copy of list with more appended. Concurrent readers of list are not
// disturbed.
func with[T any](list []T, more ...T) []T { return append(list[:len(list):len(list)], more...) }
