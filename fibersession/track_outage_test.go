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

// While the store is away, what this node has is served for OutageGrace, to be read.
func TestOutage_GraceServesWhatWasConfirmed(t *testing.T) {
	for name, f := range map[string]fibersession.Freshness{"strict": fibersession.Strict, "tracked": fibersession.Tracked} {
		t.Run(name, func(t *testing.T) {
			cfg := fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: 10 * time.Second, Recheck: -1}, Freshness: f, Timeouts: fibersession.Timeouts{TouchInterval: time.Second}}
			runFeedTest(t, cfg, func(ft *feedTest) {
				t := ft.t
				h, _, _ := ft.shareSession(map[string]any{"n": 1})
				id := h.ID()
				time.Sleep(time.Hour) // so that its touch is due; and the feed alone vouches for it
				if f == fibersession.Strict {
					must(t, h.Refresh(ctx, 0))
				} else if must(t, h.Refresh(ctx, 0)); ft.a.Stats().Spared != 1 {
					t.Fatal("it is not tracked")
				}
				begin := time.Now()
				ft.failStore(true)
				time.Sleep(10*time.Second - 1)
				must(t, h.Refresh(ctx, 0))
				if got := handleOf(t, ft.a, id).Get("n"); got != 1 {
					t.Errorf("a request has %v", got)
				}
				if !h.Confirmed().Equal(begin) {
					t.Errorf("confirmed %v after the store went away", h.Confirmed().Sub(begin))
				}
				must(t, h.Touch(ctx))
				h.Set("n", 2)
				if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("a save: %v", err)
				}
				if _, err := h.Fork().Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Incr: %v", err)
				}
				if err := h.Fork().Reload(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("Reload, which asks: %v", err)
				}
				time.Sleep(time.Nanosecond)
				if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("after the grace: %v", err)
				}
				if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("a touch after the grace: %v", err)
				}
				if _, err := ft.a.GetByID(ctx, id); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("a request after the grace: %v", err)
				}
				ft.failStore(false)
				must(t, h.Save(ctx))
				must(t, h.Refresh(ctx, 0))
				if h.Get("n") != 2 || !h.Confirmed().Equal(time.Now()) {
					t.Errorf("when it is back: %v, confirmed %v ago", h.Get("n"), time.Since(h.Confirmed()))
				}
			})
		})
	}
}

func TestOutage_WhatIsNotServed(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: time.Hour, Recheck: -1}, Expiration: 10 * time.Minute}, func(ft *feedTest) {
		t := ft.t
		h, hb, _ := ft.shareSession(nil)
		idle, _, _ := ft.shareSession(nil)
		other := storedSession(t, ft.b, nil)
		must(t, hb.Destroy(ctx))
		synctest.Wait()
		ft.failStore(true)
		if err := h.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("a session that has ended: %v", err)
		}
		if _, err := ft.a.GetByID(ctx, other.ID()); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("one that this node does not have: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if err := idle.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("one past its limit: %v", err)
		}
		ft.failStore(false)
		synctest.Wait()
	})
}

// Without a grace nothing is served, and a store that hangs is waited for once.
func TestOutage_RefuseIsTheDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		fault faulty.Fault
		wait  time.Duration
	}{
		"refused": {faulty.Fault{Fail: errDown}, 0},
		"hanging": {faulty.Fault{Hang: true}, time.Second},
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
					go func() { // received below
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
						t.Errorf("%v", err)
					}
				}
				if d := time.Since(begin); d > 2*tt.wait || d < tt.wait {
					t.Errorf("%d calls had their answers after %v", callers, d)
				}
				ft.faulty.SetPlan(nil)
				must(t, h.Refresh(ctx, 0))
			})
		})
	}
}

// Who has waited behind a call that hung is not made to wait again; who comes later asks
// the store.
func TestOutage_WhoWaitedBehindAHang(t *testing.T) {
	runFeedTest(t, fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, func(ft *feedTest) {
		t := ft.t
		h, _, _ := ft.shareSession(map[string]any{"n": 1})
		came := time.Now()
		ft.faulty.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
		behind, later := h.Fork(), h.Fork()
		behind.QueuedSince(came)
		try := func(what string, h *fibersession.Handle, wait time.Duration) {
			t.Helper()
			for call, do := range map[string]func() error{
				"Refresh": func() error { return h.Refresh(ctx, 0) },
				"Reload":  func() error { return h.Reload(ctx) },
				"Update":  func() error { _, err := h.Incr(ctx, "n", 1); return err },
			} {
				begin := time.Now()
				err := do()
				if !errors.Is(err, fibersession.ErrUnavailable) && (wait == 0 || !errors.Is(err, fibersession.ErrUnknownOutcome)) {
					t.Errorf("%s: %s: %v", what, call, err)
				}
				if d := time.Since(begin); d != wait {
					t.Errorf("%s: %s took %v, want %v", what, call, d, wait)
				}
			}
		}
		try("the first", later, time.Second)
		try("who waited behind it", behind, 0)
		try("who comes now", later, time.Second)
		time.Sleep(time.Second)
		if err := behind.Refresh(ctx, 0); !errors.Is(err, fibersession.ErrUnavailable) || time.Since(came) != 8*time.Second {
			t.Errorf("who waited, long after: %v after %v", err, time.Since(came))
		}
		ft.faulty.SetPlan(nil)
		must(t, later.Refresh(ctx, 0))
		must(t, behind.Refresh(ctx, 0))
	})
}

// A request that reads the session as it was, and writes, waits for the store once.
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
			t.Errorf("it had %d after %v", res.status, time.Since(begin))
		}
		ft.faulty.SetPlan(nil)
		if res := b.get("/"); res.status != fiber.StatusOK {
			t.Errorf("when the store is back: %d", res.status)
		}
	})
}
