package socketbridge

import (
	"context"
	"maps"
	"slices"
)

// maxChangedKeys bounds the keys that one call of an OnSessionChange handler reports. A
// session has fewer keys, but a slow socket may have missed many changes.
const maxChangedKeys = 1024

// changedKeys coalesces session changes that a socket's handlers have not been notified
// of.
type changedKeys struct {
	keys map[string]struct{} // nil if there are no changes
	many bool                // more than maxChangedKeys: any key may have changed
}

func (c *changedKeys) add(keys []string) {
	if c.keys == nil {
		c.keys = make(map[string]struct{}, len(keys))
	}
	for _, key := range keys {
		if c.keys[key] = struct{}{}; len(c.keys) > maxChangedKeys {
			c.many = true
		}
	}
	if c.many {
		clear(c.keys)
	}
}

// reset returns the sorted keys and forgets them. nil means that any key may have
// changed.
func (c *changedKeys) reset() []string {
	keys := slices.Sorted(maps.Keys(c.keys))
	if c.many {
		keys = nil
	}
	*c = changedKeys{}
	return keys
}

// OnSessionChange adds a handler that is called after values of the socket's session
// have changed: by an HTTP request, by this or another socket, or on another node. keys
// are the keys that were set or deleted, in sorted order. If more than 1024 keys changed,
// keys is nil, and any key may have changed. Socket.Session already has the
// new values.
//
// The handler runs in the order of the socket's events, after the events that arrived
// earlier. Changes until then are coalesced into one call. What the handler changes in
// Socket.Session is saved when it returns (except in SessionManual), and reported in
// another call if it makes a difference.
func (s *Socket) OnSessionChange(fn func(keys []string)) {
	needFunc("Socket.OnSessionChange", fn != nil)
	s.updateHooks(func(h *hooks) { h.change = with(h.change, fn) })
}

// OnSessionChange adds a handler, for all sockets of the namespace, that is called after
// values of a socket's session have changed. See Socket.OnSessionChange. It returns n.
func (n *Namespace) OnSessionChange(fn func(s *Socket, keys []string)) *Namespace {
	needFunc("OnSessionChange", fn != nil)
	return n.update(func(s *settings) { s.change = with(s.change, fn) })
}

// sessionChanged queues a notification that keys changed. It runs on the goroutine that
// changed them.
func (s *Socket) sessionChanged(keys []string) {
	s.mu.Lock()
	// A connecting socket has no handlers yet, but connection handlers can add them.
	wanted := s.state.Load() == connecting || s.state.Load() == connected && len(s.settings.change)+len(s.hooks.Load().change) > 0
	first := wanted && s.changes.keys == nil
	if wanted {
		s.changes.add(keys)
	}
	s.mu.Unlock()
	if first {
		s.inbox.pushStep(s.notifyChange)
	}
}

// notifyChange calls the OnSessionChange handlers. It is a step of the socket's life.
func (s *Socket) notifyChange() {
	s.mu.Lock()
	keys, fns := s.changes.reset(), s.hooks.Load().change
	over := s.state.Load() != connected || s.expelled
	s.mu.Unlock()
	if over || s.sessionError() != nil {
		return
	}
	for _, fn := range s.settings.change {
		s.guard("OnSessionChange", func() { fn(s, slices.Clone(keys)) })
	}
	for _, fn := range fns {
		s.guard("OnSessionChange", func() { fn(slices.Clone(keys)) })
	}
	if err := s.saveLifeStep(context.Background()); err != nil {
		s.report(&changesLostNotice, "OnSessionChange", "handler", "OnSessionChange", "error", err)
	}
}
