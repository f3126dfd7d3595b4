package fibersession_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// everyUseTouches makes a touch due at every use.
var everyUseTouches = fibersession.Timeouts{TouchInterval: 1, Storage: waitLimit}

// keepAliveApp has pages that read, save without changes (also through Store.Fiber), write,
// and touch by hand.
func keepAliveApp(s *fibersession.Store) *fiber.App {
	genuine := s.Fiber()
	return newApp(s, map[string]fiber.Handler{
		"/read": func(c *fiber.Ctx) error {
			return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
		},
		"/save": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(valueOf[string](sess, "user"))
		},
		"/fiber-save": func(c *fiber.Ctx) error {
			sess, err := genuine.Get(c)
			if err != nil {
				return err
			}
			user, _ := sess.Get("user").(string)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(user)
		},
		"/write": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user")); return nil },
		"/touch": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Touch() },
	})
}

// Redis is at maxmemory: it answers reads and refuses all writes. Known sessions can be read,
// in every layout. A page that writes, or asks for the touch itself, gets the error.
func TestD8_RedisAtMaxmemory(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{
		"sealed":  {},
		"users":   {UserKey: "user"},
		"builtin": {Builtin: true},
		"express": expressConfig(fibersession.Config{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--maxmemory-policy", "noeviction")
			var logged testlog.Log
			cfg.Storage, cfg.Timeouts = openStorage(t, server.URL()), everyUseTouches
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
			s := newStore(t, cfg)
			b := newBrowser(t, keepAliveApp(s))
			b.get("/write?user=ada")
			server.Do("config", "set", "maxmemory", "1")
			for range 3 {
				for _, path := range []string{"/fiber-save", "/read", "/save"} { // the first one meets the refusal
					if res := b.get(path); res.status != 200 || res.body != "ada" {
						t.Errorf("%s: got status %d and %q, want 200 and \"ada\"", path, res.status, res.body)
					}
				}
			}
			if res := b.get("/write?user=bob"); res.status != 503 {
				t.Errorf("a page that writes: got status %d, want 503", res.status)
			}
			if res := newBrowser(t, keepAliveApp(s)).get("/write?user=eve"); res.status != 503 {
				t.Errorf("the first page of a new session: got status %d, want 503", res.status)
			}
			if name == "sealed" || name == "users" { // in other layouts a touch is PEXPIRE, which Redis accepts
				if res := b.get("/touch"); res.status == 200 {
					t.Error("a page that calls Touch: got status 200, want the error")
				}
			}
			text := logged.String()
			if n := strings.Count(text, "did not accept a write that extends a session"); n != 1 {
				t.Errorf("got %d log lines about refused writes, want 1:\n%s", n, text)
			}
			if !strings.Contains(text, "OOM") || !strings.Contains(text, "maxmemory") || b.session() != "" && strings.Contains(text, b.session()) {
				t.Errorf("the log must name the cause and the setting, and no session ID:\n%s", text)
			}
			server.Do("config", "set", "maxmemory", "0")
			if res := b.get("/write?user=bob"); res.status != 200 {
				t.Errorf("after Redis got memory: got status %d, want 200", res.status)
			}
			if res := b.get("/read"); res.body != "bob" {
				t.Errorf("got user %q, want bob", res.body)
			}
		})
	}
}

// A touch that fails, hangs or loses its answer fails no page that reads. If the session has
// ended, that is no error for the page either, and saving without changes still reports it.
func TestD8_WritesThatOnlyProlongLife(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{
		"the write fails":       {Fail: errBroken},
		"the answer is lost":    {Lose: errBroken},
		"the write hangs":       {Hang: true},
		"hangs and is executed": {Hang: true, Lose: errBroken},
	} {
		for layout, cfg := range map[string]fibersession.Config{"sealed": {}, "builtin": {Builtin: true}} {
			t.Run(layout+", "+name, func(t *testing.T) {
				t.Parallel()
				st := faulty.New(memory.New(), nil)
				t.Cleanup(func() { _ = st.Close() })
				cfg.Storage, cfg.Timeouts = st, fibersession.Timeouts{TouchInterval: 1, Storage: 20 * time.Millisecond}
				s := newStore(t, cfg)
				app := keepAliveApp(s)
				for _, path := range []string{"/read", "/save"} {
					b := newBrowser(t, app)
					b.get("/write?user=ada")
					st.SetPlan(func(c faulty.Call) faulty.Fault {
						if c.Method == "CompareAndSwap" || c.Method == "Touch" {
							return fault
						}
						return faulty.Fault{}
					})
					if res := b.get(path); res.status != 200 || res.body != "ada" {
						t.Errorf("%s: got status %d and %q, want 200 and \"ada\"", path, res.status, res.body)
					}
					if res := b.get("/touch"); res.status == 200 && layout == "sealed" {
						t.Errorf("Touch by hand: got status 200, want the error")
					}
					st.SetPlan(nil)
					if res := b.get("/read"); res.status != 200 || res.body != "ada" {
						t.Errorf("afterwards: got status %d and %q, want 200 and \"ada\"", res.status, res.body)
					}
				}
			})
		}
	}
}

// After a refused write, KeepAlive leaves the storage alone for a second.
func TestD8_RefusedWritesAreNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := faulty.New(memory.New(), nil)
		s := newStore(t, fibersession.Config{Storage: st})
		h := storedSession(t, s, nil)
		time.Sleep(2 * time.Minute)
		st.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Fail: errBroken}))
		before := st.Calls()
		for range 10 {
			must(t, h.KeepAlive(ctx))
		}
		if n := st.Calls() - before; n != 1 {
			t.Errorf("got %d calls of the storage within a second, want 1", n)
		}
		if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("Touch: got %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Second)
		st.SetPlan(nil)
		was := h.Deadline()
		must(t, h.KeepAlive(ctx))
		if !h.Deadline().After(was) {
			t.Error("the session was not extended after the storage recovered")
		}
		must(t, h.Destroy(ctx))
		if err := h.KeepAlive(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
			t.Errorf("KeepAlive of an ended session: got %v, want ErrDestroyed", err)
		}
		h.Release()
		if err := h.KeepAlive(ctx); !errors.Is(err, fibersession.ErrReleased) {
			t.Errorf("KeepAlive of a released handle: got %v, want ErrReleased", err)
		}
		_ = st.Close()
	})
}

// A read that waits for the same commit as a refused write succeeds.
func TestD8_ARefusedWriteFailsNoReadOfItsBatch(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(h *fibersession.Handle) error{
		"touch":      func(h *fibersession.Handle) error { return h.Touch(ctx) },
		"save":       func(h *fibersession.Handle) error { h.Set("n", 2); return h.Save(ctx) },
		"regenerate": func(h *fibersession.Handle) error { return h.Regenerate(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			defer func() { _ = st.Close() }()
			gate := &gatedStorage{Storage: st, load: make(chan struct{})}
			s := newStore(t, fibersession.Config{Storage: gate, Timeouts: everyUseTouches})
			h := storedSession(t, s, map[string]any{"n": 1})
			gate.on.Store(true)
			blocked := gate.nextBlocked()
			results := make(chan error, 3)
			first, reader, writer := h.Fork(), h.Fork(), h.Fork()
			go func() { results <- first.Reload(ctx) }() // received below, like the others
			<-blocked
			wrote := make(chan error, 1)
			go func() { wrote <- write(writer) }()
			waitForQueued(t, h, 1)
			go func() { results <- reader.Reload(ctx) }()
			waitForQueued(t, h, 2)
			st.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Fail: errBroken}))
			close(gate.load)
			for range 2 {
				if err := <-results; err != nil {
					t.Errorf("Reload: got %v, want nil", err)
				}
			}
			if err := <-wrote; !errors.Is(err, fibersession.ErrUnavailable) {
				t.Errorf("the refused write: got %v, want ErrUnavailable", err)
			}
		})
	}
}

// The entry in the user's index has to be refreshed, and the storage refuses that. A save is
// stored, and the session lives no longer than its entry.
func TestD8_RefusedRefreshOfTheIndex(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := faulty.New(memory.New(), nil)
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Expiration: time.Hour, Timeouts: fibersession.Timeouts{Absolute: -1}})
		h := loggedIn(t, s, "ada")
		time.Sleep(50 * time.Minute)
		must(t, h.Touch(ctx))
		time.Sleep(50 * time.Minute) // in the second period
		st.SetPlan(faulty.OnMethod("AddMember", faulty.Fault{Fail: errBroken}))
		was := h.Deadline()
		h.Set("n", 1)
		must(t, h.Save(ctx))
		must(t, h.KeepAlive(ctx))
		if !h.Deadline().Equal(was) {
			t.Error("the session was extended beyond its entry in the index")
		}
		h.Set("user", "eve")
		if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
			t.Errorf("a change of the user without an entry: got %v, want ErrUnavailable", err)
		}
		h.Set("user", "ada")
		st.SetPlan(nil)
		time.Sleep(time.Second)
		must(t, h.KeepAlive(ctx))
		if !h.Deadline().After(was) {
			t.Error("the session was not extended after the storage recovered")
		}
		time.Sleep(59 * time.Minute)
		if n, err := s.EndAll(ctx, "ada"); err != nil || n != 1 {
			t.Errorf("EndAll: ended %d sessions with error %v, want 1", n, err)
		}
		h.Release()
		_ = st.Close()
	})
}
