package fibersession_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestLift(t *testing.T) {
	t.Parallel()
	st, s, there := twoNodes(t, fibersession.Config{})
	var h *fibersession.Handle
	lift := func(c *fiber.Ctx) (err error) {
		h, err = s.Lift(c)
		return err
	}
	app := newApp(s, map[string]fiber.Handler{
		"/lift": lift,
		"/change-and-lift": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("user", "alice")
			return lift(c)
		},
		"/set": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 1); return nil },
	})

	t.Run("a new session exists on this node before it is stored", func(t *testing.T) {
		b := newBrowser(t, app)
		res := b.get("/lift")
		defer h.Release()
		if len(res.set) != 1 || h.ID() != b.session() || !h.Fresh() {
			t.Fatalf("got %d cookies and Fresh %v, want 1 cookie with the session's ID and Fresh true", len(res.set), h.Fresh())
		}
		if sessionIsStored(t, st, s, h.ID()) {
			t.Error("the session is stored, want it in memory only")
		}
		if _, err := there.GetByID(ctx, h.ID()); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("GetByID on the other node: got %v, want ErrNotFound", err)
		}
		if res := b.get("/set"); len(res.set) != 0 || b.session() != h.ID() {
			t.Error("the next request got another session")
		}
		if h.Get("n") != 1 || h.Fresh() {
			t.Errorf("after the next request's save the handle has n = %v and Fresh %v, want 1 and false", h.Get("n"), h.Fresh())
		}
	})
	t.Run("a new session ends with the release of its last handle", func(t *testing.T) {
		b := newBrowser(t, app)
		b.get("/lift")
		old := b.session()
		h.Release()
		b.get("/set")
		if b.session() == old {
			t.Error("the request kept the ID of a session that no longer exists, want a new ID")
		}
	})
	t.Run("unsaved changes are saved first", func(t *testing.T) {
		b := newBrowser(t, app)
		res := b.get("/change-and-lift")
		defer h.Release()
		if len(res.set) != 1 || h.Fresh() || h.Get("user") != "alice" || h.Changed() {
			t.Errorf("got %d cookies, Fresh %v and user %v; want 1, false and alice, with no unsaved changes", len(res.set), h.Fresh(), h.Get("user"))
		}
	})
	t.Run("without Handler", func(t *testing.T) {
		app := fiber.New()
		app.Get("/", lift)
		b := newBrowser(t, app)
		b.get("/")
		first := h
		defer first.Release()
		b.get("/")
		defer h.Release()
		if h.ID() != first.ID() || h.ID() != b.session() {
			t.Error("the second request's session is not the first one's")
		}
	})
}

func TestOwns(t *testing.T) {
	t.Parallel()
	_, s, there := twoNodes(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 1})
	stranger := storedSession(t, s, nil)
	owns := func(id string) bool {
		var got bool
		app := fiber.New()
		app.Get("/", func(c *fiber.Ctx) error { got = s.Owns(c, h); return nil })
		b := newBrowser(t, app)
		if id != "" {
			b.cookies["__Host-session"] = id
		}
		b.get("/")
		return got
	}
	before := s.Stats().Loads
	if !owns(h.ID()) {
		t.Error("Owns is false for the session's ID, want true")
	}
	if owns("") || owns("x") || s.Stats().Loads != before {
		t.Error("Owns is true without a valid ID, or the store was asked; want false at no cost")
	}
	if owns(stranger.ID()) {
		t.Error("Owns is true for another session's ID, want false")
	}
	// The other node gives the session a new ID.
	far := handleOf(t, there, h.ID())
	old := h.ID()
	must(t, far.Regenerate(ctx))
	if !owns(far.ID()) {
		t.Error("Owns is false for the ID that the other node gave the session, want true")
	}
	if owns(old) {
		t.Error("Owns is true for the session's former ID, want false")
	}
	last := far.ID()
	must(t, far.Destroy(ctx))
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrSessionGone) || !owns(last) || owns(old) || owns(stranger.ID()) {
		t.Errorf("after Destroy: Reload got %v, Owns got %v (last ID), %v (former ID), %v (another session); want ErrSessionGone, true, false, false", err, owns(last), owns(old), owns(stranger.ID()))
	}
}

// A request with TolerateFailure is answered by its own handler even if the session could
// not be loaded or saved. Without it, the answer is 503.
func TestTolerateFailure(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Load", "CompareAndSwap"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			st := faulty.New(memory.New(), nil)
			t.Cleanup(func() { _ = st.Close() })
			s := newStore(t, fibersession.Config{Storage: st})
			var failed error
			app := newApp(s, map[string]fiber.Handler{
				"/set": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 1); return nil },
				"/lift": func(c *fiber.Ctx) error {
					fibersession.FromContext(c).Set("n", 2)
					if _, failed = s.Lift(c); c.Query("excuse") != "" {
						s.TolerateFailure(c)
					}
					return c.SendString("answered")
				},
			})
			b := newBrowser(t, app)
			b.get("/set")
			st.SetPlan(faulty.OnMethod(method, faulty.Fault{Fail: errors.New("down")}))
			if res := b.get("/lift?excuse=1"); res.status != 200 || res.body != "answered" || !errors.Is(failed, fibersession.ErrUnavailable) {
				t.Errorf("with TolerateFailure: got %d %q, Lift's error %v; want 200 \"answered\", ErrUnavailable", res.status, res.body, failed)
			}
			if res := b.get("/lift"); res.status != 503 {
				t.Errorf("without TolerateFailure: got status %d, want 503", res.status)
			}
		})
	}
}

// The function of FromCustom is called once per request, however often the session is used,
// and may return memory of the request.
func TestExtractor_CustomIsAskedOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	s := newStore(t, fibersession.Config{Extractor: fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
		asked++
		return c.Get("X-Key"), nil
	})})
	h := storedSession(t, s, map[string]any{"user": "ada"})
	asked = 0
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		if !s.Owns(c, h) || s.PresentedIDHash(c) == "" {
			t.Error("the request's session is not h's session")
		}
		c.Request().Header.Set("X-Key", strings.Repeat("B", 43)) // overwrites the bytes in place
		return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
	}})
	b := newBrowser(t, app)
	b.headers = map[string]string{"X-Key": h.ID()}
	if res := b.get("/"); res.body != "ada" || asked != 1 {
		t.Errorf("got user %q after %d calls of the function, want \"ada\" after 1", res.body, asked)
	}
}
