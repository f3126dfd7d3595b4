package fibersession_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
)

// While the store fails, the last confirmed copy is served for OutageGrace, for reading
// only.
func TestOutage_GraceServesWhatWasConfirmed(t *testing.T) {
	for name, f := range map[string]fibersession.Freshness{"strict": fibersession.Strict, "tracked": fibersession.Tracked} {
		t.Run(name, func(t *testing.T) {
			cfg := fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: 10 * time.Second, Recheck: -1}, Freshness: f, Timeouts: fibersession.Timeouts{TouchInterval: time.Second}}
			runFeedTest(t, cfg, func(ft *feedTest) {
				t := ft.t
				h, _, _ := ft.shareSession(map[string]any{"n": 1})
				id := h.ID()
				time.Sleep(time.Hour) // so that a touch is due, and only the feed confirms the copy
				if f == fibersession.Strict {
					must(t, h.Refresh(ctx, 0))
				} else if must(t, h.Refresh(ctx, 0)); ft.a.Stats().SkippedReads != 1 {
					t.Fatal("the session is not tracked")
				}
				begin := time.Now()
				ft.failStore(true)
				time.Sleep(10*time.Second - 1)
				must(t, h.Refresh(ctx, 0))
				if got := handleOf(t, ft.a, id).Get("n"); got != 1 {
					t.Errorf("a request during the grace: got n = %v, want 1", got)
				}
				if !h.Confirmed().Equal(begin) {
					t.Errorf("got Confirmed %v after the outage began, want 0s", h.Confirmed().Sub(begin))
				}
				must(t, h.Touch(ctx))
				h.Set("n", 2)
				if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Save: got %v, want ErrUnavailable", err)
				}
				if _, err := h.Fork().Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Incr: got %v, want ErrUnavailable", err)
				}
				if err := h.Fork().Reload(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Reload: got %v, want ErrUnavailable", err)
				}
				time.Sleep(time.Nanosecond)
				if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Refresh after the grace: got %v, want ErrUnavailable", err)
				}
				if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Touch after the grace: got %v, want ErrUnavailable", err)
				}
				if _, err := ft.a.GetByID(ctx, id); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("GetByID after the grace: got %v, want ErrUnavailable", err)
				}
				ft.failStore(false)
				must(t, h.Save(ctx))
				must(t, h.Refresh(ctx, 0))
				if h.Get("n") != 2 || !h.Confirmed().Equal(time.Now()) {
					t.Errorf("after the outage: got n = %v, confirmed %v ago; want 2, confirmed now", h.Get("n"), time.Since(h.Confirmed()))
				}
			})
		})
	}
}

func TestOutage_NotServed(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: time.Hour, Recheck: -1}, Expiration: 10 * time.Minute}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(nil)
		idle, _, _ := ft.shareSession(nil)
		other := storedSession(t, ft.b, nil)
		must(t, hb.Destroy(ctx))
		synctest.Wait()
		ft.failStore(true)
		if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("an ended session: got %v, want ErrSessionGone", err)
		}
		if _, err := ft.a.GetByID(ctx, other.ID()); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("a session that this node has no copy of: got %v, want ErrUnavailable", err)
		}
		time.Sleep(10 * time.Minute)
		if err := idle.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("a session past its deadline: got %v, want ErrUnavailable", err)
		}
		ft.failStore(false)
		synctest.Wait()
	})
}

// Without OutageGrace nothing is served during an outage. If the store hangs, the callers
// wait for one timeout, not for one each.
func TestOutage_NoGraceByDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		fault faulty.Fault
		wait  time.Duration
	}{
		"the store fails at once": {faulty.Fault{Fail: errDown}, 0},
		"the store hangs":         {faulty.Fault{Hang: true}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
				t := ft.t
				h, _, _ := ft.shareSession(map[string]any{"n": 1})
				ft.faulty.SetPlan(func(faulty.Call) faulty.Fault { return tt.fault })
				begin := time.Now()
				errs := make(chan error)
				const callers = 200
				for i := range callers {
					f := h.Fork()
					go func() { // the receive below waits for it
						if i%2 == 0 {
							errs <- f.Refresh(ctx, 0)
							return
						}
						_, err := f.Incr(ctx, "n", 1)
						errs <- err
					}()
				}
				for range callers {
					if err := <-errs; !errors.Is(err, fibersession.ErrUnavailable) && !errors.Is(err, fibersession.ErrUnknownOutcome) {
						t.Errorf("got %v, want ErrUnavailable or ErrUnknownOutcome", err)
					}
				}
				if d := time.Since(begin); d > 2*tt.wait || d < tt.wait {
					t.Errorf("%d calls took %v, want %v to %v", callers, d, tt.wait, 2*tt.wait)
				}
				ft.faulty.SetPlan(nil)
				must(t, h.Refresh(ctx, 0))
			})
		})
	}
}

// A call that was queued behind a hung one fails with it. A later call asks the store
// again.
func TestOutage_QueuedBehindAHungCall(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, _, _ := ft.shareSession(map[string]any{"n": 1})
		queuedAt := time.Now()
		ft.faulty.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
		behind, later := h.Fork(), h.Fork()
		behind.QueuedSince(queuedAt)
		check := func(what string, h *fibersession.Handle, wait time.Duration) {
			t.Helper()
			for call, do := range map[string]func() error{
				"Refresh": func() error { return h.Refresh(ctx, 0) },
				"Reload":  func() error { return h.Reload(ctx) },
				"Update":  func() error { _, err := h.Incr(ctx, "n", 1); return err },
			} {
				begin := time.Now()
				err := do()
				if !errors.Is(err, fibersession.ErrUnavailable) && (wait == 0 || !errors.Is(err, fibersession.ErrUnknownOutcome)) {
					t.Errorf("%s: %s: got %v, want ErrUnavailable", what, call, err)
				}
				if d := time.Since(begin); d != wait {
					t.Errorf("%s: %s took %v, want %v", what, call, d, wait)
				}
			}
		}
		check("the first call", later, time.Second)
		check("queued behind it", behind, 0)
		check("a later call", later, time.Second)
		time.Sleep(time.Second)
		if err := behind.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) || time.Since(queuedAt) != 8*time.Second {
			t.Errorf("the queued handle, later: got %v after %v, want ErrUnavailable after 8s", err, time.Since(queuedAt))
		}
		ft.faulty.SetPlan(nil)
		must(t, later.Refresh(ctx, 0))
		must(t, behind.Refresh(ctx, 0))
	})
}

// A request that reads the copy during an outage and then writes waits for the store once.
func TestOutage_ARequestWaitsOnce(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1, OutageGrace: time.Hour}}, func(ft *feedTest) {
		t := ft.t
		app := fiber.New()
		app.Use(ft.a.Handler())
		app.Get("/", func(c *fiber.Ctx) error {
			s, err := ft.a.Get(c)
			if err != nil {
				return err
			}
			n, _ := s.Get("n").(int)
			s.Set("n", n+1)
			return c.SendString("")
		})
		b := newBrowser(t, app)
		b.get("/")
		held, err := ft.a.GetByID(ctx, b.cookies["__Host-session"])
		must(t, err)
		defer held.Release()
		ft.faulty.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
		begin := time.Now()
		if res := b.get("/"); res.status != fiber.StatusServiceUnavailable || time.Since(begin) != time.Second {
			t.Errorf("got status %d after %v, want 503 after 1s", res.status, time.Since(begin))
		}
		ft.faulty.SetPlan(nil)
		if res := b.get("/"); res.status != fiber.StatusOK {
			t.Errorf("after the outage: got status %d, want 200", res.status)
		}
	})
}
