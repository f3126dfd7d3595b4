package engineio_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// A client that has more on its way when the server closes its WebSocket gets the close frame and
// the end of the stream. A server that closed with unread bytes would reset the TCP connection
// instead, and most systems then drop what the client has not read yet.
func TestClose_IsNoReset(t *testing.T) {
	t.Parallel()
	more := strings.Repeat(clientFrame(true, wsframe.Pong, strings.Repeat("x", 100)), 1000)
	refuse := func(transport.Conn) error { return errors.New("refused") }
	for _, tt := range []struct {
		name   string
		accept func(transport.Conn) error
		plain  bool
		code   uint16
		dial   func(s *site) *wsClient
	}{
		{"an upgrade that fails", nil, false, wsframe.NormalClosure, func(s *site) *wsClient {
			c, _ := s.dialWS(websocket + "&sid=" + s.openPoll().sid)
			c.write(clientFrame(true, wsframe.Text, "4no probe") + more)
			return c
		}},
		{"a second upgrade", nil, false, wsframe.PolicyViolation, func(s *site) *wsClient {
			p := s.openPoll()
			first, _ := s.dialWS(websocket + "&sid=" + p.sid)
			first.sendText("2probe")
			first.readText()
			c, _ := s.dialWS(websocket + "&sid=" + p.sid)
			c.write(more)
			return c
		}},
		{"an upgrade whose connection is closed", nil, false, wsframe.NormalClosure, func(s *site) *wsClient {
			p := s.openPoll()
			c, _ := s.dialWS(websocket + "&sid=" + p.sid)
			c.sendText("2probe")
			c.readText()
			s.nextConn().Conn.Close(transport.ShuttingDown)
			if a := p.get(); a.body != "1" {
				s.t.Errorf("the poll was answered with %q, want the close packet", a.body)
			}
			c.write(more)
			return c
		}},
		{"a connection that is refused", refuse, false, wsframe.PolicyViolation, func(s *site) *wsClient {
			c, _ := handshakeWS(s.t, appendToRequest{s.dial(), more}, s.addr, "/socket.io/?"+websocket)
			return c
		}},
		{"a plain connection that is refused", refuse, true, wsframe.PolicyViolation, func(s *site) *wsClient {
			c, _ := handshakeWS(s.t, appendToRequest{s.dial(), more}, s.addr, "/plain")
			return c
		}},
		{"a violation", nil, false, wsframe.PolicyViolation, func(s *site) *wsClient {
			c := s.openWS()
			c.write(clientFrame(true, wsframe.Text, "2") + more)
			return c
		}},
		{"a close by the server", nil, false, wsframe.GoingAway, func(s *site) *wsClient {
			c := s.openWS()
			s.nextConn().Conn.Close(transport.ShuttingDown)
			c.write(more)
			return c
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s *site
			recorder := &transporttest.Recorder{OnAccept: tt.accept}
			s = open(t, recorder, engineio.Config{Timeouts: engineio.Timeouts{Close: waitLimit}, MaxPayload: 20_000_000}, siteOptions{before: func(app *fiber.App) {
				app.Get("/plain", func(c *fiber.Ctx) error { return s.engine.Plain(recorder)(c) })
			}})
			c := tt.dial(s)
			if code := c.readClose(); code != tt.code {
				t.Errorf("close code is %d, want %d", code, tt.code)
			}
			if _, err := c.read(); err != io.EOF {
				t.Errorf("after the close frame: %v, want the end of the stream", err)
			}
			if _, err := io.WriteString(c.nc, "x"); err != nil {
				t.Errorf("the server does not read any more: %v", err)
			}
			c.nc.Close()
			waitFor(t, func() bool { return s.engine.Stats().WebSockets <= 1 }) // the first upgrade of two
		})
	}
}
