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

// tracker keeps this node's copies of the sessions that somebody watches as new as
// the storage's feed tells. The feed's goroutine only leaves what it heard at the
// state and goes on; workers, which run while there is work, apply it.
//
// A copy counts as tracked when all of these hold: its key is subscribed to; the
// store confirmed it since, and since the feed's latest gap; nothing that was heard
// waits to be applied; and the feed is not later than Config.Tracking.MaxLag.
type tracker struct {
	store         *Store
	feed          storage.Feed  // nil: the storage has none
	generation    atomic.Uint64 // counts gaps: what was confirmed in an earlier one may be old
	completeUntil atomic.Int64  // until when the feed was last known to be complete, Unix ns

	ctx        context.Context
	cancel     context.CancelFunc
	goroutines sync.WaitGroup // whatever follows starts; close waits for it

	mu        sync.Mutex        // guards what follows; inside a state's lock, never around it
	watch     storage.Watch     // nil before the first
	states    map[string]*state // by key
	dirty     map[string]struct{}
	syncing   bool // a goroutine is telling the feed of news
	pending   []*state
	workers   int
	timer     *time.Timer // of the sweep; nil before the first
	nextShard int         // the shard that the sweep looks at next
	closed    bool
}

const (
	// maxWorkers bounds how many sessions are read again at once: a store that was
	// just restarted must not be met by all of them. Redis gets them in pipelines.
	maxWorkers = 64
	// minRetry and maxRetry bound the pauses after a store that did not answer.
	minRetry = 20 * time.Millisecond
	maxRetry = 500 * time.Millisecond
)

// tracking is what the tracker knows of a state. All but queued belongs to the
// state's lock, queued to the tracker's.
type tracking struct {
	key         string          // under which it is entered; "" when it is not
	subscribed  bool            // the feed is subscribed to key
	confirmedIn uint64          // the era in which cur was confirmed while live, plus 1; 0: it was not
	pending     *storage.Change // of key, told last and not yet applied
	applying    bool            // it is being applied
	confirmedAt time.Time       // when the store last confirmed cur
	recheckDue  bool            // nobody asked the store for Config.Tracking.Recheck
	queued      bool            // among todo
}

func newTracker(s *Store) *tracker {
	t := &tracker{store: s, states: make(map[string]*state), dirty: make(map[string]struct{})}
	t.feed, _ = s.base.(storage.Feed)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// follow enters the state if it is to be tracked, and takes it out if not. It is
// called with the state locked.
func (s *state) setTracked(wanted bool) {
	key := ""
	if wanted {
		key = s.at.key
	}
	if s.track.key == key {
		return
	}
	s.store.tracker.rekey(s, s.track.key, key)
	s.track.key, s.track.subscribed, s.track.confirmedIn, s.track.pending = key, false, 0, nil
}

// move changes what key a state is entered under. Of two states that want the same
// key the first stays: the other is about to yield to it.
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
		t.goroutines.Go(t.syncSubscriptions) // ends when there is no more news; close waits
	}
	t.updateTimer()
}

// sync tells the feed which keys are wanted, as many at a time as there are.
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

		err := t.subscribe(w, add, drop)
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
	ctx, cancel := context.WithTimeout(t.ctx, t.store.cfg.Timeouts.Storage)
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

// open opens the one watch of this store.
func (t *tracker) openWatch() (storage.Watch, error) {
	w, err := t.feed.Watch(t.onChange)
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, storage.ErrClosed) {
		t.feed = nil // a wrapper around something that has none, or its end
		clear(t.dirty)
	}
	if err != nil {
		return nil, err
	}
	t.watch = w
	return w, nil
}

// subscribed notes that every change of key is told from now on. What came before
// may be news: the session is read again.
func (s *state) subscribed(key string) {
	s.mu.Lock()
	mine := s.track.key == key
	if mine {
		s.track.subscribed = true
	}
	s.mu.Unlock()
	if mine {
		s.store.tracker.enqueue(s)
	}
}

// hear takes what the feed tells, on the feed's goroutine.
func (t *tracker) onChange(c storage.Change) {
	if c.Kind == storage.Gap {
		t.generation.Add(1)
		t.store.stats.gaps.Add(1)
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

// hear keeps what was told, and says whether somebody is needed to apply it.
func (s *state) receive(c storage.Change) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.track.key != c.Key || s.ended != nil:
		return false
	case c.Kind == storage.Written && s.cur.rev == c.Item.Revision:
		s.track.pending = nil // this node's own write, or known from a read: newer than what waits
		return false
	}
	held := c // here, so that only what is kept goes to the heap
	s.track.pending = &held
	return !s.busy // else its leader will
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
		t.goroutines.Go(t.worker) // ends when nothing is left to do; close waits
	}
}

func (t *tracker) worker() {
	for {
		s := t.dequeue()
		if s == nil {
			return
		}
		if err := s.catchUp(); err != nil {
			t.sleep(maxRetry / 4)
			t.enqueue(s)
		}
	}
}

// next returns who is to be attended to, nil when that is nobody.
func (t *tracker) dequeue() *state {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.pending = nil
	}
	if len(t.pending) == 0 {
		t.pending = nil // so that it does not grow for ever
		t.workers--
		return nil
	}
	s := t.pending[0]
	t.pending[0] = nil
	t.pending = t.pending[1:]
	s.track.queued = false
	return s
}

// pause waits about so long, or until the end.
func (t *tracker) sleep(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d)) // jitter: not all nodes at once
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// attend applies what was heard of a state, and reads it again if that is needed.
// After an error it is to be tried again.
func (s *state) catchUp() error {
	s.applyPending()
	s.mu.Lock()
	read := s.track.key != "" && s.ended == nil && !s.isConfirmed() && (s.track.subscribed || s.track.recheckDue)
	s.mu.Unlock()
	if !read {
		return nil
	}
	err := s.do(s.store.tracker.ctx, &op{kind: opReload})
	s.store.stats.rereads.Add(1)
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	return nil // it is confirmed now, or over
}

// sure says whether the store confirmed cur in this era, and recently enough. It is
// called with the state locked.
func (s *state) isConfirmed() bool {
	return s.track.confirmedIn == s.store.tracker.generation.Load()+1 && !s.stale && !s.track.recheckDue
}

// stop lets nothing new begin.
func (t *tracker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.cancel()
}

// close ends the tracking, and waits for what runs.
func (t *tracker) close() {
	t.stop()
	t.goroutines.Wait()
	if t.watch != nil { // nobody writes it any more
		_ = t.watch.Close()
	}
}

func (t *tracker) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.states)
}
