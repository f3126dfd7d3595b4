package fibersession_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestN4_IdleLimitIsExact(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		id := h.ID()
		if got := time.Until(h.Deadline()); got != time.Hour {
			t.Errorf("the deadline is in %v", got)
		}
		time.Sleep(time.Hour - time.Millisecond)
		must(t, h.Reload(ctx))
		time.Sleep(time.Millisecond)
		if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrExpired) || !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("at the limit: %v, want ErrExpired", err)
		}
		if _, err := s.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("GetByID: %v", err)
		}
	})
}

// Nothing revives a session whose limit has passed, seen or not.
func TestN12_ExpiredStaysExpired(t *testing.T) {
	late := map[string]func(h *fibersession.Handle) error{
		"Save":       func(h *fibersession.Handle) error { h.Set("a", 1); return h.Save(ctx) },
		"Incr":       func(h *fibersession.Handle) error { _, err := h.Incr(ctx, "n", 1); return err },
		"Update":     func(h *fibersession.Handle) error { return h.Update(ctx, increment) },
		"Touch":      func(h *fibersession.Handle) error { return h.Touch(ctx) },
		"Regenerate": func(h *fibersession.Handle) error { return h.Regenerate(ctx) },
	}
	for name, do := range late {
		t.Run(name, func(t *testing.T) {
			withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
				h := storedSession(t, s, map[string]any{"n": 1})
				defer h.Release()
				time.Sleep(time.Hour)
				for range 2 {
					if err := do(h); !errors.Is(err, fibersession.ErrExpired) {
						t.Errorf("%v, want ErrExpired", err)
					}
				}
			})
		})
	}
}

func TestN4_AbsoluteLimitIsExactAndHard(t *testing.T) {
	cfg := fibersession.Config{Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: 150 * time.Minute}}
	withFakeClock(t, cfg, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		for range 149 {
			time.Sleep(time.Minute)
			must(t, h.Touch(ctx))
		}
		h.Set("n", 2)
		must(t, h.Save(ctx))
		must(t, h.Regenerate(ctx)) // it is one session still
		if got := time.Until(h.Deadline()); got != time.Minute {
			t.Errorf("the deadline is in %v, want 1m", got)
		}
		time.Sleep(time.Minute - time.Millisecond)
		must(t, h.Reload(ctx))
		time.Sleep(time.Millisecond)
		if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrExpired) {
			t.Errorf("at the limit: %v, want ErrExpired", err)
		}
	})
}

// Use slides the idle limit, with a write a minute at most, whoever uses it.
func TestN4_TouchesAreGathered(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		f := h.Fork()
		defer h.Release()
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "n"))
		}})
		b := newBrowser(t, app)
		b.cookies["__Host-session"] = h.ID()
		before := s.Stats()
		for range 10 * 60 { // ten minutes, three uses a second
			time.Sleep(time.Second)
			must(t, h.Touch(ctx))
			must(t, f.Touch(ctx))
			if res := b.get("/"); res.status != 200 || len(res.set) != 0 {
				t.Fatalf("a read: %d with %d cookies", res.status, len(res.set))
			}
		}
		after := s.Stats()
		if w := after.Writes - before.Writes; w != 10 || after.Touches-before.Touches != 10 {
			t.Errorf("10 minutes of use made %d writes, %d of them touches; want 10", w, after.Touches-before.Touches)
		}
		if got := time.Until(h.Deadline()); got != time.Hour {
			t.Errorf("the deadline is in %v", got)
		}
	})
}

// Reading over HTTP keeps a session alive; not using it does not.
func TestHandler_SlidesWhatIsRead(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		app := newApp(s, map[string]fiber.Handler{
			"/login": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "eve"); return nil },
			"/read": func(c *fiber.Ctx) error {
				return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
			},
			"/other": func(c *fiber.Ctx) error { return nil },
		})
		b := newBrowser(t, app)
		b.get("/login")
		for range 5 {
			time.Sleep(50 * time.Minute)
			if res := b.get("/read"); res.body != "eve" {
				t.Fatalf("a session in use is gone: %d %q", res.status, res.body)
			}
		}
		time.Sleep(59 * time.Minute)
		before := s.Stats().Loads
		b.get("/other")
		if s.Stats().Loads != before {
			t.Error("a request that did not use the session loaded it")
		}
		time.Sleep(time.Minute)
		old := b.session()
		if res := b.get("/read"); res.body != "" || len(res.set) != 0 {
			t.Errorf("an expired session is %q, with %d cookies", res.body, len(res.set))
		}
		b.get("/login")
		if b.session() == old {
			t.Error("after expiry the ID is the old one")
		}
	})
}

// Another node slides the limit; this one believes it has passed, asks, and goes on.
func TestN4_AnotherNodeSlidesTheLimit(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, here *fibersession.Store) {
		// There is one storage; the second store of the test shares it.
		st := memory.New()
		a := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		b := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger})
		h := storedSession(t, a, map[string]any{"n": 1})
		other, err := b.GetByID(ctx, h.ID())
		must(t, err)
		time.Sleep(40 * time.Minute)
		must(t, other.Touch(ctx))
		time.Sleep(40 * time.Minute)
		h.Set("n", 2)
		must(t, h.Save(ctx))
		must(t, other.Reload(ctx))
		if other.Get("n") != 2 {
			t.Errorf("n is %v", other.Get("n"))
		}
		h.Release()
		other.Release()
		must(t, st.Close())
	})
}

func TestSetExpiry(t *testing.T) {
	tests := map[string]struct {
		cfg  fibersession.Config
		set  time.Duration
		want time.Duration
	}{
		"shorter": {fibersession.Config{}, time.Hour, time.Hour},
		"longer":  {fibersession.Config{}, 8 * 24 * time.Hour, 8 * 24 * time.Hour}, // "remember me"
		"longer than a chosen absolute limit": {
			fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: 48 * time.Hour}}, 72 * time.Hour, 48 * time.Hour,
		},
		"nothing": {fibersession.Config{}, 0, 24 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			withFakeClock(t, tt.cfg, func(t *testing.T, s *fibersession.Store) {
				app := newApp(s, map[string]fiber.Handler{
					"/": func(c *fiber.Ctx) error {
						sess := fibersession.FromContext(c)
						sess.Set("n", 1)
						sess.SetExpiry(tt.set)
						return nil
					},
					"/read": func(c *fiber.Ctx) error { fibersession.FromContext(c).Get("n"); return nil },
				})
				b := newBrowser(t, app)
				res := b.get("/")
				if age := time.Duration(res.set[0].MaxAge) * time.Second; age < tt.want {
					t.Errorf("the cookie lives %v", age)
				}
				time.Sleep(tt.want - time.Millisecond)
				h, err := s.GetByID(ctx, b.session())
				must(t, err)
				h.Release()
				time.Sleep(time.Millisecond)
				if _, err := s.GetByID(ctx, b.session()); !errors.Is(err, fibersession.ErrNotFound) {
					t.Errorf("at the limit: %v", err)
				}
			})
		})
	}
}

// A session that was never stored has no limit: there is nothing to protect.
func TestDeadline_OfANewSession(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, s *fibersession.Store) {
		h := newSession(t, s)
		defer h.Release()
		if !h.Deadline().IsZero() || !h.Fresh() || h.Revision() != 0 {
			t.Errorf("deadline %v, fresh %v, revision %d", h.Deadline(), h.Fresh(), h.Revision())
		}
		time.Sleep(48 * time.Hour)
		must(t, h.Reload(ctx))
		must(t, h.Touch(ctx))
		h.Set("n", 1)
		must(t, h.Save(ctx))
		if got := time.Until(h.Deadline()); got != 24*time.Hour {
			t.Errorf("the deadline is in %v", got)
		}
	})
}

// However rarely touches are to be written, use keeps a session alive.
func TestN4_TouchIntervalIsATenthAtMost(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Minute, Timeouts: fibersession.Timeouts{TouchInterval: time.Hour}}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		for range 100 {
			time.Sleep(7 * time.Second)
			must(t, h.Touch(ctx))
		}
	})
}

// However long a limit is, it is one: none may wrap around into the past.
func TestLimits_Enormous(t *testing.T) {
	t.Parallel()
	const ever = time.Duration(math.MaxInt64)
	tests := map[string]fibersession.Config{
		"idle":                    {Expiration: ever},
		"idle of 290 years":       {Expiration: 290 * 365 * 24 * time.Hour},
		"idle, without absolute":  {Expiration: ever, Timeouts: fibersession.Timeouts{Absolute: -1}},
		"idle, and an index":      {Expiration: ever, UserKey: "user"},
		"idle, Fiber's own form":  {Expiration: ever, Builtin: true},
		"absolute":                {Timeouts: fibersession.Timeouts{Absolute: ever}},
		"a session's own, of all": {Timeouts: fibersession.Timeouts{Absolute: -1}},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, here, there := twoNodes(t, cfg)
			app := newApp(here, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				sess := fibersession.FromContext(c)
				sess.Set("user", "alice")
				if strings.HasPrefix(name, "a session's") {
					sess.SetExpiry(ever)
				}
				return nil
			}})
			b := newBrowser(t, app)
			if res := b.get("/"); res.status != 200 {
				t.Fatalf("it is not stored: %d", res.status)
			}
			if got := handleOf(t, there, b.session()).Get("user"); got != "alice" {
				t.Errorf("it holds %v", got)
			}
		})
	}
}

// bounds notes until when the calls that sweep up may take.
type deadlineRecorder struct {
	storage.Storage
	storage.Index
	remove, unlist time.Time
}

func (b *deadlineRecorder) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	b.remove, _ = ctx.Deadline()
	return b.Storage.CompareAndDelete(ctx, key, old)
}

func (b *deadlineRecorder) RemoveMember(ctx context.Context, set, member string) error {
	b.unlist, _ = ctx.Deadline()
	return b.Index.RemoveMember(ctx, set, member)
}

// Who meets an expired session waits for StorageTimeout at most, sweeping up included.
func TestExpiry_SweepingUpIsBounded(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	b := &deadlineRecorder{Storage: st, Index: st.(storage.Index)}
	s := newStore(t, fibersession.Config{Storage: b, UserKey: "user", Expiration: time.Millisecond})
	h := storedSession(t, s, map[string]any{"user": "alice"})
	waitFor(t, "the session to expire", func() bool { return h.Reload(ctx) != nil })
	if b.unlist.IsZero() || !b.unlist.Equal(b.remove) {
		t.Errorf("the value is removed until %v, the entry until %v", b.remove, b.unlist)
	}
}
