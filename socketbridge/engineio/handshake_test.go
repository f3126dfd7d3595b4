package engineio_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// carriers are the two ways to open a connection.
var carriers = []struct {
	name string
	open func(s *site, headers ...string) answer
}{
	{"polling", func(s *site, headers ...string) answer { return s.do("GET", polling, "", headers...) }},
	{"websocket", func(s *site, headers ...string) answer {
		c, a := s.dialWS(websocket, headers...)
		if c != nil {
			a.body = c.text()
		}
		return a
	}},
}

func TestHandshake_Snapshot(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier.name, func(t *testing.T) {
			s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
				SessionCookie: func(*fiber.Ctx) string { return "session" },
			}, before: func(app *fiber.App) {
				app.Use(func(c *fiber.Ctx) error {
					c.Locals("text", c.Get("X-Test"))
					c.Locals("bytes", c.Request().Header.Peek("X-Test"))
					c.Locals("number", 42)
					c.Locals(struct{}{}, "not a string")
					c.SetUserContext(c.UserContext())
					return c.Next()
				})
			}})
			carrier.open(s, "X-Test", "one", "Cookie", "session=secret; theme=dark; lang=de")
			hs := s.next().Conn.Handshake()
			if hs.Method != "GET" || hs.Path != "/socket.io/" || hs.Host != s.addr || hs.RemoteIP != "127.0.0.1" || hs.Secure || hs.Time.IsZero() {
				t.Errorf("the request is %+v", hs)
			}
			if hs.Query.Get("EIO") != "4" || hs.Query.Get("transport") != carrier.name {
				t.Errorf("the query is %v", hs.Query)
			}
			if hs.Header.Get("X-Test") != "one" || hs.Header.Get("Cookie") != "" {
				t.Errorf("the headers are %v", hs.Header)
			}
			if fmt.Sprint(hs.Cookies) != "map[lang:de theme:dark]" {
				t.Errorf("the cookies are %v", hs.Cookies)
			}
			if fmt.Sprint(hs.Locals) != "map[bytes:[111 110 101] number:42 text:one]" {
				t.Errorf("the locals are %v", hs.Locals)
			}
			if all := fmt.Sprintf("%+v", hs); strings.Contains(all, "secret") {
				t.Errorf("the session's cookie is in %s", all)
			}
		})
	}
}

// D19 and row 49: what is kept of a request must not be the next request's. On one
// keep-alive connection fasthttp uses the same memory for both.
func TestD19_HandshakeIsACopy(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{
		Limits: engineio.Limits{MaxConnsPerIP: -1, ConnRatePerIP: -1},
	}, siteOptions{fiber: fiber.Config{ProxyHeader: "X-Real-IP"}, before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			c.Locals("who", c.Get("X-Who"))
			c.Locals("bytes", c.Request().Header.Peek("X-Who"))
			return c.Next()
		})
	}})
	handshake := func(who string) *transport.Handshake {
		a := s.do("GET", polling+"&who="+who, "", "X-Who", who, "Cookie", "who="+who, "User-Agent", who, "Host", who, "X-Real-IP", who)
		if a.status != 200 {
			t.Fatal(a)
		}
		return s.next().Conn.Handshake()
	}
	first := handshake("alice-alice-alice")
	before := fmt.Sprintf("%+v", first)
	for range 20 {
		handshake("bobby-bobby-bobby")
	}
	if after := fmt.Sprintf("%+v", first); after != before {
		t.Errorf("the first handshake became\n%s\nfrom\n%s", after, before)
	}
	if !strings.Contains(before, "alice") || strings.Count(before, "alice-alice-alice") < 8 {
		t.Errorf("the handshake has not what it should: %s", before)
	}
}

func TestLift(t *testing.T) {
	t.Parallel()
	for _, carrier := range carriers {
		t.Run(carrier.name+"/its value reaches the core", func(t *testing.T) {
			dropped := make(chan any, 1)
			s := open(t, &transporttest.Recorder{}, engineio.Config{
				Timeouts: engineio.Timeouts{Close: 10 * time.Millisecond},
			}, siteOptions{hooks: engineio.Hooks{
				Lift:    func(c *fiber.Ctx) (any, error) { return "session of " + strings.Clone(c.Cookies("who")), nil },
				Release: func(v any) { dropped <- v },
			}})
			carrier.open(s, "Cookie", "who=alice")
			a := s.next()
			if got := a.Conn.Handshake().Lifted; got != "session of alice" {
				t.Errorf("it is %v", got)
			}
			a.Conn.Close(transport.ForcedClose)
			if _, _, err := a.End(s.context()); err == nil && len(dropped) > 0 {
				t.Error("what was accepted was dropped as well")
			}
		})
		t.Run(carrier.name+"/its error refuses", func(t *testing.T) {
			for _, tt := range []struct {
				name   string
				err    error
				status int
				code   int
			}{
				{"any", errors.New("secret"), 403, 4},
				{"the protocol's", &engineio.Error{Code: 3, Message: "No"}, 400, 3},
				{"wrapped", fmt.Errorf("secret: %w", engineio.ErrForbidden), 403, 4},
			} {
				t.Run(tt.name, func(t *testing.T) {
					s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
						Lift:    func(c *fiber.Ctx) (any, error) { return "not to be released", tt.err },
						Release: func(v any) { t.Errorf("%v was released", v) },
					}})
					a := carrier.open(s)
					if a.status != tt.status || a.code() != tt.code || strings.Contains(a.body, "secret") {
						t.Errorf("it was answered with %d %s", a.status, a.body)
					}
					if n := s.engine.Stats().Connections; n != 0 || len(s.core.All()) != 0 {
						t.Errorf("%d connections are left", n)
					}
				})
			}
		})
		t.Run(carrier.name+"/the core refuses", func(t *testing.T) {
			dropped := make(chan any, 1)
			s := open(t, &transporttest.Recorder{OnAccept: func(transport.Conn) error { return errors.New("secret") }}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
				Lift:    func(c *fiber.Ctx) (any, error) { return "session", nil },
				Release: func(v any) { dropped <- v },
			}})
			c, a := (*wsClient)(nil), answer{}
			if carrier.name == "polling" {
				if a = carrier.open(s); a.status != 403 || a.code() != 4 || strings.Contains(a.body, "secret") {
					t.Errorf("it was answered with %d %s", a.status, a.body)
				}
			} else if c, a = s.dialWS(websocket); c != nil {
				if code := c.closed(); code != 1008 {
					t.Errorf("the close code is %d", code)
				}
			}
			if v := <-dropped; v != "session" {
				t.Errorf("dropped was %v", v)
			}
			eventually(t, func() bool { return s.engine.Stats().Connections == 0 })
		})
	}
	t.Run("its panic leaves nothing behind", func(t *testing.T) {
		s := open(t, &transporttest.Recorder{}, engineio.Config{
			Limits: engineio.Limits{MaxConns: 1},
		}, siteOptions{hooks: engineio.Hooks{
			Lift: func(c *fiber.Ctx) (any, error) { panic("secret") },
		}, before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) (err error) {
				defer func() {
					if recover() != nil {
						err = fiber.ErrTeapot
					}
				}()
				return c.Next()
			})
		}})
		for range 3 { // the second would be one too many, were the first counted
			for _, carrier := range carriers {
				if a := carrier.open(s); a.status != 418 {
					t.Errorf("%s: it was answered with %d %s", carrier.name, a.status, a.body)
				}
			}
		}
	})
}

// The answer is made by the app's middlewares too. When one makes another of 101,
// the client was never told that it may speak WebSocket.
func TestHijack_AnotherAnswer(t *testing.T) {
	t.Parallel()
	dropped := make(chan any, 1)
	s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
		Lift:    func(c *fiber.Ctx) (any, error) { return "session", nil },
		Release: func(v any) { dropped <- v },
	}, before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			if err := c.Next(); err != nil {
				return err
			}
			return errors.New("the session could not be saved")
		})
	}})
	if c, a := s.dialWS(websocket); c != nil || a.status != 500 {
		t.Errorf("it was answered with %d", a.status)
	}
	if v := <-dropped; v != "session" {
		t.Errorf("dropped was %v", v)
	}
	eventually(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().WebSockets == 0 })
}

// Row 11: the ID of a connection without the session that opened it is worth
// nothing, and the answer does not say that there is such a connection.
func TestSame(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := open(t, echoing(), engineio.Config{}, siteOptions{hooks: engineio.Hooks{
		Lift: func(c *fiber.Ctx) (any, error) { return strings.Clone(c.Cookies("who")), nil },
		SameVisitor: func(c *fiber.Ctx, lifted any) bool {
			asked.Add(1)
			return c.Cookies("who") == lifted
		},
	}})
	p := s.poll("Cookie", "who=alice")
	unknown := s.do("GET", polling+"&sid="+strings.Repeat("A", 24), "")
	for _, cookie := range []string{"who=bob", "who=", "other=alice"} {
		for _, tt := range []struct {
			name string
			send func() answer
		}{
			{"poll", func() answer { return s.do("GET", p.query(), "", "Cookie", cookie) }},
			{"post", func() answer { return s.do("POST", p.query(), "4theft", "Cookie", cookie) }},
			{"nonsense", func() answer { return s.do("POST", p.query(), "nonsense", "Cookie", cookie) }},
			{"put", func() answer { return s.do("PUT", p.query(), "", "Cookie", cookie) }},
			{"upgrade", func() answer { _, a := s.dialWS(websocket+"&sid="+p.sid, "Cookie", cookie); return a }},
		} {
			t.Run(cookie+"/"+tt.name, func(t *testing.T) {
				if a := tt.send(); a.status != unknown.status || a.body != unknown.body {
					t.Errorf("it was answered with %d %s, and an unknown one with %d %s", a.status, a.body, unknown.status, unknown.body)
				}
			})
		}
	}
	if asked.Load() != 15 {
		t.Errorf("Same was asked %d times of 15", asked.Load())
	}
	if a := p.post("4mine"); a.status != 200 {
		t.Errorf("the connection was disturbed: %d %s", a.status, a.body)
	}
	if a := p.get(); a.body != "4mine" {
		t.Errorf("the poll was answered with %q", a.body)
	}
	if c := p.upgradeTo(); c != nil {
		c.say("4and upgraded")
		if got := c.text(); got != "4and upgraded" {
			t.Errorf("the echo is %q", got)
		}
	}
}

// engine.use: middlewares run for every request, in order, and what they set goes
// out with that answer.
func TestUse(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{}, siteOptions{hooks: engineio.Hooks{Lift: func(c *fiber.Ctx) (any, error) { return c.Locals("user"), nil }}})
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
			t.Errorf("%s: ran is %q", what, got)
		}
		if got := a.header.Get("X-Left"); got != "second, first" {
			t.Errorf("%s: left is %q", what, got)
		}
		if got := len(a.header.Values("Set-Cookie")); got != 2 {
			t.Errorf("%s: %d cookies", what, got)
		}
	}
	p := &pollClient{site: s}
	a := s.do("GET", polling, "")
	check("handshake", a, 200)
	p.sid = parseOpen(t, a.body).SID
	if got := s.next().Conn.Handshake(); got.Lifted != "alice" || got.Locals["user"] != "alice" {
		t.Errorf("the middlewares' locals are not there: %+v", got)
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
		t.Error("a middleware ran for a request that is refused whatever it says")
	}
}

// The app around the engine keeps its say: its proxies, its error handler.
func TestUse_HasTheConfigurationOfTheApp(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{}, siteOptions{fiber: fiber.Config{
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
	if a.header.Get("X-IP") != "192.0.2.7" || s.next().Conn.Handshake().RemoteIP != "192.0.2.7" {
		t.Errorf("the address is %q", a.header.Get("X-IP"))
	}
	if a := s.do("GET", polling, "", "X-Test", "1"); a.status != 599 || a.body != "the app's: boom" {
		t.Errorf("the error became %d %q", a.status, a.body)
	}
}
