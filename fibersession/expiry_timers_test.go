package fibersession_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// ends records when a session's end is told, and how often.
type endRecorder struct {
	mu    sync.Mutex
	at    time.Time
	cause error
	n     int
}

func (e *endRecorder) watch(h *fibersession.Handle) (stop func()) {
	return h.Watch(func(ev fibersession.Event) {
		if ev.Kind == fibersession.Ended {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.at, e.cause, e.n = time.Now(), ev.Cause, e.n+1
		}
	})
}

// expect checks that the end was told n times, so long after begin.
func (e *endRecorder) expect(t *testing.T, n int, begin time.Time, after time.Duration) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n != n || n > 0 && (e.at.Sub(begin) != after || !errors.Is(e.cause, fibersession.ErrExpired)) {
		t.Errorf("told %d times, after %v, of %v; want %d after %v", e.n, e.at.Sub(begin), e.cause, n, after)
	}
}

func TestB8_ExpiryIsToldAtTheLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  fibersession.Config
		use  func(t *testing.T, h *fibersession.Handle)
		want time.Duration
	}{
		"idle": {fibersession.Config{Expiration: time.Hour}, func(*testing.T, *fibersession.Handle) {}, time.Hour},
		"slid": {fibersession.Config{Expiration: time.Hour}, func(t *testing.T, h *fibersession.Handle) {
			time.Sleep(59 * time.Minute)
			must(t, h.Touch(ctx))
		}, 119 * time.Minute},
		"saved": {fibersession.Config{Expiration: time.Hour}, func(t *testing.T, h *fibersession.Handle) {
			time.Sleep(59 * time.Minute)
			h.Set("n", 2)
			must(t, h.Save(ctx))
		}, 119 * time.Minute},
		"a new ID": {fibersession.Config{Expiration: time.Hour}, func(t *testing.T, h *fibersession.Handle) {
			must(t, h.Regenerate(ctx))
		}, time.Hour},
		"absolute": {fibersession.Config{Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: 90 * time.Minute}}, func(t *testing.T, h *fibersession.Handle) {
			time.Sleep(59 * time.Minute)
			must(t, h.Touch(ctx))
		}, 90 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeClock(t, tt.cfg, func(t *testing.T, s *fibersession.Store) {
				begin := time.Now()
				h := storedSession(t, s, map[string]any{"n": 1})
				defer h.Release()
				var got endRecorder
				defer got.watch(h)()
				tt.use(t, h)
				time.Sleep(time.Until(begin.Add(tt.want - time.Millisecond)))
				got.expect(t, 0, begin, 0)
				time.Sleep(3 * time.Hour)
				got.expect(t, 1, begin, tt.want)
				if err := h.Err(); !errors.Is(err, fibersession.ErrExpired) {
					t.Errorf("Err is %v", err)
				}
				if n := s.Stats().Deadlines; n != 0 {
					t.Errorf("%d deadlines are left", n)
				}
			})
		})
	}
}

// However many watch a session, it has one deadline, and waiting asks the store
// nothing but for Recheck.
func TestB8_ThousandsOfWatchersAreOneDeadline(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour, Tracking: fibersession.Tracking{Recheck: -1}}, func(t *testing.T, s *fibersession.Store) {
		const watchers = 5000
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		other := storedSession(t, s, map[string]any{"n": 1})
		defer other.Release()
		var told int
		var stops []func()
		for range watchers {
			f := h.Fork()
			stops = append(stops, f.Watch(func(fibersession.Event) { told++ }))
		}
		defer other.Watch(func(fibersession.Event) {})()
		if n := s.Stats().Deadlines; n != 2 {
			t.Errorf("two sessions have %d deadlines", n)
		}
		synctest.Wait() // what was watched is read once, as it is subscribed to
		before := s.Stats()
		time.Sleep(time.Hour)
		synctest.Wait()
		after := s.Stats()
		if told != watchers || after.Loads-before.Loads != 2 || after.Deadlines != 0 {
			t.Errorf("%d were told, with %d loads, and %d deadlines are left", told, after.Loads-before.Loads, after.Deadlines)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// A deadline is there only for a session that is stored and watched.
func TestDeadlines_OnlyForWhoWatches(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, s *fibersession.Store) {
		expect := func(when string, want int) {
			t.Helper()
			if n := s.Stats().Deadlines; n != want {
				t.Errorf("%s: %d deadlines, want %d", when, n, want)
			}
		}
		h := newSession(t, s)
		stop := h.Watch(func(fibersession.Event) {})
		expect("never stored", 0)
		h.Set("n", 1)
		must(t, h.Save(ctx))
		expect("stored", 1)
		again := h.Watch(func(fibersession.Event) {})
		stop()
		expect("one of two stopped", 1)
		again()
		again()
		expect("nobody watches", 0)
		h.Watch(func(fibersession.Event) {})
		expect("watched anew", 1)
		must(t, h.Regenerate(ctx))
		expect("a new ID", 1)
		h.Release()
		expect("released with a watch left", 0)

		g := storedSession(t, s, nil)
		defer g.Release()
		g.Watch(func(fibersession.Event) {})
		must(t, g.Destroy(ctx))
		synctest.Wait() // the feed tells of it too
		expect("destroyed", 0)
	})
}

// A limit that moves forward is kept too: SetExpiry may shorten it.
func TestDeadlines_AShorterLimit(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		app := newApp(s, map[string]fiber.Handler{
			"/": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 1); return nil },
			"/short": func(c *fiber.Ctx) error {
				fibersession.FromContext(c).SetExpiry(time.Minute)
				return nil
			},
		})
		b := newBrowser(t, app)
		b.get("/")
		h := handleOf(t, s, b.session())
		defer h.Release()
		var got endRecorder
		defer got.watch(h)()
		b.get("/short")
		begin := time.Now()
		time.Sleep(2 * time.Minute)
		got.expect(t, 1, begin, time.Minute)
	})
}

// Before a session is ended the store is asked: another node may have used it.
func TestDeadlines_AnotherNodeUsedIt(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, _ *fibersession.Store) {
		st := memory.New()
		a := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		b := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		begin := time.Now()
		h := storedSession(t, a, map[string]any{"n": 1})
		other, err := b.GetByID(ctx, h.ID())
		must(t, err)
		var got endRecorder
		stop := got.watch(h)
		time.Sleep(40 * time.Minute)
		must(t, other.Touch(ctx))
		time.Sleep(2 * time.Hour)
		got.expect(t, 1, begin, 100*time.Minute)
		stop()
		h.Release()
		other.Release()
		must(t, st.Close())
	})
}

// A store that cannot be asked ends no session whose idle limit another node may
// have moved, and no other session waits for it; the absolute limit needs no store.
func TestDeadlines_TheStoreFails(t *testing.T) {
	for name, tt := range map[string]struct {
		fault      faulty.Fault
		late, next time.Duration
	}{
		"fails": {faulty.Fault{Fail: errors.New("down")}, 0, time.Second},
		"hangs": {faulty.Fault{Hang: true}, time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			withFakeClock(t, fibersession.Config{}, func(t *testing.T, _ *fibersession.Store) {
				st := faulty.New(memory.New(), nil)
				cfg := fibersession.Config{Storage: st, Expiration: time.Hour, Timeouts: fibersession.Timeouts{Storage: time.Second}, Tracking: fibersession.Tracking{Recheck: -1}, Logger: discardLogger}
				soft := fibersession.New(cfg)
				cfg.Timeouts.Absolute = time.Hour
				hard := fibersession.New(cfg)
				begin := time.Now()
				a, b := storedSession(t, soft, nil), storedSession(t, hard, nil)
				var idle, absolute endRecorder
				stopIdle, stopAbsolute := idle.watch(a), absolute.watch(b)
				synctest.Wait() // both are tracked
				st.SetPlan(func(faulty.Call) faulty.Fault { return tt.fault })
				time.Sleep(2*time.Hour + time.Second/2)
				idle.expect(t, 0, begin, 0)
				absolute.expect(t, 1, begin, time.Hour+tt.late)
				st.SetPlan(nil)
				time.Sleep(2 * time.Second)
				idle.expect(t, 1, begin, 2*time.Hour+tt.next)
				stopIdle()
				stopAbsolute()
				a.Release()
				b.Release()
				must(t, soft.Close())
				must(t, hard.Close())
				must(t, st.Close())
			})
		})
	}
}

// Close ends the watch and waits for what it tells.
func TestDeadlines_Close(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, _ *fibersession.Store) {
		st := memory.New()
		s := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		h, late := storedSession(t, s, nil), storedSession(t, s, nil)
		var told, after atomic.Int32
		stop := h.Watch(func(fibersession.Event) {
			time.Sleep(time.Minute)
			told.Add(1)
		})
		time.Sleep(time.Second)
		must(t, late.Touch(ctx))
		late.Set("n", 1)
		must(t, late.Save(ctx))
		stopLate := late.Watch(func(fibersession.Event) { after.Add(1) })
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		must(t, s.Close())
		if told.Load() != 1 {
			t.Error("Close returned before the end was told")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if after.Load() != 0 {
			t.Error("an end was told after Close")
		}
		stop()
		stopLate()
		h.Release()
		late.Release()
		must(t, st.Close())
	})
}

// A value that does not carry its expiry tells by being there that it may live on:
// it is asked for again.
func TestDeadlines_Builtin(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, _ *fibersession.Store) {
		st := memory.New()
		s := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Builtin: true, Tracking: fibersession.Tracking{Recheck: -1}, Logger: discardLogger})
		begin := time.Now()
		h := storedSession(t, s, nil)
		var got endRecorder
		stop := got.watch(h)
		synctest.Wait() // it is tracked
		before := s.Stats().Loads
		time.Sleep(65*time.Minute + time.Second)
		got.expect(t, 0, begin, 0)
		if n := s.Stats().Loads - before; n != 6 {
			t.Errorf("it was asked for %d times in the 5 minutes after its limit, want 6", n)
		}
		must(t, st.Delete(h.ID())) // what the storage's own expiry does
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.Is(h.Err(), fibersession.ErrSessionGone) || got.n != 1 {
			t.Errorf("it ended %d times: %v", got.n, h.Err())
		}
		stop()
		h.Release()
		must(t, s.Close())
		must(t, st.Close())
	})
}
