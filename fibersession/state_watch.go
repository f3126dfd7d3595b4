package fibersession

import (
	"slices"
	"sync/atomic"
)

// Event is news of a session, from anywhere on this node.
type Event struct {
	Kind EventKind
	// Keys are the keys whose values changed, of Changed.
	Keys []string
	// Cause is why the session ended, of Ended: an error that is ErrSessionGone.
	Cause error
}

// EventKind says what happened.
type EventKind uint8

const (
	// Changed: values were stored, or stored values of another node were seen.
	Changed EventKind = iota + 1
	// Renewed: the session has a new ID.
	Renewed
	// Ended: the session is gone. It is the last event.
	Ended
)

// watchers tells of a session's events in their order, one call at a time.
type watchers struct {
	list      []*watcher
	events    []Event
	notifying bool
}

type watcher struct {
	fn      func(Event)
	stopped atomic.Bool
}

// note queues an event. It is called with the state locked; tell delivers.
func (s *state) queueEvent(e Event) {
	if len(s.watch.list) > 0 {
		s.watch.events = append(s.watch.events, e)
	}
}

// tell delivers what was noted, on the caller's goroutine and with no lock held,
// unless another goroutine (or a watcher up the stack) is about it already. Of a state
// that yielded it delivers what the one in charge has noted.
func (s *state) notify() {
	s.mu.Lock()
	if s.watch.notifying {
		s.mu.Unlock()
		return
	}
	s.watch.notifying = true
	defer func() { // also when fn panics: the next event is told again
		s.watch.notifying = false
		yielded := s.forward.Load() != nil
		if yielded {
			s.moveWatchers()
		}
		s.mu.Unlock()
		if yielded {
			s.resolve().notify()
		}
	}()
	for len(s.watch.events) > 0 && s.forward.Load() == nil {
		e := s.watch.events[0]
		s.watch.events = s.watch.events[1:]
		for _, w := range slices.Clone(s.watch.list) {
			if w.stopped.Load() {
				continue // stopped by one before it
			}
			s.unlocked(func() { w.fn(e) })
		}
	}
}

// handOver gives those who watch a state that yielded to the one in charge, when none
// of them is being told: they hear in what that one differs. It is called with s locked.
func (s *state) moveWatchers() {
	list, events := s.watch.list, s.watch.events
	s.watch.list, s.watch.events = nil, nil
	if len(list) == 0 {
		return
	}
	to := s.resolve()
	for to.mu.Lock(); to.forward.Load() != nil; to.mu.Lock() {
		to.mu.Unlock()
		to = s.resolve()
	}
	defer to.mu.Unlock()
	to.watch.list = append(to.watch.list, slices.DeleteFunc(list, func(w *watcher) bool {
		return w.stopped.Load() // it stopped when it was in neither list
	})...)
	to.watch.events = append(to.watch.events, events...)
	if to.ended != nil {
		to.queueEvent(Event{Kind: Ended, Cause: to.ended})
	} else if keys := changedKeys(s.cur.values, to.cur.values); len(keys) > 0 {
		to.queueEvent(Event{Kind: Changed, Keys: keys})
	}
	to.schedule()
}

// unlocked runs fn with the state unlocked.
func (s *state) unlocked(fn func()) {
	s.mu.Unlock()
	defer s.mu.Lock()
	fn()
}

func (s *state) addWatcher(fn func(Event)) (stop func()) {
	w := &watcher{fn: fn}
	s.mu.Lock()
	if other := s.forward.Load(); other != nil { // just now
		s.mu.Unlock()
		return other.addWatcher(fn)
	}
	s.watch.list = append(s.watch.list, w)
	s.schedule()
	s.mu.Unlock()
	return func() {
		w.stopped.Store(true)
		now := s.resolve()
		now.mu.Lock()
		defer now.mu.Unlock()
		if i := slices.Index(now.watch.list, w); i >= 0 {
			now.watch.list = slices.Delete(now.watch.list, i, i+1)
		}
		if len(now.watch.list) == 0 {
			now.schedule()
		}
	}
}
