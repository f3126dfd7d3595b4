package fibersession_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// radio is a storage whose feed the test has in its hands.
type radio struct {
	storage.Storage
	reading, most atomic.Int32 // reads under way, and the most of them at once

	mu   sync.Mutex // guards what follows
	fn   func(storage.Change)
	log  []storage.Change
	deaf bool // nothing is told, and nobody knows
	late time.Duration
	down bool // how late it is, is not known
	hold chan struct{}
}

type radioWatch struct {
	storage.Watch
	r *radio
}

func (r *radio) Watch(fn func(storage.Change)) (storage.Watch, error) {
	w, err := r.Storage.(storage.Feed).Watch(func(c storage.Change) {
		r.mu.Lock()
		deaf := r.deaf
		r.log = append(r.log, c)
		r.mu.Unlock()
		if !deaf {
			fn(c)
		}
	})
	r.mu.Lock()
	r.fn = fn
	r.mu.Unlock()
	return &radioWatch{w, r}, err
}

func (w *radioWatch) Lag() (time.Duration, bool) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.late, !w.r.down
}

func (r *radio) Load(ctx context.Context, key string) (storage.Item, error) {
	n := r.reading.Add(1)
	defer r.reading.Add(-1)
	for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
	}
	item, err := r.Storage.Load(ctx, key)
	r.mu.Lock()
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		<-hold // the answer is on its way
	}
	return item, err
}

func (r *radio) set(deaf, down bool, late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf, r.down, r.late = deaf, down, late
}

func (r *radio) tell(c storage.Change) {
	r.mu.Lock()
	fn := r.fn
	r.mu.Unlock()
	fn(c)
}

// heard returns what the storage told so far.
func (r *radio) heard() []storage.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]storage.Change(nil), r.log...)
}

// world is two nodes in a bubble of time; node a hears by radio, and what its store
// does goes through faulty.
type world struct {
	t      *testing.T
	faulty *faulty.Storage
	radio  *radio
	a, b   *fibersession.Store
}

func inWorld(t *testing.T, cfg fibersession.Config, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		flaky := faulty.New(st, nil)
		r := &radio{Storage: flaky}
		cfg.Logger = quiet
		cfg.Storage = r
		a := fibersession.New(cfg)
		cfg.Storage = st
		w := &world{t: t, faulty: flaky, radio: r, a: a, b: fibersession.New(cfg)}
		t.Cleanup(func() {
			must(t, w.a.Close())
			must(t, w.b.Close())
			must(t, st.Close())
		})
		test(w)
	})
}

// share returns handles of one session on both nodes; a watches it.
func (w *world) share(values map[string]any) (ha, hb *fibersession.Handle, n *news) {
	w.t.Helper()
	ha = stored(w.t, w.a, values)
	n = newsOf(w.t, ha)
	synctest.Wait()
	return ha, again(w.t, w.b, ha.ID()), n
}

func TestTracked_AsksOnlyWhenItMust(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   fibersession.Config
		f     fibersession.Freshness
		do    func(w *world, h *fibersession.Handle)
		loads uint64 // of one Refresh
	}{
		"healthy":              {f: fibersession.Tracked},
		"healthy, strict":      {f: fibersession.Strict, loads: 1},
		"the default":          {loads: 1},
		"by config":            {cfg: fibersession.Config{Freshness: fibersession.Tracked}},
		"strict beats config":  {cfg: fibersession.Config{Freshness: fibersession.Tracked}, f: fibersession.Strict, loads: 1},
		"as late as it may be": {f: fibersession.Tracked, do: func(w *world, _ *fibersession.Handle) { w.radio.set(false, false, 2*time.Second) }},
		"too late":             {f: fibersession.Tracked, do: func(w *world, _ *fibersession.Handle) { w.radio.set(false, false, 2*time.Second+1) }, loads: 1},
		"too late by config": {cfg: fibersession.Config{Tracking: fibersession.Tracking{MaxLag: time.Second}}, f: fibersession.Tracked, loads: 1,
			do: func(w *world, _ *fibersession.Handle) { w.radio.set(false, false, 1100*time.Millisecond) }},
		"not known how late": {f: fibersession.Tracked, do: func(w *world, _ *fibersession.Handle) { w.radio.set(false, true, 0) }, loads: 1},
		"builtin":            {cfg: fibersession.Config{Builtin: true}, f: fibersession.Tracked, loads: 1},
		"own change": {f: fibersession.Tracked, do: func(_ *world, h *fibersession.Handle) {
			h.Set("n", 2)
			must(t, h.Save(ctx))
		}},
		"a change that was told": {f: fibersession.Tracked, do: func(w *world, h *fibersession.Handle) {
			hb := again(w.t, w.b, h.ID())
			hb.Set("n", 2)
			must(w.t, hb.Save(ctx))
			synctest.Wait()
		}},
		"after a new ID": {f: fibersession.Tracked, do: func(w *world, h *fibersession.Handle) {
			must(w.t, h.Regenerate(ctx))
			synctest.Wait()
		}},
		"after a gap": {f: fibersession.Tracked, do: func(w *world, _ *fibersession.Handle) {
			w.radio.tell(storage.Change{Kind: storage.Gap})
			synctest.Wait()
		}},
		"after a gap, and the store does not answer it": {f: fibersession.Tracked, loads: 1, do: func(w *world, _ *fibersession.Handle) {
			w.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			w.radio.tell(storage.Change{Kind: storage.Gap})
			synctest.Wait()
			w.faulty.SetPlan(nil)
		}},
		"after a write of unknown outcome": {f: fibersession.Tracked, loads: 1, do: func(w *world, h *fibersession.Handle) {
			w.radio.set(true, false, 0)
			w.faulty.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Lose: errors.New("cut")}))
			f := h.Fork()
			f.Set("n", 2)
			if err := f.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) {
				t.Errorf("the save: %v", err)
			}
			w.faulty.SetPlan(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, tt.cfg, func(w *world) {
				h, _, _ := w.share(map[string]any{"n": 1})
				if tt.do != nil {
					tt.do(w, h)
				}
				before := w.a.Stats()
				must(w.t, h.Refresh(ctx, tt.f))
				s := w.a.Stats()
				if s.Loads-before.Loads != tt.loads || s.Spared-before.Spared != 1-tt.loads {
					w.t.Errorf("%d reads, %d spared; want %d and %d", s.Loads-before.Loads, s.Spared-before.Spared, tt.loads, 1-tt.loads)
				}
				want := again(w.t, w.b, h.ID()).Get("n")
				if h.Get("n") != want {
					w.t.Errorf("it has %v, want %v", h.Get("n"), want)
				}
			})
		})
	}
}

// A session that nobody watches is not tracked, and one whose limit has passed is
// asked for.
func TestTracked_OnlyWhatIsWatchedAndAlive(t *testing.T) {
	inWorld(t, fibersession.Config{Expiration: time.Hour, Freshness: fibersession.Tracked, Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		quietly := stored(t, w.a, map[string]any{"n": 1})
		must(t, quietly.Refresh(ctx, 0))
		if s := w.a.Stats(); s.Spared != 0 || s.Loads != 1 {
			t.Errorf("nobody watches: %d spared, %d reads", s.Spared, s.Loads)
		}
		h, hb, _ := w.share(nil)
		w.radio.set(true, false, 0)
		time.Sleep(30 * time.Minute)
		must(t, hb.Touch(ctx)) // and a does not hear of it
		time.Sleep(30*time.Minute - 1)
		must(t, h.Refresh(ctx, 0))
		if w.a.Stats().Spared != 1 {
			t.Error("it was asked for before its limit")
		}
		before := w.a.Stats().Loads
		time.Sleep(2 * time.Nanosecond)
		must(t, h.Refresh(ctx, 0))
		if n := w.a.Stats().Loads - before; n != 1 {
			t.Errorf("past its limit as it was known: %d reads", n)
		}
	})
}

// Requests are served from the node's copy as well.
func TestTracked_Requests(t *testing.T) {
	inWorld(t, fibersession.Config{Freshness: fibersession.Tracked}, func(w *world) {
		h, _, _ := w.share(nil)
		id, loads := h.ID(), w.a.Stats().Loads
		for range 10 {
			again(w.t, w.a, id)
		}
		if s := w.a.Stats(); s.Loads != loads || s.Spared != 10 {
			w.t.Errorf("%d reads, %d spared", s.Loads-loads, s.Spared)
		}
	})
}

// On memory a tracked read misses nothing: what somebody was told is stored, is seen.
func TestTracked_MemoryIsExact(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	t.Run("nodes", func(t *testing.T) {
		cfg := fibersession.Config{Storage: st, Freshness: fibersession.Tracked, Timeouts: fibersession.Timeouts{Storage: patience}}
		a, b := newStore(t, cfg), newStore(t, cfg)
		h, hb, _ := shared(t, a, b, map[string]any{"n": 0})
		for i := 1; i <= 1500; i++ {
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			must(t, h.Refresh(ctx, 0))
			if h.Get("n") != i {
				t.Fatalf("after %d was saved it has %v", i, h.Get("n"))
			}
		}
		must(t, hb.Destroy(ctx))
		if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("after the logout: %v", err)
		}
	})
}

// After a gap all sessions that are watched are read again, some at a time, and who
// watches is told what was missed.
func TestFeed_AGapIsMadeUpFor(t *testing.T) {
	const sessions = 300
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		all := make([]*news, sessions)
		others := make([]*fibersession.Handle, sessions)
		for i := range sessions {
			_, others[i], all[i] = w.share(map[string]any{"n": 0})
		}
		w.radio.set(true, false, 0)
		for i, hb := range others {
			switch i % 3 {
			case 0:
				hb.Set("n", 1)
				must(t, hb.Save(ctx))
			case 1:
				must(t, hb.Destroy(ctx))
			case 2:
				must(t, hb.Regenerate(ctx))
			}
		}
		synctest.Wait()
		for i, n := range all {
			if len(n.events) != 0 {
				t.Fatalf("session %d was told of %v in spite of all", i, n.next())
			}
		}
		w.radio.set(false, false, 0)
		w.radio.most.Store(0)
		w.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Delay: time.Millisecond}))
		w.radio.tell(storage.Change{Kind: storage.Gap})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for i, n := range all {
			if len(n.events) != 1 {
				t.Fatalf("session %d was told %d events", i, len(n.events))
			}
			want := []fibersession.EventKind{fibersession.Changed, fibersession.Ended, fibersession.Renewed}[i%3]
			if e := n.next(); e.Kind != want {
				t.Errorf("session %d was told of %v, want %v", i, e.Kind, want)
			}
		}
		if most := w.radio.most.Load(); most > 64 || most < 32 {
			t.Errorf("%d reads at once", most)
		}
		// It follows to the new ID.
		others[2].Set("n", 2)
		must(t, others[2].Save(ctx))
		synctest.Wait()
		if e := all[2].next(); e.Kind != fibersession.Changed {
			t.Errorf("after the new ID: told of %v", e.Kind)
		}
		if g := w.a.Stats().Gaps; g != 1 {
			t.Errorf("%d gaps", g)
		}
	})
}

// A feed that loses changes and does not know costs no more than Recheck.
func TestFeed_WhatItLosesIsFoundByAndBy(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		t := w.t
		_, hb, n := w.share(nil)
		busy, _, _ := w.share(nil)
		idle, _, _ := w.share(nil)
		w.radio.set(true, false, 0)
		time.Sleep(time.Hour)
		loads := w.a.Stats().Loads
		for range 600 { // one that is read all the time is not read again
			time.Sleep(time.Second)
			must(t, busy.Refresh(ctx, fibersession.Strict))
		}
		// Two are idle: each is read again after 3/4 to 4/4 of the half minute.
		if n := w.a.Stats().Loads - loads - 600; n < 40 || n > 54 {
			t.Errorf("in ten minutes %d sessions were read again", n)
		}
		must(t, hb.Destroy(ctx))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if len(n.events) != 1 || n.next().Kind != fibersession.Ended {
			t.Error("half a minute after the logout it is not known")
		}
		_ = idle
	})
}

// What comes late, twice, or from elsewhere changes nothing.
func TestFeed_OldAndForeignNews(t *testing.T) {
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		h, hb, n := w.share(map[string]any{"n": 0})
		other, otherB, _ := w.share(map[string]any{"n": "other"})
		for i := 1; i <= 3; i++ {
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			synctest.Wait()
			n.kind(fibersession.Changed)
		}
		otherB.Set("n", "other's")
		must(t, otherB.Save(ctx))
		synctest.Wait()
		loads := w.a.Stats().Loads
		var mine, foreign []storage.Change
		for _, c := range w.radio.heard() {
			if len(mine) == 0 || c.Key == mine[0].Key {
				mine = append(mine, c)
			} else {
				foreign = append(foreign, c)
			}
		}
		if len(mine) != 3 || len(foreign) != 1 {
			t.Fatalf("%d and %d changes were told", len(mine), len(foreign))
		}
		for _, c := range mine {
			w.radio.tell(c)
			synctest.Wait()
		}
		if h.Get("n") != 3 || len(n.events) != 0 || w.a.Stats().Loads != loads {
			t.Errorf("old news: it has %v, %d were told, %d reads", h.Get("n"), len(n.events), w.a.Stats().Loads-loads)
		}
		for _, c := range foreign { // another session's value under this key
			c.Key = mine[0].Key
			w.radio.tell(c)
			synctest.Wait()
		}
		w.radio.tell(storage.Change{Kind: storage.Written, Key: mine[0].Key, Item: storage.Item{Value: []byte("rubbish"), Revision: "x"}})
		w.radio.tell(storage.Change{Kind: storage.Removed, Key: "no such key"})
		synctest.Wait()
		if h.Get("n") != 3 || len(n.events) != 0 || h.Err() != nil {
			t.Errorf("foreign news: it has %v, %d were told, %v", h.Get("n"), len(n.events), h.Err())
		}
		if w.a.Stats().Loads == loads {
			t.Error("what cannot be was not looked into")
		}
		_ = other
	})
}

// What is told while a read is under way, whose answer is older, is not lost.
func TestFeed_NewsDuringARead(t *testing.T) {
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(w *world) {
		t := w.t
		h, hb, n := w.share(map[string]any{"n": 1})
		hold := make(chan struct{})
		w.radio.mu.Lock()
		w.radio.hold = hold
		w.radio.mu.Unlock()
		done := make(chan error)
		go func() { done <- h.Reload(ctx) }() // received below
		synctest.Wait()
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 1 || len(n.events) != 0 {
			t.Error("it was applied in the middle of a round")
		}
		loads := w.a.Stats().Loads
		close(hold)
		must(t, <-done)
		synctest.Wait()
		if h.Get("n") != 2 || len(n.events) != 1 || w.a.Stats().Loads != loads+1 {
			t.Errorf("it has %v after %d events and %d reads", h.Get("n"), len(n.events), w.a.Stats().Loads-loads)
		}
	})
}

// slowCodec decodes when it may.
type slowCodec struct {
	fibersession.Codec
	gate atomic.Pointer[chan struct{}]
	free atomic.Int32 // so many go through
}

func (c *slowCodec) Decode(data []byte) (map[string]any, error) {
	if gate := c.gate.Load(); gate != nil && c.free.Add(-1) < 0 {
		<-*gate
	}
	return c.Codec.Decode(data)
}

// While a change is being applied, what was there before it does not count as good.
func TestTracked_NotWhileAChangeIsApplied(t *testing.T) {
	codec := &slowCodec{Codec: new(fibersession.Typed)}
	inWorld(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}, Codec: codec}, func(w *world) {
		t := w.t
		h, hb, _ := w.share(map[string]any{"n": 1})
		gate := make(chan struct{})
		codec.free.Store(1) // for the writer, who makes sure that it can be read
		codec.gate.Store(&gate)
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait() // the worker decodes
		done := make(chan error, 1)
		go func() { done <- h.Refresh(ctx, fibersession.Tracked) }() // received below
		synctest.Wait()
		if len(done) != 0 {
			t.Error("it was served what was there before")
		}
		close(gate)
		must(t, <-done)
		if h.Get("n") != 2 {
			t.Errorf("it has %v", h.Get("n"))
		}
	})
}

// Of many changes in a row the last counts, and nobody waits for anybody.
func TestFeed_ABurst(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		h, hb, n := w.share(map[string]any{"n": 0})
		for i := range 5000 { // more than any queue holds
			hb.Set("n", i)
			must(w.t, hb.Save(ctx))
		}
		synctest.Wait()
		if h.Get("n") != 4999 || len(n.events) == 0 {
			w.t.Errorf("it has %v after %d events", h.Get("n"), len(n.events))
		}
	})
}

// A watcher that hangs holds up its own session only.
func TestFeed_AWatcherThatHangs(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		h, hb, _ := w.share(map[string]any{"n": 0})
		_, otherB, n := w.share(map[string]any{"n": 0})
		let := make(chan struct{})
		defer h.Watch(func(fibersession.Event) { <-let })()
		hb.Set("n", 1)
		must(w.t, hb.Save(ctx))
		synctest.Wait()
		otherB.Set("n", 1)
		must(w.t, otherB.Save(ctx))
		synctest.Wait()
		if len(n.events) != 1 {
			w.t.Errorf("the other session was told %d events", len(n.events))
		}
		hb.Set("n", 2)
		must(w.t, hb.Save(ctx))
		synctest.Wait()
		if h.Get("n") != 2 {
			w.t.Error("the session itself stands still")
		}
		close(let)
	})
}

// Strict reads of one session that come together cost two: one that some may have
// come too late for, and one for all others.
func TestStrict_ReadsOfOneSessionAreOne(t *testing.T) {
	inWorld(t, fibersession.Config{}, func(w *world) {
		h, _, _ := w.share(nil)
		w.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Delay: 10 * time.Millisecond}))
		before := w.a.Stats().Loads
		var wg sync.WaitGroup
		for range 500 {
			f := h.Fork()
			wg.Go(func() { // waited for below
				if err := f.Refresh(ctx, fibersession.Strict); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.a.Stats().Loads - before; n != 2 || w.radio.most.Load() != 1 {
			w.t.Errorf("%d reads, %d at once", n, w.radio.most.Load())
		}
	})
}
