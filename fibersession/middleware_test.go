package fibersession_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestHandler_Headers(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Next: func(c *fiber.Ctx) bool { return c.Path() == "/skipped" }})
	app := newApp(s, map[string]fiber.Handler{
		"/untouched": func(c *fiber.Ctx) error { return nil },
		"/skipped": func(c *fiber.Ctx) error {
			if fibersession.FromContext(c) != nil {
				t.Error("got a session, want none: Next returned true")
			}
			return nil
		},
		"/read": func(c *fiber.Ctx) error { fibersession.FromContext(c).Get("n"); return nil },
		"/vary": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Get("n")
			c.Set("Vary", "Origin")
			return nil
		},
		"/same": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Get("n")
			c.Set("Vary", "Origin, cookie")
			return nil
		},
		"/write": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 1); return nil },
	})
	b := newBrowser(t, app)
	b.get("/write")
	tests := []struct {
		path  string
		vary  string
		calls int
	}{
		{"/untouched", "", 0},
		{"/skipped", "", 0},
		{"/read", "Cookie", 1},
		{"/vary", "Origin, Cookie", 1},
		{"/same", "Origin, cookie", 1},
		{"/write", "Cookie", 2},
	}
	for _, tt := range tests {
		for visitor, b := range map[string]*browser{"with a session": b, "without": newBrowser(t, app)} {
			before, calls := st.Calls(), tt.calls
			if visitor == "without" {
				calls = max(0, calls-1) // there is nothing to load
			}
			res := b.get(tt.path)
			if got := res.header.Get("Vary"); got != tt.vary {
				t.Errorf("%s %s: got Vary %q, want %q", tt.path, visitor, got, tt.vary)
			}
			if got := st.Calls() - before; got != calls {
				t.Errorf("%s %s: got %d storage calls, want %d", tt.path, visitor, got, calls)
			}
			if cookie := tt.path == "/write" && visitor == "without"; (len(res.set) > 0) != cookie {
				t.Errorf("%s %s: got %d cookies, want one: %v", tt.path, visitor, len(res.set), cookie)
			}
		}
	}
}

// Save works inside Handler. A Handler inside another one does nothing.
func TestHandler_AndSaveByHand(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New()
	app.Use(s.Handler(), s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		sess, err := s.Get(c)
		if err != nil {
			return err
		}
		if sess != fibersession.FromContext(c) {
			t.Error("Get and FromContext returned different sessions in one request")
		}
		sess.Set("a", 1)
		if err := sess.Save(); err != nil {
			return err
		}
		if sess.Get("a") != 1 || sess.Changed() {
			t.Errorf("after Save: got a = %v, Changed %v; want 1, false", sess.Get("a"), sess.Changed())
		}
		sess.Set("b", valueOf[int](sess, "b")+1)
		return nil
	})
	b := newBrowser(t, app)
	for n := 1; n <= 3; n++ {
		b.get("/")
		if got := handleOf(t, s, b.session()).Get("b"); got != n {
			t.Errorf("got b = %v, want %d", got, n)
		}
	}
	if w := s.Stats().Writes; w != 6 {
		t.Errorf("got %d writes, want 6", w)
	}
}

func TestHandler_PanicSavesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New()
	app.Use(func(c *fiber.Ctx) (err error) {
		defer func() {
			if recover() != nil {
				err = fiber.ErrInternalServerError
			}
		}()
		return c.Next()
	})
	app.Use(s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("half", "done")
		panic("oh")
	})
	if res := newBrowser(t, app).get("/"); res.status != 500 || len(res.set) != 0 {
		t.Errorf("got status %d with %d cookies, want 500 with none", res.status, len(res.set))
	}
	if w := s.Stats().Writes; w != 0 {
		t.Errorf("got %d writes, want none", w)
	}
}

func TestFromContext_WithoutHandler(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		if fibersession.FromContext(c) != nil {
			t.Error("got a session, want nil")
		}
		return nil
	})
	if _, err := app.Test(httptest.NewRequest("GET", "/", nil)); err != nil {
		t.Fatal(err)
	}
}

// Outer middleware and error handlers can read the session, but not save it.
func TestSession_AfterHandlerReturned(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New(fiber.Config{ErrorHandler: func(c *fiber.Ctx, err error) error {
		sess := fibersession.FromContext(c)
		if err := sess.Save(); !errors.Is(err, fibersession.ErrRequestOver) {
			t.Errorf("Save in the error handler: got %v, want ErrRequestOver", err)
		}
		return c.Status(500).SendString("sorry, " + valueOf[string](sess, "user"))
	}})
	app.Use(s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("user", "eve")
		return errors.New("broken")
	})
	b := newBrowser(t, app)
	if res := b.get("/"); res.body != "sorry, eve" || res.status != 500 {
		t.Errorf("got %d %q, want 500 \"sorry, eve\"", res.status, res.body)
	}
	if got := handleOf(t, s, b.session()).Get("user"); got != "eve" {
		t.Errorf("after a handler's error: got user %v, want eve", got)
	}
}
