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

// endRecorder records the Ended events of a session.
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

// expect fails the test unless n Ended events came, the last one with ErrExpired and this
// long after begin.
func (e *endRecorder) expect(t *testing.T, n int, begin time.Time, after time.Duration) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n != n || n > 0 && (e.at.Sub(begin) != after || !errors.Is(e.cause, fibersession.ErrExpired)) {
		t.Errorf("got %d Ended events, the last after %v with %v; want %d, after %v", e.n, e.at.Sub(begin), e.cause, n, after)
	}
}

func TestB8_ExpiryIsToldAtTheLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  fibersession.Config
		use  func(t *testing.T, h *fibersession.Handle)
		want time.Duration
	}{
		"idle": {fibersession.Config{Expiration: time.Hour}, func(*testing.T, *fibersession.Handle) {}, time.Hour},
		"touched": {fibersession.Config{Expiration: time.Hour}, func(t *testing.T, h *fibersession.Handle) {
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
		"absolute limit": {fibersession.Config{Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: 90 * time.Minute}}, func(t *testing.T, h *fibersession.Handle) {
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
					t.Errorf("got Err %v, want ErrExpired", err)
				}
				if n := s.Stats().ExpiryTimers; n != 0 {
					t.Errorf("got %d deadlines after the end, want none", n)
				}
			})
		})
	}
}

// A session has one deadline however many watchers it has, and waiting for it costs no
// store calls except those of Recheck.
func TestB8_ThousandsOfWatchersAreOneDeadline(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour, Tracking: fibersession.Tracking{Recheck: -1}}, func(t *testing.T, s *fibersession.Store) {
		const watchers = 5000
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		other := storedSession(t, s, map[string]any{"n": 1})
		defer other.Release()
		var events int
		var stops []func()
		for range watchers {
			f := h.Fork()
			stops = append(stops, f.Watch(func(fibersession.Event) { events++ }))
		}
		defer other.Watch(func(fibersession.Event) {})()
		if n := s.Stats().ExpiryTimers; n != 2 {
			t.Errorf("got %d deadlines for two sessions, want 2", n)
		}
		synctest.Wait() // a session is read once when its subscription starts
		before := s.Stats()
		time.Sleep(time.Hour)
		synctest.Wait()
		after := s.Stats()
		if events != watchers || after.Loads-before.Loads != 2 || after.ExpiryTimers != 0 {
			t.Errorf("got %d events, %d loads and %d deadlines; want 5000, 2 and 0", events, after.Loads-before.Loads, after.ExpiryTimers)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// A session has a deadline only while it is both stored and watched.
func TestDeadlines_OnlyWhileWatched(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, s *fibersession.Store) {
		expect := func(when string, want int) {
			t.Helper()
			if n := s.Stats().ExpiryTimers; n != want {
				t.Errorf("%s: got %d deadlines, want %d", when, n, want)
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
		expect("one of two watches stopped", 1)
		again()
		again()
		expect("no watch left", 0)
		h.Watch(func(fibersession.Event) {})
		expect("watched again", 1)
		must(t, h.Regenerate(ctx))
		expect("a new ID", 1)
		h.Release()
		expect("released with an active watch", 0)

		g := storedSession(t, s, nil)
		defer g.Release()
		g.Watch(func(fibersession.Event) {})
		must(t, g.Destroy(ctx))
		synctest.Wait() // the feed reports it too
		expect("destroyed", 0)
	})
}

// SetExpiry may shorten the time that is left.
func TestDeadlines_ShorterLimit(t *testing.T) {
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

// The store is asked before a session is ended, because another node may have used it.
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

// While the store does not answer, no session ends whose idle limit another node may have
// moved, and no other session waits for the answer. The absolute limit needs no answer.
func TestDeadlines_WhenTheStoreFails(t *testing.T) {
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
				idleStore := fibersession.New(cfg)
				cfg.Timeouts.Absolute = time.Hour
				absoluteStore := fibersession.New(cfg)
				begin := time.Now()
				a, b := storedSession(t, idleStore, nil), storedSession(t, absoluteStore, nil)
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
				must(t, idleStore.Close())
				must(t, absoluteStore.Close())
				must(t, st.Close())
			})
		})
	}
}

// Close waits for running event handlers and starts no new ones.
func TestDeadlines_Close(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, _ *fibersession.Store) {
		st := memory.New()
		s := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		h, late := storedSession(t, s, nil), storedSession(t, s, nil)
		var returned, after atomic.Int32
		stop := h.Watch(func(fibersession.Event) {
			time.Sleep(time.Minute)
			returned.Add(1)
		})
		time.Sleep(time.Second)
		must(t, late.Touch(ctx))
		late.Set("n", 1)
		must(t, late.Save(ctx))
		stopLate := late.Watch(func(fibersession.Event) { after.Add(1) })
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		must(t, s.Close())
		if returned.Load() != 1 {
			t.Error("Close returned before the handler of the Ended event had returned")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if after.Load() != 0 {
			t.Error("an Ended event came after Close")
		}
		stop()
		stopLate()
		h.Release()
		late.Release()
		must(t, st.Close())
	})
}

// A value that does not carry its expiry may still be alive while it exists: the store is
// asked for it again and again.
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
			t.Errorf("got %d loads in the 5 minutes after the limit, want 6", n)
		}
		must(t, st.Delete(h.ID())) // as the storage does when the value expires
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.Is(h.Err(), fibersession.ErrSessionGone) || got.n != 1 {
			t.Errorf("got %d Ended events and Err %v, want 1 and ErrSessionGone", got.n, h.Err())
		}
		stop()
		h.Release()
		must(t, s.Close())
		must(t, st.Close())
	})
}
