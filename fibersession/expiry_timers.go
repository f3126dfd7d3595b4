// Timers that end watched sessions when their limit passes.

package fibersession

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// expiryTimers ends watched sessions when their limit passes, without a request or event
// that asks for them. All sessions share one timer. Each state has at most one entry,
// regardless of its number of watchers.
//
// An entry may be early: when it is due, a session that was used meanwhile gets a new
// entry for its new limit. So using a session does not touch the heap.
type expiryTimers struct {
	mu     sync.Mutex // may be locked inside state.mu, not around it
	heap   timerHeap
	timer  *time.Timer // nil before the first entry
	closed bool

	checks sync.WaitGroup
	slots  chan struct{} // semaphore: bounds how many checks ask the store at once
}

// maxChecks bounds how many expired sessions are checked at once, which protects a store
// that was just restarted.
const maxChecks = 64

func newExpiryTimers() *expiryTimers { return &expiryTimers{slots: make(chan struct{}, maxChecks)} }

// set adds an entry for s, or makes its entry earlier. It keeps an earlier entry: when
// that is due, check looks at the state's actual limit.
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
		heap.Fix(&t.heap, int(s.heapIndex)-1)
	default:
		return
	}
	if t.heap[0] == s {
		t.resetTimer()
	}
}

// remove removes the entry of s.
func (t *expiryTimers) remove(s *state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.heapIndex == 0 {
		return
	}
	first := s.heapIndex == 1
	heap.Remove(&t.heap, int(s.heapIndex)-1)
	if first {
		t.resetTimer()
	}
}

// resetTimer sets the timer to the first entry. The caller holds t.mu.
func (t *expiryTimers) resetTimer() {
	switch {
	case len(t.heap) == 0:
		if t.timer != nil {
			t.timer.Stop()
		}
	case t.timer == nil:
		t.timer = time.AfterFunc(time.Until(t.heap[0].timerAt), t.onTimer) // onTimer does not block; close stops the timer
	default:
		t.timer.Reset(time.Until(t.heap[0].timerAt))
	}
}

// onTimer starts a check of every state that is due.
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

// check ends s if its limit has passed. It first asks the store, because another node may
// have used the session. If the store does not answer, the check is repeated, unless the
// absolute limit has passed, which no node can move.
func (t *expiryTimers) check(s *state) {
	cur := s.activeSnapshot()
	if cur == nil {
		return
	}
	if s.store.layout.carriesExpiry() && !cur.expired(time.Now()) {
		t.set(s, cur.deadline())
		return
	}
	err := t.reload(s)
	switch _, ended := s.resolve().current(); {
	case ended != nil:
	case err == nil && s.store.layout.carriesExpiry(): // schedule has set a new entry
	case err == nil:
		t.set(s, s.store.recheckAt(cur)) // the value does not contain its expiry
	case s.store.hardLimit && !time.Now().Before(cur.absolute):
		s.end(ErrExpired)
		s.notify()
	default:
		t.set(s, time.Now().Add(s.store.Config.Timeouts.Storage))
	}
}

// reload reads s, of which only so many are read at once.
func (t *expiryTimers) reload(s *state) error {
	t.slots <- struct{}{}
	defer func() { <-t.slots }()
	return s.do(context.Background(), &op{kind: opReload})
}

// recheckAt returns when to check again for a session that may be past its limit.
func (s *Store) recheckAt(cur *snapshot) time.Time {
	return time.Now().Add(min(s.Config.Timeouts.TouchInterval, cur.idle/10))
}

// close removes all entries and waits for running checks.
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

// schedule gives an active state an entry and has it tracked, and ends both for other
// states. The caller holds s.mu.
func (s *state) schedule() {
	alive := s.active()
	s.setTracked(alive)
	if s.mustConfirmCreation() {
		s.store.tracker.enqueue(s)
	}
	switch {
	case alive:
		s.scheduled = true
		at := s.cur.deadline()
		if next := s.store.recheckAt(s.cur); !s.store.layout.carriesExpiry() && at.Before(next) {
			at = next // it still existed just now, past its known limit
		}
		s.store.timers.set(s, at)
	case s.scheduled:
		s.scheduled = false
		s.store.timers.remove(s)
	}
}

// unschedule removes the entry and ends the tracking of a state that has no holders left.
func (s *state) unschedule() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setTracked(false)
	if s.scheduled {
		s.scheduled = false
		s.store.timers.remove(s)
	}
}

// active reports whether events of the state still matter: it is held, watched, stored,
// not ended and not forwarded. A state without holders can still receive changes. The
// caller holds s.mu.
func (s *state) active() bool {
	return s.refs.Load() > 0 && s.forward.Load() == nil && len(s.watch.list) > 0 &&
		s.ended == nil && s.cur != nil && !s.cur.fresh()
}

// activeSnapshot returns the snapshot of an active state, else nil.
func (s *state) activeSnapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active() {
		return nil
	}
	return s.cur
}

// timerHeap implements heap.Interface for expiryTimers.
type timerHeap []*state

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].timerAt.Before(h[j].timerAt) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = int32(i+1), int32(j+1)
}

func (h *timerHeap) Push(x any) {
	s := x.(*state)
	*h = append(*h, s)
	s.heapIndex = int32(len(*h))
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.heapIndex = 0
	return s
}
