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
			t.Errorf("got a deadline in %v, want 1h", got)
		}
		time.Sleep(time.Hour - time.Millisecond)
		must(t, h.Reload(ctx))
		time.Sleep(time.Millisecond)
		if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrExpired) || !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("at the limit: got %v, want ErrExpired", err)
		}
		if _, err := s.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("GetByID at the limit: got %v, want ErrNotFound", err)
		}
	})
}

// No operation revives a session whose limit has passed, whether or not the node has
// noticed the expiry.
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
						t.Errorf("got %v, want ErrExpired", err)
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
		must(t, h.Regenerate(ctx)) // does not extend the absolute limit
		if got := time.Until(h.Deadline()); got != time.Minute {
			t.Errorf("got a deadline in %v, want 1m", got)
		}
		time.Sleep(time.Minute - time.Millisecond)
		must(t, h.Reload(ctx))
		time.Sleep(time.Millisecond)
		if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrExpired) {
			t.Errorf("at the limit: got %v, want ErrExpired", err)
		}
	})
}

// Each use slides the idle limit, but at most one touch a minute is written, however many
// handles and requests use the session.
func TestN4_TouchesAreGathered(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		f := h.Fork()
		defer h.Release()
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			return c.JSON(fibersession.FromContext(c).Get("n"))
		}})
		b := newBrowser(t, app)
		b.cookies["__Host-session"] = h.ID()
		before := s.Stats()
		for range 10 * 60 { // ten minutes, three uses a second
			time.Sleep(time.Second)
			must(t, h.Touch(ctx))
			must(t, f.Touch(ctx))
			if res := b.get("/"); res.status != 200 || len(res.set) != 0 {
				t.Fatalf("a read: got status %d with %d cookies, want 200 with none", res.status, len(res.set))
			}
		}
		after := s.Stats()
		if w := after.Writes - before.Writes; w != 10 || after.Touches-before.Touches != 10 {
			t.Errorf("10 minutes of use: got %d writes, %d of them touches; want 10 touches", w, after.Touches-before.Touches)
		}
		if got := time.Until(h.Deadline()); got != time.Hour {
			t.Errorf("got a deadline in %v, want 1h", got)
		}
	})
}

// A request that reads the session slides its idle limit. A request that does not use the
// session neither loads nor touches it.
func TestHandler_SlidesWhenRead(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		app := newApp(s, map[string]fiber.Handler{
			"/login": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "eve"); return nil },
			"/read": func(c *fiber.Ctx) error {
				return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
			},
			"/other": func(c *fiber.Ctx) error { return nil },
		})
		b := newBrowser(t, app)
		b.get("/login")
		for range 5 {
			time.Sleep(50 * time.Minute)
			if res := b.get("/read"); res.body != "eve" {
				t.Fatalf("a session in use ended: got status %d, user %q; want 200, \"eve\"", res.status, res.body)
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
			t.Errorf("an expired session: got user %q with %d cookies, want neither", res.body, len(res.set))
		}
		b.get("/login")
		if b.session() == old {
			t.Error("the session that follows an expired one has its ID, want a new one")
		}
	})
}

// Another node slid the limit. This node takes the session for expired, asks the store, and
// continues.
func TestN4_AnotherNodeSlidesTheLimit(t *testing.T) {
	withFakeClock(t, fibersession.Config{Expiration: time.Hour}, func(t *testing.T, here *fibersession.Store) {
		// Both nodes need the same storage, so the store of withFakeClock is not used.
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
			t.Errorf("got n = %v, want 2", other.Get("n"))
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
		"longer than the absolute limit": {
			fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: 48 * time.Hour}}, 72 * time.Hour, 48 * time.Hour,
		},
		"zero keeps the default": {fibersession.Config{}, 0, 24 * time.Hour},
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
					t.Errorf("got a cookie that lives %v, want at least %v", age, tt.want)
				}
				time.Sleep(tt.want - time.Millisecond)
				h, err := s.GetByID(ctx, b.session())
				must(t, err)
				h.Release()
				time.Sleep(time.Millisecond)
				if _, err := s.GetByID(ctx, b.session()); !errors.Is(err, fibersession.ErrNotFound) {
					t.Errorf("at the limit: got %v, want ErrNotFound", err)
				}
			})
		})
	}
}

// A session that was never stored has no deadline.
func TestDeadline_OfANewSession(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, s *fibersession.Store) {
		h := newSession(t, s)
		defer h.Release()
		if !h.Deadline().IsZero() || !h.Fresh() || h.Revision() != 0 {
			t.Errorf("got deadline %v, Fresh %v, revision %d; want zero, true, 0", h.Deadline(), h.Fresh(), h.Revision())
		}
		time.Sleep(48 * time.Hour)
		must(t, h.Reload(ctx))
		must(t, h.Touch(ctx))
		h.Set("n", 1)
		must(t, h.Save(ctx))
		if got := time.Until(h.Deadline()); got != 24*time.Hour {
			t.Errorf("got a deadline in %v, want 24h", got)
		}
	})
}

// However long TouchInterval is, use keeps a session alive: it is capped at a tenth of the
// idle limit.
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

// A duration near the maximum of int64 works as a limit. None may overflow into the past.
func TestLimits_Enormous(t *testing.T) {
	t.Parallel()
	const ever = time.Duration(math.MaxInt64)
	tests := map[string]fibersession.Config{
		"idle limit":                        {Expiration: ever},
		"idle limit of 290 years":           {Expiration: 290 * 365 * 24 * time.Hour},
		"idle limit without absolute limit": {Expiration: ever, Timeouts: fibersession.Timeouts{Absolute: -1}},
		"idle limit and an index":           {Expiration: ever, UserKey: "user"},
		"idle limit with Builtin":           {Expiration: ever, Builtin: true},
		"absolute limit":                    {Timeouts: fibersession.Timeouts{Absolute: ever}},
		"limit by SetExpiry":                {Timeouts: fibersession.Timeouts{Absolute: -1}},
	}
	for name, cfg := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, here, there := twoNodes(t, cfg)
			app := newApp(here, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				sess := fibersession.FromContext(c)
				sess.Set("user", "alice")
				if strings.HasSuffix(name, "SetExpiry") {
					sess.SetExpiry(ever)
				}
				return nil
			}})
			b := newBrowser(t, app)
			if res := b.get("/"); res.status != 200 {
				t.Fatalf("the session was not stored: got status %d", res.status)
			}
			if got := handleOf(t, there, b.session()).Get("user"); got != "alice" {
				t.Errorf("got user %v, want alice", got)
			}
		})
	}
}

// deadlineRecorder records the deadlines of the calls that delete an expired session's
// value and its entry in the user index.
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

// A call that finds its session expired takes no longer than Timeouts.Storage, with the
// cleanup included.
func TestExpiry_CleanupIsBounded(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	b := &deadlineRecorder{Storage: st, Index: st.(storage.Index)}
	s := newStore(t, fibersession.Config{Storage: b, UserKey: "user", Expiration: time.Millisecond})
	h := storedSession(t, s, map[string]any{"user": "alice"})
	waitFor(t, "the session to expire", func() bool { return h.Reload(ctx) != nil })
	if b.unlist.IsZero() || !b.unlist.Equal(b.remove) {
		t.Errorf("got the deadlines %v for the value and %v for the index entry, want the same", b.remove, b.unlist)
	}
}
