package fibersession

import (
	"reflect"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// Fiber's session hands out its own maps, slices and pointers. Apps change them in place and
// call Save without another Set. A request's Session therefore remembers each reference that
// it shares with the app, and Save looks for changes behind it. Handles do not: other
// goroutines may be using what they return.

// lentValue is a value with references that the app has.
type lentValue struct {
	shared any // what the app has, and may change
	base   any // the session's own copy of it, immutable
}

// lend returns what the app gets for the value of key. A second call returns the same
// references, so that the app finds its changes again.
func (s *Session) lend(h *Handle, key string) any {
	base := h.peek(key)
	if !codec.HasReferences(base) {
		return base
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.lent[key]; ok && reflect.DeepEqual(l.base, base) {
		return l.shared
	}
	v := codec.CopyOut(base)
	s.recordLent(key, lentValue{shared: v, base: base})
	return v
}

// borrow records that the app gave v to Set, and may still change it.
func (s *Session) borrow(h *Handle, key string, v any) {
	if !codec.HasReferences(v) {
		s.forgetLent(key)
		return
	}
	base := h.peek(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recordLent(key, lentValue{shared: v, base: base})
}

// recordLent remembers a value that the app has. The caller holds s.mu.
func (s *Session) recordLent(key string, l lentValue) {
	if s.lent == nil {
		s.lent = make(map[string]lentValue)
	}
	s.lent[key] = l
}

func (s *Session) forgetLent(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lent, key)
}

// collectLent sets the keys whose values the app changed in place.
func (s *Session) collectLent(h *Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.lent {
		if reflect.DeepEqual(l.shared, l.base) {
			continue
		}
		now := codec.CopyIn(l.shared)
		if reflect.DeepEqual(now, l.base) {
			continue // they differ in what is not stored, such as unexported fields
		}
		h.Set(key, now)
		s.lent[key] = lentValue{shared: l.shared, base: now}
	}
}
