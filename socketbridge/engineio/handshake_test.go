package engineio_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	cfg := engineio.Config{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	want := opened{PingInterval: 300, PingTimeout: 200, MaxPayload: 1_000_000}
	check := func(t *testing.T, packet string, upgrades ...string) {
		t.Helper()
		got := parseOpen(t, packet)
		if strings.Join(got.Upgrades, ",") != strings.Join(upgrades, ",") {
			t.Errorf("upgrades is %q, want %q", got.Upgrades, upgrades)
		}
		if len(got.SID) != 24 {
			t.Errorf("sid has %d characters, want 24 (144 bits)", len(got.SID))
		}
		got.SID, got.Upgrades = "", nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	t.Run("polling", func(t *testing.T) {
		a := open(t, &transporttest.Recorder{}, cfg).do("GET", polling, "")
		if a.status != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("response is %d with headers %v", a.status, a.header)
		}
		check(t, a.body, "websocket")
	})
	t.Run("websocket", func(t *testing.T) {
		c, _ := open(t, &transporttest.Recorder{}, cfg).dialWS(websocket)
		check(t, c.readText())
	})
	t.Run("upgrades can be turned off", func(t *testing.T) {
		cfg := cfg
		cfg.DisableUpgrades = true
		s := open(t, &transporttest.Recorder{}, cfg)
		a := s.do("GET", polling, "")
		check(t, a.body)
		if _, a := s.dialWS(websocket + "&sid=" + parseOpen(t, a.body).SID); a.code() != 3 {
			t.Errorf("an upgrade was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("only polling", func(t *testing.T) {
		cfg := cfg
		cfg.Transports = []string{engineio.Polling}
		s := open(t, &transporttest.Recorder{}, cfg)
		check(t, s.do("GET", polling, "").body)
		if _, a := s.dialWS(websocket); a.code() != 0 {
			t.Errorf("a WebSocket was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("only websocket", func(t *testing.T) {
		cfg := cfg
		cfg.Transports = []string{engineio.WebSocket}
		s := open(t, &transporttest.Recorder{}, cfg)
		s.openWS()
		if a := s.do("GET", polling, ""); a.code() != 0 {
			t.Errorf("polling was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("without the trailing slash, and on another path", func(t *testing.T) {
		cfg := cfg
		cfg.Path = "/live/"
		s := open(t, &transporttest.Recorder{}, cfg)
		for path, want := range map[string]int{"/live/": 200, "/live": 200, "/live/x": 404, "/socket.io/": 404, "/": 404} {
			res, err := s.client.Get("http://" + s.addr + path + "?" + polling)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
			}
		}
	})
	t.Run("a subprotocol is selected, since some clients fail without one", func(t *testing.T) {
		s := open(t, &transporttest.Recorder{}, cfg)
		_, a := s.dialWS(websocket, "Sec-WebSocket-Protocol", "ws1, ws2")
		if got := a.header.Get("Sec-WebSocket-Protocol"); got != "ws1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestHandshake_Snapshot(t *testing.T) {
	t.Parallel()
	for _, opener := range openers {
		t.Run(opener.name, func(t *testing.T) {
			s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
				SessionCookie: func(name string) bool { return strings.HasSuffix(name, "session") },
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
			opener.open(s, "X-Test", "one", "Cookie", "session=secret; theme=dark; __Host-session=secret; lang=de")
			hs := s.nextConn().Conn.Handshake()
			if hs.Method != "GET" || hs.Path != "/socket.io/" || hs.Host != s.addr || hs.RemoteIP != "127.0.0.1" || hs.Secure || hs.Time.IsZero() {
				t.Errorf("the request is %+v", hs)
			}
			if hs.Query.Get("EIO") != "4" || hs.Query.Get("transport") != opener.name {
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
				t.Errorf("the session's cookie is in the handshake: %s", all)
			}
		})
	}
}

// D19 and row 49: a handshake must not share memory with its request. fasthttp reuses the
// memory for the next request on the same keep-alive connection.
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
		return s.nextConn().Conn.Handshake()
	}
	first := handshake("alice-alice-alice")
	before := fmt.Sprintf("%+v", first)
	for range 20 {
		handshake("bobby-bobby-bobby")
	}
	if after := fmt.Sprintf("%+v", first); after != before {
		t.Errorf("the first handshake changed to\n%s\nfrom\n%s", after, before)
	}
	if !strings.Contains(before, "alice") || strings.Count(before, "alice-alice-alice") < 8 {
		t.Errorf("the handshake is incomplete: %s", before)
	}
}
