package engineio_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestLift(t *testing.T) {
	t.Parallel()
	for _, opener := range openers {
		t.Run(opener.name+"/its value reaches the acceptor", func(t *testing.T) {
			released := make(chan any, 1)
			s := open(t, &transporttest.Recorder{}, engineio.Config{
				Timeouts: engineio.Timeouts{Close: 10 * time.Millisecond},
			}, siteOptions{hooks: engineio.Hooks{
				Lift:    func(c *fiber.Ctx) (any, error) { return "session of " + strings.Clone(c.Cookies("who")), nil },
				Release: func(v any) { released <- v },
			}})
			opener.open(s, "Cookie", "who=alice")
			a := s.nextConn()
			if got := a.Conn.Handshake().Lifted; got != "session of alice" {
				t.Errorf("got %v", got)
			}
			a.Conn.Close(transport.ForcedClose)
			if _, _, err := a.End(s.context()); err == nil && len(released) > 0 {
				t.Error("the value of an accepted connection was released")
			}
		})
		t.Run(opener.name+"/its error refuses the connection", func(t *testing.T) {
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
						Lift:    func(c *fiber.Ctx) (any, error) { return "not released", tt.err },
						Release: func(v any) { t.Errorf("%v was released", v) },
					}})
					a := opener.open(s)
					if a.status != tt.status || a.code() != tt.code || strings.Contains(a.body, "secret") {
						t.Errorf("response is %d %s", a.status, a.body)
					}
					if n := s.engine.Stats().Connections; n != 0 || len(s.recorder.All()) != 0 {
						t.Errorf("%d connections are left", n)
					}
				})
			}
		})
		t.Run(opener.name+"/the acceptor refuses", func(t *testing.T) {
			released := make(chan any, 1)
			s := open(t, &transporttest.Recorder{OnAccept: func(transport.Conn) error { return errors.New("secret") }}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
				Lift:    func(c *fiber.Ctx) (any, error) { return "session", nil },
				Release: func(v any) { released <- v },
			}})
			c, a := (*wsClient)(nil), answer{}
			if opener.name == "polling" {
				if a = opener.open(s); a.status != 403 || a.code() != 4 || strings.Contains(a.body, "secret") {
					t.Errorf("response is %d %s", a.status, a.body)
				}
			} else if c, a = s.dialWS(websocket); c != nil {
				if code := c.readClose(); code != 1008 {
					t.Errorf("close code is %d", code)
				}
			}
			if v := <-released; v != "session" {
				t.Errorf("released %v", v)
			}
			waitFor(t, func() bool { return s.engine.Stats().Connections == 0 })
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
		for range 3 { // the second would exceed MaxConns if the first still counted
			for _, opener := range openers {
				if a := opener.open(s); a.status != 418 {
					t.Errorf("%s: response is %d %s", opener.name, a.status, a.body)
				}
			}
		}
	})
}

// A middleware of the app can turn the 101 into another response. The client then does not
// speak WebSocket, and the connection ends.
func TestHijack_AnotherAnswer(t *testing.T) {
	t.Parallel()
	released := make(chan any, 1)
	s := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{
		Lift:    func(c *fiber.Ctx) (any, error) { return "session", nil },
		Release: func(v any) { released <- v },
	}, before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			if err := c.Next(); err != nil {
				return err
			}
			return errors.New("the session could not be saved")
		})
	}})
	if c, a := s.dialWS(websocket); c != nil || a.status != 500 {
		t.Errorf("response is %d", a.status)
	}
	if v := <-released; v != "session" {
		t.Errorf("released %v", v)
	}
	waitFor(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().WebSockets == 0 })
}

// Row 11: a connection's ID is useless without the session that opened the connection. The
// response does not reveal that the connection exists.
func TestSame(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{hooks: engineio.Hooks{
		Lift: func(c *fiber.Ctx) (any, error) { return strings.Clone(c.Cookies("who")), nil },
		SameVisitor: func(c *fiber.Ctx, lifted any) bool {
			asked.Add(1)
			return c.Cookies("who") == lifted
		},
	}})
	p := s.openPoll("Cookie", "who=alice")
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
					t.Errorf("response is %d %s, but for an unknown sid it is %d %s", a.status, a.body, unknown.status, unknown.body)
				}
			})
		}
	}
	if asked.Load() != 15 {
		t.Errorf("SameVisitor was called %d times, want 15", asked.Load())
	}
	if a := p.post("4mine"); a.status != 200 {
		t.Errorf("the connection was disturbed: %d %s", a.status, a.body)
	}
	if a := p.get(); a.body != "4mine" {
		t.Errorf("the poll was answered with %q", a.body)
	}
	if c := p.upgrade(); c != nil {
		c.sendText("4and upgraded")
		if got := c.readText(); got != "4and upgraded" {
			t.Errorf("got %q back", got)
		}
	}
}
