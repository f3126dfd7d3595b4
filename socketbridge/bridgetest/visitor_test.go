package bridgetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
)

// newSite returns an app with a login, and its server.
func newSite(t testing.TB, config ...fibersession.Config) (*fiber.App, *socketbridge.Server) {
	sessions := newStore(t, config...)
	io := newServer(t, socketbridge.Config{Sessions: sessions})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	io.LimitBodies(app)
	app.Use(func(c *fiber.Ctx) error {
		if c.Get("X-Banned") != "" {
			return c.SendStatus(fiber.StatusTeapot)
		}
		c.Locals("tenant", "acme")
		return c.Next()
	})
	app.Use(sessions.Handler(), io.Handler())
	app.Post("/login", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if err := sess.Login(c.FormValue("user")); err != nil {
			return err
		}
		return c.Redirect("/", fiber.StatusSeeOther)
	})
	app.Post("/theme", func(c *fiber.Ctx) error {
		var body struct{ Theme string }
		if err := c.BodyParser(&body); err != nil {
			return err
		}
		fibersession.FromContext(c).Set("theme", body.Theme)
		return c.SendStatus(fiber.StatusNoContent)
	})
	app.Get("/theme", func(c *fiber.Ctx) error { return c.JSON(fibersession.FromContext(c).Get("theme")) })
	app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	io.OnSessionChange(func(s *socketbridge.Socket, keys []string) { _ = s.Emit("changed", keys) })
	io.On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	io.On("handshake", func(p *socketbridge.Packet) error {
		hs := p.Socket().Handshake()
		return p.Ack(hs.Locals["tenant"], hs.RemoteIP, hs.Host, hs.Secure, hs.Header.Get("X-App"), hs.Query.Get("room"), hs.Cookies["lang"])
	})
	return app, io
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The HTTP half: a visitor logs in over HTTP, and the socket is of that user.
func TestN10_HTTPAndSocket(t *testing.T) {
	inAndOutOfABubble(t, func(t *testing.T) {
		app, io := newSite(t)
		v := bridgetest.Visit(t, io, bridgetest.App(app), bridgetest.PlainHTTP())
		if res := v.PostForm("/login", url.Values{"user": {"ann"}}); res.StatusCode != 303 || res.Header.Get("Location") != "/" {
			t.Fatalf("got %s", res.Status)
		}
		c := v.Dial()
		c.Ask("whoami").Want("ann")
		if res := v.PostJSON("/theme", map[string]string{"theme": "dark"}); res.StatusCode != 204 {
			t.Fatalf("got %s", res.Status)
		}
		c.Want("changed", []string{"theme"})
		if got := body(t, v.Get("/theme")); got != `"dark"` {
			t.Errorf("got %s", got)
		}
		req := httptest.NewRequest("GET", "/theme", nil) // by app.Test, with the same cookie
		for _, cookie := range v.Cookies() {
			req.AddCookie(cookie)
		}
		res, err := app.Test(req)
		if err != nil || body(t, res) != `"dark"` {
			t.Errorf("app.Test: %v", err)
		}
		if got := body(t, v.Do(httptest.NewRequest("GET", "/theme", nil))); got != `"dark"` {
			t.Errorf("got %s", got)
		}
		v.PostForm("/logout", nil)
		c.Disconnected()
		v.Dial().Ask("whoami").Want("")
	})
}

func TestN10_Handshake(t *testing.T) {
	t.Parallel()
	app, io := newSite(t)
	bridgetest.Dial(t, io).Ask("handshake").Want(nil, "192.0.2.1", "example.com", true, "", "", "")
	v := bridgetest.Visit(t, io, bridgetest.App(app), bridgetest.RemoteAddr("2001:db8::7"), bridgetest.Host("app.test:8080"), bridgetest.PlainHTTP(),
		bridgetest.Header("X-App", "kit"), bridgetest.Cookie("lang", "de"), bridgetest.User("ann"))
	c := v.Dial(bridgetest.Query("room", "red"))
	c.Ask("handshake").Want("acme", "2001:db8::7", "app.test:8080", false, "kit", "red", "de")
	c.Ask("whoami").Want("ann")
	if c.Socket().Transport() != "websocket" {
		t.Error(c.Socket().Transport())
	}
	v.Dial(bridgetest.Query("transport", "polling"), bridgetest.Header("X-App", "other")).Ask("handshake").
		Want("acme", nil, nil, false, "other", "", "de")
	for _, tt := range []struct {
		opt    bridgetest.Option
		status int
	}{
		{bridgetest.Header("X-Banned", "1"), 418},              // by the app's middleware
		{bridgetest.Header("Origin", "https://evil.com"), 403}, // by the origin policy
		{bridgetest.Query("transport", "pigeon"), 400},
	} {
		_, err := v.TryDial(tt.opt)
		if refused := (*bridgetest.DialError)(nil); !errors.As(err, &refused) || refused.Status != tt.status {
			t.Errorf("got %v, want status %d", err, tt.status)
		}
	}
	io.Engine().Use(func(c *fiber.Ctx) error { c.Set("Set-Cookie", "seen=1; Path=/"); return c.Next() })
	v.Dial()
	found := false
	for _, cookie := range v.Cookies() {
		found = found || cookie.Name == "seen"
	}
	if !found {
		t.Error("the cookie of an engine middleware was not kept")
	}
}

// Stores that keep the ID elsewhere, or whose cookies need https.
func TestN10_WhereTheIDIs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config fibersession.Config
		opts   []bridgetest.Option
		fails  string
	}{
		"cookie":          {},
		"plain":           {opts: []bridgetest.Option{bridgetest.PlainHTTP()}},
		"secure on https": {config: fibersession.Config{CookieSecure: true}},
		"secure on plain": {config: fibersession.Config{CookieSecure: true}, opts: []bridgetest.Option{bridgetest.PlainHTTP()}, fails: "without the option PlainHTTP"},
		"domain":          {config: fibersession.Config{CookieDomain: "app.test"}, opts: []bridgetest.Option{bridgetest.Host("www.app.test")}},
		"other domain":    {config: fibersession.Config{CookieDomain: "app.test"}, fails: "the option Host"},
		"header":          {config: fibersession.Config{KeyLookup: "header:X-Session"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, io := newSite(t, tt.config)
			dial := func(t bridgetest.TB) {
				v := bridgetest.Visit(t, io, append(tt.opts, bridgetest.App(app), bridgetest.User("ann"))...)
				v.Dial().Ask("whoami").Want("ann")
				v.PostJSON("/theme", map[string]string{"theme": "dark"})
				if got := v.Session().Get("theme"); got != "dark" {
					t.Errorf("got %v", got)
				}
			}
			if tt.fails != "" {
				wantFailure(t, func(f *failing) { dial(f) }, tt.fails)
				return
			}
			dial(t)
		})
	}
}

func TestN10_VisitorMistakes(t *testing.T) {
	t.Parallel()
	app, io := newSite(t)
	empty := fiber.New(fiber.Config{DisableStartupMessage: true})
	for _, tt := range []struct {
		test func(t bridgetest.TB)
		part string
	}{
		{func(t bridgetest.TB) { bridgetest.Dial(t, io, bridgetest.App(empty)) }, "refused with status 404"},
		{func(t bridgetest.TB) { bridgetest.Visit(t, io, bridgetest.App(app)).Session() }, "the visitor has no stored session"},
		{func(t bridgetest.TB) { bridgetest.Visit(t, io).PostJSON("/", func() {}) }, "the body of /"},
		{func(t bridgetest.TB) { bridgetest.Visit(t, io).Get("/%zz") }, "invalid URL escape"},
		{func(t bridgetest.TB) { bridgetest.Dial(t, io, bridgetest.Session(map[string]any{"f": func() {}})) }, "the visitor's session"},
		{func(t bridgetest.TB) {
			c := bridgetest.Dial(t, io, bridgetest.Session(nil))
			if err := c.Session().Destroy(context.Background()); err != nil {
				t.Errorf("%v", err)
			}
			c.Disconnected()
			c.Session()
		}, "the client's session"},
	} {
		wantFailure(t, func(f *failing) { tt.test(f) }, tt.part)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a second session was accepted")
			}
		}()
		bridgetest.Visit(t, io).Dial(bridgetest.User("ann"))
	}()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("an address that is none was accepted")
			}
		}()
		bridgetest.RemoteAddr("localhost")
	}()
}

// Without a visitor, a request of app.Test cannot open a connection, as before.
func TestN10_OnlyTheKitOpensConnections(t *testing.T) {
	t.Parallel()
	app, io := newSite(t)
	req := httptest.NewRequest("GET", io.Engine().Path()+"?EIO=4&transport=websocket", nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		req.Header.Set(name, value)
	}
	v := bridgetest.Visit(t, io, bridgetest.App(app))
	if res := v.Do(req); res.StatusCode != 400 {
		t.Errorf("got %s", res.Status)
	}
	if n := io.Stats().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
}

// A middleware that replaces the answer to a handshake costs a WebSocket, and so a client in
// memory.
func TestN10_MiddlewareReplacesTheAnswer(t *testing.T) {
	t.Parallel()
	_, io := newSite(t)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error {
		if err := c.Next(); err != nil {
			return err
		}
		return c.Status(fiber.StatusOK).SendString("welcome")
	}, io.Handler())
	_, err := bridgetest.TryDial(t, io, bridgetest.App(app))
	if refused := (*bridgetest.DialError)(nil); !errors.As(err, &refused) || refused.Status != 200 || refused.Message != "welcome" {
		t.Errorf("got %v, want status 200", err)
	}
	if n := io.Stats().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
}
