package fibersession_test

import (
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

// A strict read of a storage.Checker asks the storage every time, decodes only new
// revisions, and fails once the session has ended.
func TestStrict_InMemory(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, here, map[string]any{"n": 0})
	defer h.Release()
	other := handleOf(t, there, h.ID())
	defer other.Release()
	read := func(decodes uint64, n int) {
		t.Helper()
		before := here.Stats()
		must(t, h.Refresh(ctx, fibersession.Strict))
		after := here.Stats()
		if after.Loads != before.Loads+1 || after.Decodes != before.Decodes+decodes {
			t.Errorf("a read made %d loads and %d decodes, want 1 and %d", after.Loads-before.Loads, after.Decodes-before.Decodes, decodes)
		}
		if got := h.Get("n"); got != n {
			t.Errorf("after a read: got n = %v, want %d", got, n)
		}
	}
	read(0, 0)
	read(0, 0)
	for n := 1; n < 4; n++ {
		_, err := other.Incr(ctx, "n", 1)
		must(t, err)
		read(1, n)
		read(0, n)
	}
	confirmed := h.Confirmed()
	read(0, 3)
	if !h.Confirmed().After(confirmed) {
		t.Error("a read that found nothing new did not advance Confirmed")
	}
	must(t, other.Destroy(ctx))
	if err := h.Refresh(ctx, fibersession.Strict); err == nil {
		t.Error("a read of a session that another node destroyed succeeded")
	}
}

// With Builtin a stored value does not carry its expiry: a session lives while its value
// exists. So a read has to extend the deadline even if nothing changed.
func TestStrict_InMemoryBuiltin(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Builtin: true})
	h := storedSession(t, s, map[string]any{"n": 0})
	defer h.Release()
	ends := h.Deadline()
	must(t, h.Refresh(ctx, fibersession.Strict))
	if !h.Deadline().After(ends) {
		t.Error("the read did not extend the deadline")
	}
}

// A tracked read asks the store only if the feed cannot confirm the copy.
func TestTracked_AsksOnlyWhenItMust(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   fibersession.Config
		f     fibersession.Freshness
		do    func(ft *feedTest, h *fibersession.Handle)
		loads uint64 // of one Refresh
	}{
		"healthy feed":              {f: fibersession.Tracked},
		"healthy feed, strict read": {f: fibersession.Strict, loads: 1},
		"the default":               {loads: 1},
		"by config":                 {cfg: fibersession.Config{Freshness: fibersession.Tracked}},
		"strict overrides config":   {cfg: fibersession.Config{Freshness: fibersession.Tracked}, f: fibersession.Strict, loads: 1},
		"lag at the limit":          {f: fibersession.Tracked, do: func(ft *feedTest, _ *fibersession.Handle) { ft.feed.set(false, false, 2*time.Second) }},
		"lag above the limit":       {f: fibersession.Tracked, do: func(ft *feedTest, _ *fibersession.Handle) { ft.feed.set(false, false, 2*time.Second+1) }, loads: 1},
		"lag above the configured limit": {cfg: fibersession.Config{Tracking: fibersession.Tracking{MaxLag: time.Second}}, f: fibersession.Tracked, loads: 1,
			do: func(ft *feedTest, _ *fibersession.Handle) { ft.feed.set(false, false, 1100*time.Millisecond) }},
		"unknown lag": {f: fibersession.Tracked, do: func(ft *feedTest, _ *fibersession.Handle) { ft.feed.set(false, true, 0) }, loads: 1},
		"builtin":     {cfg: fibersession.Config{Builtin: true}, f: fibersession.Tracked, loads: 1},
		"after an own change": {f: fibersession.Tracked, do: func(_ *feedTest, h *fibersession.Handle) {
			h.Set("n", 2)
			must(t, h.Save(ctx))
		}},
		"after a pushed change": {f: fibersession.Tracked, do: func(ft *feedTest, h *fibersession.Handle) {
			hb := handleOf(ft.t, ft.b, h.ID())
			hb.Set("n", 2)
			must(ft.t, hb.Save(ctx))
			synctest.Wait()
		}},
		"after a new ID": {f: fibersession.Tracked, do: func(ft *feedTest, h *fibersession.Handle) {
			must(ft.t, h.Regenerate(ctx))
			synctest.Wait()
		}},
		"after a gap": {f: fibersession.Tracked, do: func(ft *feedTest, _ *fibersession.Handle) {
			ft.feed.deliver(storage.Change{Kind: storage.Gap})
			synctest.Wait()
		}},
		"after a gap, if the read that follows it fails": {f: fibersession.Tracked, loads: 1, do: func(ft *feedTest, _ *fibersession.Handle) {
			ft.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Fail: errors.New("down")}))
			ft.feed.deliver(storage.Change{Kind: storage.Gap})
			synctest.Wait()
			ft.faulty.SetPlan(nil)
		}},
		"after a write of unknown outcome": {f: fibersession.Tracked, loads: 1, do: func(ft *feedTest, h *fibersession.Handle) {
			ft.feed.set(true, false, 0)
			ft.faulty.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Lose: errors.New("cut")}))
			f := h.Fork()
			f.Set("n", 2)
			if err := f.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) {
				t.Errorf("Save: got %v, want ErrUnknownOutcome", err)
			}
			ft.faulty.SetPlan(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			runFeedTest(t, tt.cfg, func(ft *feedTest) {
				h, _, _ := ft.shareSession(map[string]any{"n": 1})
				if tt.do != nil {
					tt.do(ft, h)
				}
				before := ft.a.Stats()
				must(ft.t, h.Refresh(ctx, tt.f))
				s := ft.a.Stats()
				if s.Loads-before.Loads != tt.loads || s.SkippedReads-before.SkippedReads != 1-tt.loads {
					ft.t.Errorf("got %d loads and %d spared ones, want %d and %d", s.Loads-before.Loads, s.SkippedReads-before.SkippedReads, tt.loads, 1-tt.loads)
				}
				want := handleOf(ft.t, ft.b, h.ID()).Get("n")
				if h.Get("n") != want {
					ft.t.Errorf("got n = %v, want %v", h.Get("n"), want)
				}
			})
		})
	}
}

// A session that is not watched is not tracked. One that has passed its deadline, as far as
// this node knows, is read from the store.
func TestTracked_OnlyWatchedAndAlive(t *testing.T) {
	runFeedTest(t, fibersession.Config{Expiration: time.Hour, Freshness: fibersession.Tracked, Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		unwatched := storedSession(t, ft.a, map[string]any{"n": 1})
		must(t, unwatched.Refresh(ctx, 0))
		if s := ft.a.Stats(); s.SkippedReads != 0 || s.Loads != 1 {
			t.Errorf("not watched: got %d spared loads and %d loads, want 0 and 1", s.SkippedReads, s.Loads)
		}
		h, hb, _ := ft.shareSession(nil)
		ft.feed.set(true, false, 0)
		time.Sleep(30 * time.Minute)
		must(t, hb.Touch(ctx)) // the feed drops this change
		time.Sleep(30*time.Minute - 1)
		must(t, h.Refresh(ctx, 0))
		if ft.a.Stats().SkippedReads != 1 {
			t.Error("before the deadline: the store was asked")
		}
		before := ft.a.Stats().Loads
		time.Sleep(2 * time.Nanosecond)
		must(t, h.Refresh(ctx, 0))
		if n := ft.a.Stats().Loads - before; n != 1 {
			t.Errorf("after the deadline: got %d loads, want 1", n)
		}
	})
}

// Requests use the tracked copy, too.
func TestTracked_Requests(t *testing.T) {
	runFeedTest(t, fibersession.Config{Freshness: fibersession.Tracked}, func(ft *feedTest) {
		h, _, _ := ft.shareSession(nil)
		id, loads := h.ID(), ft.a.Stats().Loads
		for range 10 {
			handleOf(ft.t, ft.a, id)
		}
		if s := ft.a.Stats(); s.Loads != loads || s.SkippedReads != 10 {
			ft.t.Errorf("got %d loads and %d spared ones, want 0 and 10", s.Loads-loads, s.SkippedReads)
		}
	})
}

// In memory a tracked read sees every change that a writer knows to be stored.
func TestTracked_MemoryIsExact(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	t.Run("nodes", func(t *testing.T) {
		cfg := fibersession.Config{Storage: st, Freshness: fibersession.Tracked, Timeouts: fibersession.Timeouts{Storage: waitLimit}}
		a, b := newStore(t, cfg), newStore(t, cfg)
		h, hb, _ := sharedSession(t, a, b, map[string]any{"n": 0})
		for i := 1; i <= 1500; i++ {
			hb.Set("n", i)
			must(t, hb.Save(ctx))
			must(t, h.Refresh(ctx, 0))
			if h.Get("n") != i {
				t.Fatalf("after n = %d was saved: got n = %v", i, h.Get("n"))
			}
		}
		must(t, hb.Destroy(ctx))
		if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("after the logout: got %v, want ErrSessionGone", err)
		}
	})
}

// slowCodec blocks in Decode, if gate is set, until gate is closed.
type slowCodec struct {
	fibersession.Codec
	gate atomic.Pointer[chan struct{}]
	free atomic.Int32 // this many calls pass without waiting
}

func (c *slowCodec) Decode(data []byte) (map[string]any, error) {
	if gate := c.gate.Load(); gate != nil && c.free.Add(-1) < 0 {
		<-*gate
	}
	return c.Codec.Decode(data)
}

// While a pushed change is being applied, a tracked read does not return the state before
// it.
func TestTracked_NotWhileAChangeIsApplied(t *testing.T) {
	codec := &slowCodec{Codec: new(fibersession.Typed)}
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}, Codec: codec}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(map[string]any{"n": 1})
		gate := make(chan struct{})
		codec.free.Store(1) // the writer decodes what it wrote, to check it
		codec.gate.Store(&gate)
		hb.Set("n", 2)
		must(t, hb.Save(ctx))
		synctest.Wait() // node a is decoding
		done := make(chan error, 1)
		go func() { done <- h.Refresh(ctx, fibersession.Tracked) }() // the receive below waits for it
		synctest.Wait()
		if len(done) != 0 {
			t.Error("the read returned before the change was applied")
		}
		close(gate)
		must(t, <-done)
		if h.Get("n") != 2 {
			t.Errorf("got n = %v, want 2", h.Get("n"))
		}
	})
}

// Concurrent strict reads of one session take two loads: one for the first caller, and one
// that began after all others had called.
func TestStrict_ConcurrentReadsShareALoad(t *testing.T) {
	runFeedTest(t, fibersession.Config{}, func(ft *feedTest) {
		h, _, _ := ft.shareSession(nil)
		ft.faulty.SetPlan(faulty.OnMethod("Load", faulty.Fault{Delay: 10 * time.Millisecond}))
		before := ft.a.Stats().Loads
		var wg sync.WaitGroup
		for range 500 {
			f := h.Fork()
			wg.Go(func() { // wg.Wait below waits for it
				if err := f.Refresh(ctx, fibersession.Strict); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := ft.a.Stats().Loads - before; n != 2 || ft.feed.maxReads.Load() != 1 {
			ft.t.Errorf("got %d loads, %d at once; want 2, one at a time", n, ft.feed.maxReads.Load())
		}
	})
}
