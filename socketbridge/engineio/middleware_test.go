package engineio_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// Middlewares run for every request, in order, and their headers and cookies are part of its
// response.
func TestUse(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{hooks: engineio.Hooks{Lift: func(c *fiber.Ctx) (any, error) { return c.Locals("user"), nil }}})
	var mu sync.Mutex
	var ran []string
	step := func(name string) fiber.Handler {
		return func(c *fiber.Ctx) error {
			mu.Lock()
			ran = append(ran, name)
			mu.Unlock()
			c.Append("X-Ran", name)
			c.Cookie(&fiber.Cookie{Name: name, Value: "1"})
			c.Locals("user", "alice")
			err := c.Next()
			c.Append("X-Left", name)
			return err
		}
	}
	s.engine.Use(step("first"), step("second"))
	s.engine.Use(func(c *fiber.Ctx) error {
		switch c.Get("X-Test") {
		case "refuse":
			return c.Status(401).SendString("who are you?")
		case "fail":
			return fiber.NewError(418, "teapot")
		}
		return c.Next()
	})
	check := func(what string, a answer, status int) {
		t.Helper()
		if a.status != status {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		if got := a.header.Get("X-Ran"); got != "first, second" {
			t.Errorf("%s: X-Ran is %q", what, got)
		}
		if got := a.header.Get("X-Left"); got != "second, first" {
			t.Errorf("%s: X-Left is %q", what, got)
		}
		if got := len(a.header.Values("Set-Cookie")); got != 2 {
			t.Errorf("%s: %d cookies", what, got)
		}
	}
	p := &pollClient{site: s}
	a := s.do("GET", polling, "")
	check("handshake", a, 200)
	p.sid = parseOpen(t, a.body).SID
	if got := s.nextConn().Conn.Handshake(); got.Lifted != "alice" || got.Locals["user"] != "alice" {
		t.Errorf("the middlewares' locals are missing: %+v", got)
	}
	check("post", p.post("4x"), 200)
	check("poll", p.get(), 200)
	_, a = s.dialWS(websocket + "&sid=" + p.sid)
	check("upgrade", a, 101)
	_, a = s.dialWS(websocket)
	check("websocket", a, 101)
	check("an unknown sid", s.do("GET", polling+"&sid=x", ""), 400)
	check("refused", s.do("GET", polling, "", "X-Test", "refuse"), 401)
	_, a = s.dialWS(websocket, "X-Test", "refuse")
	check("a refused WebSocket", a, 401)
	check("failed", s.do("GET", polling, "", "X-Test", "fail"), 418)
	if len(ran) != 2*9 {
		t.Errorf("%d calls for 9 requests", len(ran))
	}
	before := len(ran)
	s.do("GET", polling, "", "Origin", "https://evil.example")
	s.do("GET", "EIO=3", "")
	if len(ran) != before {
		t.Error("a middleware ran for a request that was refused before")
	}
}

// The middlewares use the configuration of the app: its proxies and its error handler.
func TestUse_HasTheConfigurationOfTheApp(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{
		ProxyHeader:             "X-Real-IP",
		EnableTrustedProxyCheck: true,
		TrustedProxies:          []string{"127.0.0.1"},
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			return c.Status(599).SendString("the app's: " + err.Error())
		},
	}})
	s.engine.Use(func(c *fiber.Ctx) error {
		c.Set("X-IP", c.IP())
		if c.Get("X-Test") != "" {
			return errors.New("boom")
		}
		return c.Next()
	})
	a := s.do("GET", polling, "", "X-Real-IP", "192.0.2.7")
	if a.header.Get("X-IP") != "192.0.2.7" || s.nextConn().Conn.Handshake().RemoteIP != "192.0.2.7" {
		t.Errorf("the address is %q", a.header.Get("X-IP"))
	}
	if a := s.do("GET", polling, "", "X-Test", "1"); a.status != 599 || a.body != "the app's: boom" {
		t.Errorf("the response to the error is %d %q", a.status, a.body)
	}
}
