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
type expiryTimers struct {
	mu     sync.Mutex // inside a state's lock, never around it
	heap   timerHeap
	timer  *time.Timer // nil before the first entry
	closed bool

	checks sync.WaitGroup
	slots  chan struct{} // bounds how many checks ask the store at once
}

// maxChecks is how many sessions whose limit passed are asked for at once: a store
// that was just restarted must not be met by all of them.
const maxChecks = 64

func newExpiryTimers() *expiryTimers { return &expiryTimers{slots: make(chan struct{}, maxChecks)} }

// set enters s, or moves its entry forward. An earlier entry stays: when its time
// has come the state's own limit decides.
func (t *expiryTimers) set(s *state, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return
	case s.heapIndex == 0:
		s.timerAt = at
		heap.Push(&t.heap, s)
	case at.Before(s.timerAt):
		s.timerAt = at
		heap.Fix(&t.heap, s.heapIndex-1)
	default:
		return
	}
	if t.heap[0] == s {
		t.resetTimer()
	}
}

// drop takes s out.
func (t *expiryTimers) remove(s *state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.heapIndex == 0 {
		return
	}
	first := s.heapIndex == 1
	heap.Remove(&t.heap, s.heapIndex-1)
	if first {
		t.resetTimer()
	}
}

// arm sets the timer for the first entry. The caller holds the lock.
func (t *expiryTimers) resetTimer() {
	switch {
	case len(t.heap) == 0:
		if t.timer != nil {
			t.timer.Stop()
		}
	case t.timer == nil:
		t.timer = time.AfterFunc(time.Until(t.heap[0].timerAt), t.onTimer) // fire does not wait; close stops it
	default:
		t.timer.Reset(time.Until(t.heap[0].timerAt))
	}
}

// fire has all that are due checked.
func (t *expiryTimers) onTimer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	now := time.Now()
	for len(t.heap) > 0 && !now.Before(t.heap[0].timerAt) {
		s := heap.Pop(&t.heap).(*state)
		t.checks.Go(func() { t.check(s) }) // close waits for it
	}
	t.resetTimer()
}

// check ends s if its limit has passed. The store is asked once: another node may
// have used the session. One that cannot be asked is asked again, but a limit that
// nothing can move needs no answer.
func (t *expiryTimers) check(s *state) {
	cur := s.activeSnapshot()
	if cur == nil {
		return
	}
	if s.store.layout.slides() && !cur.expired(time.Now()) {
		t.set(s, cur.deadline())
		return
	}
	t.slots <- struct{}{}
	err := s.do(context.Background(), &op{kind: opReload})
	<-t.slots
	switch _, ended := s.resolve().current(); {
	case ended != nil:
	case err == nil && s.store.layout.slides(): // entered anew with what the store said
	case err == nil:
		t.set(s, s.store.recheckAt(cur)) // its value does not say until when
	case s.store.hardLimit && !time.Now().Before(cur.absolute):
		s.end(ErrExpired)
		s.notify()
	default:
		t.set(s, time.Now().Add(s.store.cfg.Timeouts.Storage))
	}
}

// doubt is when to look again for a session that may be past its limit.
func (s *Store) recheckAt(cur *snapshot) time.Time {
	return time.Now().Add(min(s.cfg.Timeouts.TouchInterval, cur.idle/10))
}

// close ends it and waits for the checks under way.
func (t *expiryTimers) close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	for len(t.heap) > 0 {
		heap.Pop(&t.heap)
	}
	t.mu.Unlock()
	t.checks.Wait()
}

func (t *expiryTimers) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.heap)
}

// schedule enters the state's limit if somebody is to hear of it, and takes it out
// if not, and likewise has it tracked. It is called with the state locked.
func (s *state) schedule() {
	alive := s.active()
	s.setTracked(alive)
	switch {
	case alive:
		s.scheduled = true
		at := s.cur.deadline()
		if next := s.store.recheckAt(s.cur); !s.store.layout.slides() && at.Before(next) {
			at = next // it was there just now, past the limit that is known
		}
		s.store.timers.set(s, at)
	case s.scheduled:
		s.scheduled = false
		s.store.timers.remove(s)
	}
}

// unschedule takes the state's limit out, as nobody holds the state any more.
func (s *state) unschedule() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setTracked(false)
	if s.scheduled {
		s.scheduled = false
		s.store.timers.remove(s)
	}
}

// alive says whether the state is watched, held, in charge and has a limit: news may
// still come to one that nobody holds any more. It is called with the state locked.
func (s *state) active() bool {
	return s.refs.Load() > 0 && s.forward.Load() == nil && len(s.watch.list) > 0 &&
		s.ended == nil && s.cur != nil && !s.cur.fresh()
}

// watched returns the snapshot of a state that is to end by itself, else nil.
func (s *state) activeSnapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active() {
		return nil
	}
	return s.cur
}

// dueHeap orders states by their entries. It is for deadlines alone.
type timerHeap []*state

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timerAt.Before(h[j].timerAt) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	s := x.(*state)
	*h = append(*h, s)
	s.heapIndex = len(*h)
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.heapIndex = 0
	return s
}
