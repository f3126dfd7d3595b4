package drivers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// browser is a client of an app that keeps cookies.
type browser struct {
	t       *testing.T
	app     *fiber.App
	cookies map[string]*http.Cookie
}

func newBrowser(t *testing.T, app *fiber.App) *browser {
	return &browser{t: t, app: app, cookies: map[string]*http.Cookie{}}
}

func request(path string) *http.Request {
	req := httptest.NewRequest("GET", path, nil)
	req.Host = "localhost"
	return req
}

// get makes a request, which must succeed, and returns the body.
func (b *browser) get(path string) string {
	b.t.Helper()
	req := request(path)
	for _, c := range b.cookies {
		req.AddCookie(c)
	}
	res, err := b.app.Test(req, -1)
	must(b.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	if res.StatusCode != fiber.StatusOK {
		b.t.Fatalf("%s: got status %d %q", path, res.StatusCode, body)
	}
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return string(body)
}

// cookie returns the value of the browser's only cookie, or "".
func (b *browser) cookie() string {
	for _, c := range b.cookies {
		return c.Value
	}
	return ""
}

// want checks the body of a response.
func (b *browser) want(path, want string) {
	b.t.Helper()
	if got := b.get(path); got != want {
		b.t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

// newApp returns an app with logins.
func newApp(s *fibersession.Store) *fiber.App {
	app := fiber.New()
	app.Use(s.Handler())
	session := fibersession.FromContext
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString(session(c).User()) })
	app.Get("/login", func(c *fiber.Ctx) error { return session(c).Login(c.Query("user", "ada")) })
	app.Get("/logout", func(c *fiber.Ctx) error { return session(c).Destroy() })
	app.Get("/regenerate", func(c *fiber.Ctx) error { return session(c).Regenerate() })
	app.Get("/id", func(c *fiber.Ctx) error { return c.SendString(session(c).ID()) })
	app.Get("/count", func(c *fiber.Ctx) error {
		n, err := session(c).Incr("n", 1)
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	app.Get("/week", func(c *fiber.Ctx) error {
		session(c).SetExpiry(7 * 24 * time.Hour)
		return session(c).Save()
	})
	return app
}
