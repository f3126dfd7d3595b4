package socketbridge

import "github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"

// Handler handles an event, or stands before a handler as a middleware: then it
// goes on with p.Next, as Fiber's own handlers do. An error ends the packet: it
// goes to the socket's error handlers, or to the log when there are none, and a client
// that asked for an answer and has none is told: see EventError.
type Handler func(p *Packet) error

// chain is what one call of On adds: middlewares and a handler.
type chain []Handler

// withChain returns m with one more chain for event. It copies: readers of the old
// map are not disturbed.
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
	old := next[event]
	next[event] = append(old[:len(old):len(old)], handlers)
	return next
}

// with returns list with more at its end, and leaves list alone.
func with[T any](list []T, more ...T) []T { return append(list[:len(list):len(list)], more...) }
