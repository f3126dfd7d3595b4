// Tracking: watched sessions are kept up to date through the storage's feed of changes.

package fibersession

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// tracker keeps this node's copies of the watched sessions up to date with the changes
// that the storage's feed delivers. The feed's goroutine only stores a change at its
// state. Workers, which run while there is work, apply it.
//
// A copy is up to date without a read if its key is subscribed to, the store confirmed
// the copy after that and after the feed's last gap, no received change is waiting to be
// applied, and the feed's lag is at most Config.Tracking.MaxLag.
type tracker struct {
	store         *Store
	feed          storage.Feed  // nil: the storage has none
	generation    atomic.Uint64 // counts gaps: a copy confirmed in an earlier generation may be outdated
	completeUntil atomic.Int64  // the feed was complete until this time, in Unix ns

	ctx        context.Context
	cancel     context.CancelFunc
	goroutines sync.WaitGroup // all goroutines of the tracker; close waits for them

	mu        sync.Mutex        // guards the fields below; may be locked inside state.mu, not around it
	watch     storage.Watch     // nil before the first subscription
	states    map[string]*state // the tracked states by key
	dirty     map[string]struct{}
	syncing   bool // syncSubscriptions is running
	pending   []*state
	workers   int
	timer     *time.Timer // of the recheck; nil while nothing is tracked
	nextShard int         // the shard to recheck next
	closed    bool
}

const (
	// maxWorkers bounds how many sessions are reloaded at once, which protects a store
	// that was just restarted. Redis receives these reads in pipelines.
	maxWorkers = 64
	// minRetry and maxRetry bound the pauses after a failed call of the store.
	minRetry = 20 * time.Millisecond
	maxRetry = 500 * time.Millisecond
)

// tracking is a state's part of the tracking. state.mu guards all fields but queued,
// which tracker.mu guards.
type tracking struct {
	key         string          // its key in tracker.states; "" if not tracked
	subscribed  bool            // the feed is subscribed to key
	confirmedIn uint64          // 1 + the generation in which cur was confirmed while subscribed; 0: not confirmed
	pending     *storage.Change // the latest change received for key, not yet applied
	applying    bool            // a change is being applied
	confirmedAt time.Time       // when the store last confirmed cur
	recheckDue  bool            // cur was not confirmed for Config.Tracking.Recheck
	queued      bool            // in tracker.pending
	unread      bool            // cur was not read since the last notice of a change
	waiting     bool            // the next read, for the end of noticePeriod
	falseReads  *falseReads     // nil if there was none
}

func newTracker(s *Store) *tracker {
	t := &tracker{store: s, states: make(map[string]*state), dirty: make(map[string]struct{})}
	t.feed, _ = s.base.(storage.Feed)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// setTracked starts or stops tracking the state. It restarts it if the key changed. The
// caller holds s.mu.
func (s *state) setTracked(tracked bool) {
	key := ""
	if tracked {
		key = s.at.key
	}
	if s.track.key == key {
		return
	}
	s.store.tracker.rekey(s, s.track.key, key)
	s.track.key, s.track.subscribed, s.track.confirmedIn, s.track.pending = key, false, 0, nil
}

// rekey changes the key that a state is tracked under. If two states want the same key,
// the first keeps it: the second is about to forward to it.
func (t *tracker) rekey(s *state, from, to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if from != "" && t.states[from] == s {
		delete(t.states, from)
		t.dirty[from] = struct{}{}
	}
	if to != "" && t.states[to] == nil && !t.closed {
		t.states[to] = s
		t.dirty[to] = struct{}{}
	}
	if t.feed == nil {
		clear(t.dirty)
	}
	if len(t.dirty) > 0 && !t.syncing && !t.closed {
		t.syncing = true
		t.goroutines.Go(t.syncSubscriptions) // ends when nothing is dirty
	}
	t.updateTimer()
}

// syncSubscriptions subscribes to and unsubscribes from the dirty keys in batches.
func (t *tracker) syncSubscriptions() {
	for retry := minRetry; ; {
		t.mu.Lock()
		if len(t.dirty) == 0 || t.closed || t.feed == nil {
			t.syncing = false
			t.mu.Unlock()
			return
		}
		var add, drop []string
		for key := range t.dirty {
			if t.states[key] != nil {
				add = append(add, key)
			} else {
				drop = append(drop, key)
			}
		}
		clear(t.dirty)
		w := t.watch
		t.mu.Unlock()

		err := t.trySubscribe(w, add, drop)
		if err == nil || errors.Is(err, storage.ErrClosed) {
			retry = minRetry
			continue
		}
		t.mu.Lock()
		for _, key := range add {
			t.dirty[key] = struct{}{}
		}
		t.mu.Unlock()
		t.sleep(retry)
		retry = min(2*retry, maxRetry)
	}
}

// trySubscribe is subscribe for a driver that may panic, on a goroutine of its own.
func (t *tracker) trySubscribe(w storage.Watch, add, drop []string) error {
	err := errFeedPanicked
	done := make(chan struct{})
	t.goroutines.Go(func() { // received below
		defer close(done)
		returned := false
		defer func() {
			if !returned {
				t.store.reportPanic("storage.Feed", recover())
			}
		}()
		err = t.subscribe(w, add, drop)
		returned = true
	})
	<-done
	return err
}

// errFeedPanicked is why a subscription is tried again.
var errFeedPanicked = errors.New("fibersession: the storage's feed panicked")

func (t *tracker) subscribe(w storage.Watch, add, drop []string) error {
	if w == nil {
		var err error
		if w, err = t.openWatch(); err != nil {
			return err
		}
	}
	w.Remove(drop...)
	if len(add) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.store.Config.Timeouts.Storage)
	defer cancel()
	if err := w.Add(ctx, add...); err != nil {
		return err
	}
	for _, key := range add {
		t.mu.Lock()
		s := t.states[key]
		t.mu.Unlock()
		if s != nil {
			s.subscribed(key)
		}
	}
	return nil
}

// openWatch opens this store's only watch.
func (t *tracker) openWatch() (storage.Watch, error) {
	w, err := t.feed.Watch(t.onChange)
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, storage.ErrClosed) {
		t.feed = nil // the storage wraps one without a feed, or is closed
		clear(t.dirty)
	}
	if err != nil {
		return nil, err
	}
	t.watch = w
	return w, nil
}

// subscribed records that the feed delivers every change of key from now on. Earlier
// changes may have been missed, so it has the session reloaded.
func (s *state) subscribed(key string) {
	s.mu.Lock()
	current := s.track.key == key
	if current {
		s.track.subscribed = true
	}
	s.mu.Unlock()
	if current {
		s.store.tracker.enqueue(s)
	}
}

// onChange receives a change on the feed's goroutine.
func (t *tracker) onChange(c storage.Change) {
	if c.Kind == storage.Gap {
		t.generation.Add(1)
		t.store.stats.gaps.Add(1)
		t.store.traceGap()
		t.mu.Lock()
		for _, s := range t.states {
			t.enqueueLocked(s)
		}
		t.mu.Unlock()
		return
	}
	t.mu.Lock()
	s := t.states[c.Key]
	t.mu.Unlock()
	if s != nil && s.receive(c) {
		t.enqueue(s)
	}
}

// receive stores a change, and reports whether a worker is needed to apply it.
func (s *state) receive(c storage.Change) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.track.key != c.Key || s.ended != nil:
		return false
	case c.Kind == storage.Written && s.cur.rev == c.Item.Revision:
		return false // this node wrote or read that revision. What is pending stays: the notice may be a copy
	}
	held := c // a copy, so that only changes that are kept are allocated
	if s.track.pending != nil {
		held.Item.Revision = storage.Absent // one read for both, whichever of them is true
	}
	s.track.pending = &held
	return !s.busy // otherwise the leader of the running commit applies it
}

func (t *tracker) enqueue(s *state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enqueueLocked(s)
}

func (t *tracker) enqueueLocked(s *state) {
	if t.closed || s.track.queued {
		return
	}
	s.track.queued = true
	t.pending = append(t.pending, s)
	if t.workers < maxWorkers {
		t.workers++
		t.goroutines.Go(t.worker) // ends when nothing is pending
	}
}

func (t *tracker) worker() {
	ended := false
	defer func() {
		if !ended { // the app's code, such as a function of Watch, ended the goroutine
			t.goroutines.Go(t.worker)
		}
	}()
	for {
		s := t.dequeue()
		if s == nil {
			ended = true
			return
		}
		if err := s.catchUp(); err != nil {
			t.sleep(maxRetry / 4)
			t.enqueue(s)
		}
	}
}

// dequeue returns the next state to catch up, or nil if the worker is to end.
func (t *tracker) dequeue() *state {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.pending = nil
	}
	if len(t.pending) == 0 {
		t.pending = nil // lets the slice be collected
		t.workers--
		return nil
	}
	s := t.pending[0]
	t.pending[0] = nil
	t.pending = t.pending[1:]
	s.track.queued = false
	return s
}

// sleep waits for d/2 to 3d/2, or until the tracker stops.
func (t *tracker) sleep(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d)) // jitter: nodes must not retry in step
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// catchUp applies the pending change and reloads the session if that is needed. After an
// error, the caller has to try again.
func (s *state) catchUp() error {
	s.applyPending() // catchUp itself reads
	s.mu.Lock()
	read := s.track.key != "" && s.ended == nil && !s.isConfirmed() && (s.track.subscribed || s.track.recheckDue) &&
		!s.track.waiting || s.mustConfirmCreation()
	noticed, before := s.track.unread, s.cur
	s.mu.Unlock()
	if !read {
		return nil
	}
	err := s.do(s.store.tracker.ctx, &op{kind: opReload})
	s.store.stats.rereads.Add(1)
	s.mu.Lock()
	if noticed && err == nil && before != nil && s.cur.rev == before.rev {
		if s.track.falseReads == nil {
			s.track.falseReads = &falseReads{}
		}
		s.track.falseReads.count(time.Now())
	}
	s.mu.Unlock()
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	return nil // confirmed, or ended
}

// isConfirmed reports whether the store confirmed cur since the last gap, and within
// Config.Tracking.Recheck. The caller holds s.mu.
func (s *state) isConfirmed() bool {
	return s.track.confirmedIn == s.store.tracker.generation.Load()+1 && !s.stale && !s.track.recheckDue
}

// stop prevents new work. It does not wait.
func (t *tracker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.cancel()
}

// close stops the tracker and waits for its goroutines.
func (t *tracker) close() {
	t.stop()
	t.goroutines.Wait()
	if t.watch != nil { // safe without t.mu: all goroutines have ended
		_ = t.watch.Close()
	}
}

func (t *tracker) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.states)
}
