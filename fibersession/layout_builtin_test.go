package fibersession_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

type profile struct{ Name string }

// With Builtin, Fiber's session middleware and this package share sessions: one storage,
// one cookie, alternating requests.
func TestBuiltin_SharesSessionsWithFiber(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	gob.Register(profile{})
	ours := newStore(t, fibersession.Config{Storage: st, Builtin: true})
	theirs := session.New(session.Config{Storage: st, CookieSecure: true, CookieHTTPOnly: true})
	app := fiber.New()
	app.Get("/ours", ours.Handler(), func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n := valueOf[int](sess, "n") + 1
		sess.Set("n", n)
		sess.Set("ours", profile{"o"})
		return c.SendString(fmt.Sprintf("%d %v %s", n, sess.Get("theirs"), sess.ID()))
	})
	app.Get("/theirs", func(c *fiber.Ctx) error {
		sess, err := theirs.Get(c)
		if err != nil {
			return err
		}
		n, _ := sess.Get("n").(int)
		sess.Set("n", n+1)
		sess.Set("theirs", profile{"t"})
		answer := fmt.Sprintf("%d %v %s", n+1, sess.Get("ours"), sess.ID())
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(answer)
	})
	for _, first := range []string{"/ours", "/theirs"} {
		b := newBrowser(t, app)
		b.get(first)
		id := b.session()
		if len(id) != 36 {
			t.Fatalf("got an ID of %d characters, want 36; the cookies are %v", len(id), b.cookies)
		}
		b.get("/ours")
		b.get("/theirs")
		if res := b.get("/ours"); res.body != "4 {t} "+id {
			t.Errorf("ours, after %s first: got %q, want 4 {t} and the ID", first, res.body)
		}
		if res := b.get("/theirs"); res.body != "5 {o} "+id {
			t.Errorf("theirs, after %s first: got %q, want 5 {o} and the ID", first, res.body)
		}
		if b.session() != id {
			t.Error("the session's ID changed")
		}
		h := handleOf(t, ours, id)
		other := handleOf(t, ours, id)
		if n, err := h.Incr(ctx, "n", 1); n != 6 || err != nil || other.Get("n") != 6 {
			t.Errorf("Incr: got %d, %v, and n = %v in the other handle; want 6", n, err, other.Get("n"))
		}
		must(t, h.Update(ctx, increment))
		if res := b.get("/theirs"); res.body != "8 {o} "+id {
			t.Errorf("theirs, after an Update: got %q, want 8 {o} and the ID", res.body)
		}
		must(t, h.Reload(ctx))
		if h.Get("n") != 8 {
			t.Errorf("after Reload: got n = %v, want 8", h.Get("n"))
		}
		must(t, h.Regenerate(ctx))
		if v, _ := st.Get(id); v != nil {
			t.Error("after Regenerate the storage still holds the old ID")
		}
		must(t, other.Destroy(ctx))
		if h.Set("n", 1); !errors.Is(h.Save(ctx), fibersession.ErrSessionGone) {
			t.Error("Save after Destroy succeeded, want ErrSessionGone")
		}
		if res := b.get("/theirs"); strings.HasPrefix(res.body, "9") {
			t.Errorf("theirs, after Destroy: got %q, want a new session", res.body)
		}
	}
}

// Fiber's csrf middleware keeps its token in the session that this package serves.
func TestBuiltin_Csrf(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	ours := newStore(t, fibersession.Config{Storage: st, Builtin: true})
	theirs := session.New(session.Config{Storage: st})
	app := fiber.New()
	app.Use(ours.Handler())
	app.Use(csrf.New(csrf.Config{Session: theirs, KeyLookup: "header:X-Csrf-Token"}))
	app.All("/", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n := valueOf[int](sess, "n") + 1
		sess.Set("n", n)
		return c.SendString(fmt.Sprint(n))
	})
	b := newBrowser(t, app)
	b.plain = true // on https, the csrf middleware wants a Referer too
	b.get("/")
	b.get("/")
	token := b.cookies["csrf_"]
	if res := b.do("POST", "/"); res.status != 403 || token == "" {
		t.Fatalf("POST without the token: got status %d, want 403", res.status)
	}
	b.headers = map[string]string{"X-Csrf-Token": token}
	if res := b.do("POST", "/"); res.status != 200 {
		t.Fatalf("POST with the token: got %d %s, want 200", res.status, res.body)
	}
	// The session still has its data and the token.
	h := handleOf(t, ours, b.session())
	if n := valueOf[int](h, "n"); n < 2 {
		t.Errorf("got n = %d, want at least 2", n)
	}
	if len(h.Keys()) != 2 {
		t.Errorf("got the keys %q, want n and the token", h.Keys())
	}
}

// Only the storage knows the expiry. A touch extends it, a use within the touch interval
// does not.
func TestBuiltin_Expiry(t *testing.T) {
	withFakeClock(t, fibersession.Config{Builtin: true, Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, map[string]any{"n": 1})
		defer h.Release()
		if got := time.Until(h.Deadline()); got != time.Hour {
			t.Errorf("got a deadline in %v, want 1h", got)
		}
		before := s.Stats()
		for range 100 {
			time.Sleep(30 * time.Second)
			must(t, h.Touch(ctx))
		}
		if touches := s.Stats().Touches - before.Touches; touches != 50 {
			t.Errorf("got %d touches in 50 minutes, want 50", touches)
		}
		if got := time.Until(h.Deadline()); got != time.Hour {
			t.Errorf("got a deadline in %v, want 1h", got)
		}
		time.Sleep(2 * time.Hour) // the storage's clock is not the fake one: it still has the value
		must(t, h.Reload(ctx))
		must(t, s.Delete(h.ID()))
		if err := h.Touch(ctx); !errors.Is(err, fibersession.ErrSessionGone) {
			t.Errorf("Touch of a deleted session: got %v, want ErrSessionGone", err)
		}
	})
}

func TestBuiltin_BadIDsNeverReachTheStore(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Builtin: true})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Get("x")
		return nil
	}})
	for _, id := range []string{"cache_/u/42", "short", "limiter_127.0.0.1:80aaaaaaaa", strings.Repeat("a", 129), "aaaaaaaaaaaaaaaa*", "session_key with blanks"} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("Cookie", "session_id="+id)
		if _, err := app.Test(req, -1); err != nil {
			t.Fatal(err)
		}
	}
	if loads := s.Stats().Loads; loads != 0 {
		t.Errorf("got %d loads, want none", loads)
	}
}

func TestBuiltin_ResetEmptiesTheStorage(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Builtin: true})
	h := storedSession(t, s, map[string]any{"n": 1})
	must(t, s.Reset())
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrSessionGone) {
		t.Errorf("after Reset: got %v, want ErrSessionGone", err)
	}
}
