// Events of a session and the functions that watch for them.

package fibersession

import (
	"slices"
	"sync/atomic"
)

// Event is a change of a session, caused on this node or seen by it.
type Event struct {
	Kind EventKind
	// Keys are the keys whose values changed, if Kind is Changed.
	Keys []string
	// Cause is why the session ended, if Kind is Ended. It is an ErrSessionGone.
	Cause error
}

// EventKind is the kind of an Event.
type EventKind uint8

const (
	// Changed: values were stored by this node, or by another node and seen here.
	Changed EventKind = iota + 1
	// Renewed: the session has a new ID.
	Renewed
	// Ended: the session has ended. It is the last event.
	Ended
)

// watchers delivers a session's events to the watching functions in order, one call at a
// time.
type watchers struct {
	list      []*watcher
	events    []delivery // that wait for notify
	notifying bool
	current   *delivery // that notify works on; nil between events
}

// delivery is an event on its way to the watchers.
type delivery struct {
	event Event
	left  []*watcher // that have not got it; set by notify. It shares memory with watchers.list.
}

// remove removes w from the list. The caller holds state.mu.
func (ws *watchers) remove(w *watcher) {
	i := slices.Index(ws.list, w)
	if i < 0 {
		return
	}
	if ws.current != nil { // notify still reads the old list
		ws.list = slices.Clone(ws.list)
	}
	ws.list = slices.Delete(ws.list, i, i+1)
}

// next removes and returns a watcher that has not got the event, or nil. The caller holds
// state.mu.
func (d *delivery) next() *watcher {
	for d != nil && len(d.left) > 0 {
		next := d.left[0]
		d.left = d.left[1:]
		if !next.stopped.Load() { // by an earlier function that got the event
			return next
		}
	}
	return nil
}

type watcher struct {
	fn      func(Event)
	stopped atomic.Bool
}

// queueEvent queues an event for notify to deliver. The caller holds s.mu.
func (s *state) queueEvent(e Event) {
	if len(s.watch.list) > 0 {
		s.watch.events = append(s.watch.events, delivery{event: e})
	}
}

// notify delivers the queued events on the caller's goroutine, with no lock held. It
// returns at once if another goroutine, or a caller further up the stack, is delivering.
// If the state forwards to another one, notify delivers the events of that one.
func (s *state) notify() {
	s.mu.Lock()
	if s.watch.notifying {
		s.mu.Unlock()
		return
	}
	s.watch.notifying = true
	complete := false
	defer func() {
		s.watch.notifying = false
		forwarded := complete && s.forward.Load() != nil
		if forwarded {
			s.moveWatchers()
		}
		s.mu.Unlock()
		switch {
		case !complete: // a function ended this goroutine: the other ones still get the event
			s.notify()
		case forwarded:
			s.resolve().notify()
		}
	}()
	for {
		if w := s.watch.current.next(); w != nil {
			e := s.watch.current.event
			s.unlocked(func() { s.store.callWatcher(w.fn, e) })
			continue
		}
		if len(s.watch.events) == 0 || s.forward.Load() != nil {
			break
		}
		s.watch.current, s.watch.events = &s.watch.events[0], s.watch.events[1:]
		s.watch.current.left = s.watch.list
		if len(s.watch.events) == 0 {
			s.watch.events = nil // an idle session keeps no queue
		}
	}
	s.watch.current = nil
	complete = true
}

// callWatcher calls the app's function. It runs on the goroutine of the caller that changed
// the session, or on one of this package that follows other nodes, so a panic stays here.
func (s *Store) callWatcher(fn func(Event), e Event) {
	returned := false
	defer func() {
		if !returned {
			s.reportPanic("Handle.Watch", recover())
		}
	}()
	fn(e)
	returned = true
}

// moveWatchers moves the watchers to the state that s forwards to, and queues an event
// for the keys in which that one differs. It must not run while notify delivers. The
// caller holds s.mu.
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
	for _, w := range list { // not in place: see watchers.remove
		if !w.stopped.Load() { // it can stop while it is in neither list
			to.watch.list = append(to.watch.list, w)
		}
	}
	to.watch.events = append(to.watch.events, events...)
	if to.ended != nil {
		to.queueEvent(Event{Kind: Ended, Cause: to.ended})
	} else if keys := changedKeys(s.cur.values, to.cur.values); len(keys) > 0 {
		to.queueEvent(Event{Kind: Changed, Keys: keys})
	}
	to.schedule()
}

// unlocked runs fn with s.mu released.
func (s *state) unlocked(fn func()) {
	s.mu.Unlock()
	defer s.mu.Lock()
	fn()
}

func (s *state) addWatcher(fn func(Event)) (stop func()) {
	w := &watcher{fn: fn}
	s.mu.Lock()
	if other := s.forward.Load(); other != nil { // forwarded since the caller resolved it
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
		now.watch.remove(w)
		if len(now.watch.list) == 0 {
			now.schedule()
		}
	}
}
