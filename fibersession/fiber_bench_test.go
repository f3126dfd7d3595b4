package fibersession_test

import (
	"crypto/rand"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// BenchmarkCSRF is a page view of a known visitor whose page has a form, without the network:
// with Fiber's csrf middleware over Fiber's own session.Store and over Store.Fiber, and with a
// token that the app keeps in the session. "handler" is the page without a form.
func BenchmarkCSRF(b *testing.B) {
	overBenchStorages(b, func(b *testing.B, st storage.Storage) {
		b.Run("fiber", func(b *testing.B) {
			app := fiber.New()
			app.Use(csrf.New(csrf.Config{Session: session.New(session.Config{Storage: st}), ContextKey: "token"}))
			benchPages(b, app, "session_id")
		})
		ours := func(name string, setup func(s *fibersession.Store, app *fiber.App)) {
			b.Run(name, func(b *testing.B) {
				s := fibersession.New(fibersession.Config{Storage: st, Logger: discardLogger})
				defer func() { _ = s.Close() }()
				app := fiber.New()
				app.Use(s.Handler())
				setup(s, app)
				benchPages(b, app, "__Host-session")
				b.ReportMetric(float64(s.Stats().Writes)/float64(b.N), "writes/op")
			})
		}
		ours("over Store.Fiber", func(s *fibersession.Store, app *fiber.App) {
			app.Use(csrf.New(csrf.Config{Session: s.Fiber(), ContextKey: "token"}))
		})
		ours("token in the session", func(_ *fibersession.Store, app *fiber.App) { app.Use(ownToken) })
		ours("handler", func(_ *fibersession.Store, app *fiber.App) { app.Use(keepSession) })
		ours("handler, Store.Fiber called", func(s *fibersession.Store, app *fiber.App) { s.Fiber(); app.Use(keepSession) })
	})
}

// ownToken gives the session a token if it has none.
func ownToken(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	if sess.Get("csrf") == nil {
		sess.Set("csrf", rand.Text())
	}
	return c.Next()
}

// keepSession reads the session, and stores a new one.
func keepSession(c *fiber.Ctx) error {
	if sess := fibersession.FromContext(c); sess.Fresh() {
		sess.Set("user", "ann")
	}
	return c.Next()
}

func overBenchStorages(b *testing.B, bench func(b *testing.B, st storage.Storage)) {
	b.Run("memory", func(b *testing.B) {
		st := memory.New()
		defer func() { _ = st.Close() }()
		bench(b, st)
	})
	b.Run("redis", func(b *testing.B) {
		st, err := storage.Open(redistest.Start(b).URL())
		must(b, err)
		defer func() { _ = st.Close() }()
		bench(b, st)
	})
}

// benchPages requests a page with the cookies that the first response sets.
func benchPages(b *testing.B, app *fiber.App, cookie string) {
	app.Get("/", func(c *fiber.Ctx) error { return c.SendStatus(fiber.StatusOK) })
	handler := app.Handler()
	var r fasthttp.RequestCtx
	r.Init(&fasthttp.Request{}, nil, nil)
	request := func() {
		r.Request.Header.SetMethod("GET")
		r.Request.SetRequestURI("/")
		r.Request.Header.SetHost("example.com")
		handler(&r)
		if code := r.Response.StatusCode(); code != fiber.StatusOK {
			b.Fatalf("got status %d, want 200", code)
		}
	}
	request()
	cookies := map[string]string{}
	for _, name := range []string{cookie, "csrf_"} {
		var c fasthttp.Cookie
		c.SetKey(name)
		if r.Response.Header.Cookie(&c) {
			cookies[name] = string(c.Value())
		}
	}
	if cookies[cookie] == "" {
		b.Fatal("the first response set no session cookie")
	}
	r.ResetUserValues()
	b.ReportAllocs()
	for b.Loop() {
		r.Request.Reset()
		r.Response.Reset()
		for name, value := range cookies {
			r.Request.Header.SetCookie(name, value)
		}
		request()
		r.ResetUserValues()
	}
}
