package socketbridge

import (
	"maps"
	"slices"
	"sync/atomic"
)

// Handler handles an event. As a middleware, it calls p.Next to run the next one, like a
// Fiber handler. An error ends the packet: it is passed to the socket's error handlers,
// or logged if there are none. A client that waits for an answer gets an error answer;
// see EventError.
type Handler func(p *Packet) error

// chain is what one call of On adds: middlewares and a handler. It is never empty.
type chain []Handler

// newChain returns the chain that a method is given. It panics without handlers, if one is
// nil, and for an event that would never be handled.
func newChain(method, event string, handlers []Handler) chain {
	if len(handlers) == 0 {
		panic("socketbridge: " + method + " needs a handler")
	}
	checkEvent(method, event)
	needFuncs(method, handlers...)
	return handlers
}

// is reports whether two chains come from the same call. Functions cannot be compared, but
// each call has its own slice.
func (c chain) is(other chain) bool { return len(c) == len(other) && &c[0] == &other[0] }

// once returns the chain for one event: it calls off before its first run, and does nothing
// in the runs of events that are handled at the same time.
func (c chain) once(off func()) chain {
	var ran atomic.Bool
	return slices.Insert(slices.Clone(c), 0, Handler(func(p *Packet) error {
		if ran.Swap(true) {
			return nil
		}
		off()
		return p.Next()
	}))
}

// withChain returns a copy of m with one more chain for event. Concurrent readers of m
// are not disturbed.
func withChain(m map[string][]chain, event string, c chain) map[string][]chain {
	next := make(map[string][]chain, len(m)+1)
	maps.Copy(next, m)
	next[event] = with(next[event], c)
	return next
}

// withoutChain returns a copy of m without a chain for event, or without all of them if c is
// nil.
func withoutChain(m map[string][]chain, event string, c chain) map[string][]chain {
	next := maps.Clone(m)
	if left := withoutOne(next[event], c); len(left) > 0 {
		next[event] = left
	} else {
		delete(next, event)
	}
	return next
}

// withoutOne returns a copy of list without c, or nil if c is nil.
func withoutOne(list []chain, c chain) []chain {
	if c == nil {
		return nil
	}
	if i := slices.IndexFunc(list, c.is); i >= 0 {
		return slices.Delete(slices.Clone(list), i, i+1)
	}
	return list
}

// with returns a copy of list with more appended. Concurrent readers of list are not
// disturbed.
func with[T any](list []T, more ...T) []T { return append(list[:len(list):len(list)], more...) }
