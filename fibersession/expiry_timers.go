package fibersession

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// deadlines ends the sessions that somebody watches when their limit passes, and
// nobody has to ask for it. There is one timer for all of them, which runs only
// while there is a watched session, and one entry for each, however many watch it.
//
// An entry is no promise: a session that was used meanwhile is looked at when its
// old limit comes, and entered again. So use costs the heap nothing.
type deadlines struct {
	mu     sync.Mutex // inside a state's lock, never around it
	heap   dueHeap
	timer  *time.Timer // nil before the first entry
	closed bool

	checks sync.WaitGroup
	room   chan struct{} // bounds how many checks ask the store at once
}

// maxChecks is how many sessions whose limit passed are asked for at once: a store
// that was just restarted must not be met by all of them.
const maxChecks = 64

func newDeadlines() *deadlines { return &deadlines{room: make(chan struct{}, maxChecks)} }

// set enters s, or moves its entry forward. An earlier entry stays: when its time
// has come the state's own limit decides.
func (d *deadlines) set(s *state, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return
	case s.slot == 0:
		s.due = at
		heap.Push(&d.heap, s)
	case at.Before(s.due):
		s.due = at
		heap.Fix(&d.heap, s.slot-1)
	default:
		return
	}
	if d.heap[0] == s {
		d.arm()
	}
}

// drop takes s out.
func (d *deadlines) drop(s *state) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.slot == 0 {
		return
	}
	first := s.slot == 1
	heap.Remove(&d.heap, s.slot-1)
	if first {
		d.arm()
	}
}

// arm sets the timer for the first entry. The caller holds the lock.
func (d *deadlines) arm() {
	switch {
	case len(d.heap) == 0:
		if d.timer != nil {
			d.timer.Stop()
		}
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(d.heap[0].due), d.fire) // fire does not wait; close stops it
	default:
		d.timer.Reset(time.Until(d.heap[0].due))
	}
}

// fire has all that are due checked.
func (d *deadlines) fire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	now := time.Now()
	for len(d.heap) > 0 && !now.Before(d.heap[0].due) {
		s := heap.Pop(&d.heap).(*state)
		d.checks.Go(func() { d.check(s) }) // close waits for it
	}
	d.arm()
}

// check ends s if its limit has passed. The store is asked once: another node may
// have used the session. One that cannot be asked is asked again, but a limit that
// nothing can move needs no answer.
func (d *deadlines) check(s *state) {
	cur := s.watched()
	if cur == nil {
		return
	}
	if s.store.layout.slides() && !cur.expired(time.Now()) {
		d.set(s, cur.deadline())
		return
	}
	d.room <- struct{}{}
	err := s.do(context.Background(), &op{kind: opReload})
	<-d.room
	switch _, ended := s.resolve().look(); {
	case ended != nil:
	case err == nil && s.store.layout.slides(): // entered anew with what the store said
	case err == nil:
		d.set(s, s.store.doubt(cur)) // its value does not say until when
	case s.store.hardLimit && !time.Now().Before(cur.absolute):
		s.end(ErrExpired)
		s.tell()
	default:
		d.set(s, time.Now().Add(s.store.cfg.Timeouts.Storage))
	}
}

// doubt is when to look again for a session that may be past its limit.
func (s *Store) doubt(cur *snapshot) time.Time {
	return time.Now().Add(min(s.cfg.Timeouts.TouchInterval, cur.idle/10))
}

// close ends it and waits for the checks under way.
func (d *deadlines) close() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	for len(d.heap) > 0 {
		heap.Pop(&d.heap)
	}
	d.mu.Unlock()
	d.checks.Wait()
}

func (d *deadlines) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.heap)
}

// schedule enters the state's limit if somebody is to hear of it, and takes it out
// if not, and likewise has it tracked. It is called with the state locked.
func (s *state) schedule() {
	alive := s.alive()
	s.follow(alive)
	switch {
	case alive:
		s.scheduled = true
		at := s.cur.deadline()
		if next := s.store.doubt(s.cur); !s.store.layout.slides() && at.Before(next) {
			at = next // it was there just now, past the limit that is known
		}
		s.store.deadlines.set(s, at)
	case s.scheduled:
		s.scheduled = false
		s.store.deadlines.drop(s)
	}
}

// unschedule takes the state's limit out, as nobody holds the state any more.
func (s *state) unschedule() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(false)
	if s.scheduled {
		s.scheduled = false
		s.store.deadlines.drop(s)
	}
}

// alive says whether the state is watched, held, in charge and has a limit: news may
// still come to one that nobody holds any more. It is called with the state locked.
func (s *state) alive() bool {
	return s.refs.Load() > 0 && s.forward.Load() == nil && len(s.watch.list) > 0 &&
		s.ended == nil && s.cur != nil && !s.cur.fresh()
}

// watched returns the snapshot of a state that is to end by itself, else nil.
func (s *state) watched() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return nil
	}
	return s.cur
}

// dueHeap orders states by their entries. It is for deadlines alone.
type dueHeap []*state

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

func (h *dueHeap) Push(x any) {
	s := x.(*state)
	*h = append(*h, s)
	s.slot = len(*h)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.slot = 0
	return s
}
