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

	t.Run("a new session lives on this node before it is stored", func(t *testing.T) {
		b := newBrowser(t, app)
		res := b.get("/lift")
		defer h.Release()
		if len(res.set) != 1 || h.ID() != b.session() || !h.Fresh() {
			t.Fatalf("%d cookies, fresh %v", len(res.set), h.Fresh())
		}
		if sessionIsStored(t, st, s, h.ID()) {
			t.Error("it is stored already")
		}
		if _, err := there.GetByID(ctx, h.ID()); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("another node knows it: %v", err)
		}
		if res := b.get("/set"); len(res.set) != 0 || b.session() != h.ID() {
			t.Error("the next request began another session")
		}
		if h.Get("n") != 1 || h.Fresh() {
			t.Error("the socket does not see what the next request saved")
		}
	})
	t.Run("when its holder has gone, so has a new session", func(t *testing.T) {
		b := newBrowser(t, app)
		b.get("/lift")
		old := b.session()
		h.Release()
		b.get("/set")
		if b.session() == old {
			t.Error("an ID that nobody knows any more was taken")
		}
	})
	t.Run("unsaved changes are saved first", func(t *testing.T) {
		b := newBrowser(t, app)
		res := b.get("/change-and-lift")
		defer h.Release()
		if len(res.set) != 1 || h.Fresh() || h.Get("user") != "alice" || h.Changed() {
			t.Errorf("%d cookies, fresh %v, user %v", len(res.set), h.Fresh(), h.Get("user"))
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
			t.Error("the second request lifted another session")
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
		t.Error("not its own ID")
	}
	if owns("") || owns("x") || s.Stats().Loads != before {
		t.Error("no ID is owned, or the store was asked")
	}
	if owns(stranger.ID()) {
		t.Error("a stranger's ID")
	}
	// Another node gives it a new ID.
	far := handleOf(t, there, h.ID())
	old := h.ID()
	must(t, far.Regenerate(ctx))
	if !owns(far.ID()) {
		t.Error("not the ID that another node gave it")
	}
	if owns(old) {
		t.Error("its old ID")
	}
	last := far.ID()
	must(t, far.Destroy(ctx))
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrSessionGone) || !owns(last) || owns(old) || owns(stranger.ID()) {
		t.Errorf("after its end (%v) it owns the last ID: %v", err, owns(last))
	}
}

// A request with TolerateFailure answers by itself, also when what it changed could not be
// saved; one that is not is refused.
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
				t.Errorf("%d %s, and Lift's error is %v", res.status, res.body, failed)
			}
			if res := b.get("/lift"); res.status != 503 {
				t.Errorf("another request was answered with %d", res.status)
			}
		})
	}
}

// A custom function may return the request's own memory, and is asked once a request,
// whenever the session is used.
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
			t.Error("the request's session is another")
		}
		c.Request().Header.Set("X-Key", strings.Repeat("B", 43)) // overwrites the bytes in place
		return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
	}})
	b := newBrowser(t, app)
	b.headers = map[string]string{"X-Key": h.ID()}
	if res := b.get("/"); res.body != "ada" || asked != 1 {
		t.Errorf("%q, asked %d times", res.body, asked)
	}
}
