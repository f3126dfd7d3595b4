package socketbridge

import (
	"maps"
	"slices"
)

// maxNews is how many keys a socket is told at most to have changed at once. A
// session has fewer, but a socket that is slow may have missed many.
const maxNews = 1024

// news are changes of a session that a socket's handlers are still to be told: one
// set of keys, however many changes there were.
type news struct {
	keys map[string]struct{} // nil: there are none
	many bool                // more than maxNews: any key may have changed
}

func (n *news) add(keys []string) {
	if n.keys == nil {
		n.keys = make(map[string]struct{}, len(keys))
	}
	for _, key := range keys {
		if n.keys[key] = struct{}{}; len(n.keys) > maxNews {
			n.many = true
		}
	}
	if n.many {
		clear(n.keys)
	}
}

// take returns the keys in order; nil means any.
func (n *news) take() []string {
	keys := slices.Sorted(maps.Keys(n.keys))
	if n.many {
		keys = nil
	}
	*n = news{}
	return keys
}

// OnSessionChange adds a handler that is told when values of the socket's session
// have changed: by an HTTP request, by this socket or another one, or on another node.
// keys are those that were set or deleted, in order. It runs as an event of the socket
// does, never at the same time as another: after the events that came before. What
// changes until then is told together; nil keys mean that it was too much to tell, and
// any key may have changed. The session itself needs no refreshing.
//
// What the handler changes in Socket.Session is saved when it returns (but in
// SessionManual) and, when that makes a difference, told again.
func (s *Socket) OnSessionChange(fn func(keys []string)) {
	s.hook(func(h *hooks) { h.change = with(h.change, fn) })
}

// OnSessionChange adds a handler for all sockets of the namespace that is told when
// values of a socket's session have changed. See Socket.OnSessionChange. It returns n.
func (n *Namespace) OnSessionChange(fn func(s *Socket, keys []string)) *Namespace {
	return n.set(func(s *settings) { s.change = with(s.change, fn) })
}

// changed notes that keys changed, on the goroutine of who changed them.
func (s *Socket) changed(keys []string) {
	s.mu.Lock()
	// While it connects its handlers are still to come.
	wanted := s.state == connecting || s.state == connected && len(s.settings.change)+len(s.hooks.change) > 0
	first := wanted && s.news.keys == nil
	if wanted {
		s.news.add(keys)
	}
	s.mu.Unlock()
	if first {
		s.inbox.step(s.tellChange)
	}
}

// tellChange is a step of the socket's life.
func (s *Socket) tellChange() {
	s.mu.Lock()
	keys, fns := s.news.take(), s.hooks.change
	over := s.state != connected || s.lapsed
	s.mu.Unlock()
	if over || s.current() != nil {
		return
	}
	for _, fn := range s.settings.change {
		s.guard("OnSessionChange", func() { fn(s, slices.Clone(keys)) })
	}
	for _, fn := range fns {
		s.guard("OnSessionChange", func() { fn(slices.Clone(keys)) })
	}
	if err := s.saveAfterConnect(); err != nil {
		s.log().Warn("socketbridge: what a handler of a session's change changed was not saved", "error", err)
	}
}
