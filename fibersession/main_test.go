package fibersession_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

func TestMain(m *testing.M) {
	// Clocks of the process that start with first use and never end: now, so that
	// they are not a part of any test's bubble.
	st := memory.New()
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	if _, err := app.Test(httptest.NewRequest("GET", "/", nil)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := st.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(),
		// A fasthttp server that was shut down sleeps once more, 10 s, before it sees it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// A session.Store of Fiber's cannot be closed.
		goleak.IgnoreAnyFunction("github.com/gofiber/fiber/v2/internal/storage/memory.(*Storage).gc"))
}

var ctx = context.Background()

// quiet discards what a test does not look at.
var quiet = slog.New(slog.DiscardHandler)

// newStore returns a store that ends with the test and must then hold no session.
func newStore(t testing.TB, cfg fibersession.Config) *fibersession.Store {
	t.Helper()
	if cfg.Storage == nil {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		cfg.Storage = st
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s := fibersession.New(cfg)
	t.Cleanup(func() {
		if stats := s.Stats(); stats.States != 0 || stats.Handles != 0 {
			t.Errorf("after the test there are still %d states and %d handles", stats.States, stats.Handles)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// overStorages runs a test on memory and on a real Redis.
func overStorages(t *testing.T, test func(t *testing.T, st storage.Storage)) {
	t.Run("memory", func(t *testing.T) {
		st := memory.New()
		defer func() { _ = st.Close() }()
		test(t, st)
	})
	t.Run("redis", func(t *testing.T) {
		st, err := storage.Open(redistest.Start(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		test(t, st)
	})
}

// stored returns a handle of a session that is stored with these values.
func stored(t testing.TB, s *fibersession.Store, values map[string]any) *fibersession.Handle {
	t.Helper()
	h := fresh(t, s)
	for k, v := range values {
		h.Set(k, v)
	}
	if len(values) == 0 {
		h.Set("nothing", nil)
	}
	must(t, h.Save(ctx))
	return h
}

// fresh returns the handle of a new session.
func fresh(t testing.TB, s *fibersession.Store) *fibersession.Handle {
	t.Helper()
	var h *fibersession.Handle
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) (err error) {
		h, err = s.Lift(c)
		return err
	})
	if res := newBrowser(t, app).get("/"); res.status != 200 {
		t.Fatalf("Lift failed: %d %s", res.status, res.body)
	}
	t.Cleanup(h.Release)
	return h
}

// again returns another handle of h's session, on any store of the same storage.
func again(t testing.TB, s *fibersession.Store, id string) *fibersession.Handle {
	t.Helper()
	h, err := s.GetByID(ctx, id)
	must(t, err)
	t.Cleanup(h.Release)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// browser is a client that keeps cookies as a browser does, but for their paths.
type browser struct {
	t       testing.TB
	app     *fiber.App
	cookies map[string]string
	host    string
	headers map[string]string
}

func newBrowser(t testing.TB, app *fiber.App) *browser {
	return &browser{t: t, app: app, cookies: map[string]string{}, host: "example.com"}
}

type response struct {
	status int
	body   string
	header http.Header
	set    []*http.Cookie
}

func (b *browser) get(path string) response { return b.do("GET", path) }

func (b *browser) do(method, path string) response {
	b.t.Helper()
	req := httptest.NewRequest(method, path, nil)
	req.Host = b.host
	for name, value := range b.cookies {
		req.Header.Add("Cookie", name+"="+value)
	}
	for name, value := range b.headers {
		req.Header.Set(name, value)
	}
	res, err := b.app.Test(req, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if c.Value == "" || c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return response{res.StatusCode, string(body), res.Header, res.Cookies()}
}

// session is the ID that the browser holds.
func (b *browser) session() string {
	for name, value := range b.cookies {
		if strings.HasSuffix(name, "session") || name == "session_id" {
			return value
		}
	}
	return ""
}

// newApp returns an app behind the store's Handler.
func newApp(s *fibersession.Store, routes map[string]fiber.Handler) *fiber.App {
	app := fiber.New()
	app.Use(s.Handler())
	for path, h := range routes {
		app.All(path, h)
	}
	return app
}
