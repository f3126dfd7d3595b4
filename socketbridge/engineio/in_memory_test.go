package engineio_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// memoryClient is an inmemory.Client. Its requests come from RFC 5737's 192.0.2.1.
type memoryClient struct {
	request, response bytes.Buffer
	conn              *transporttest.Conn
}

func (c *memoryClient) Read(p []byte) (int, error)     { return c.request.Read(p) }
func (c *memoryClient) Write(p []byte) (int, error)    { return c.response.Write(p) }
func (*memoryClient) Close() error                     { return nil }
func (*memoryClient) SetDeadline(time.Time) error      { return nil }
func (*memoryClient) SetReadDeadline(time.Time) error  { return nil }
func (*memoryClient) SetWriteDeadline(time.Time) error { return nil }
func (*memoryClient) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*memoryClient) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (c *memoryClient) NewConn(hs *transport.Handshake) inmemory.Conn {
	c.conn = transporttest.NewConn(hs)
	return c.conn
}

// A client in memory passes the same checks and hooks as others, is closed by Shutdown, and a
// refused one gives back what was lifted for it.
func TestN10_InMemory(t *testing.T) {
	t.Parallel()
	var lifted, released atomic.Int64
	recorder := &transporttest.Recorder{OnAccept: func(c transport.Conn) error {
		if c.Handshake().Query.Get("refuse") != "" {
			return errors.New("not this one")
		}
		return nil
	}}
	server := engineio.New(recorder, engineio.Config{Logger: slog.New(slog.DiscardHandler), Limits: engineio.Limits{ConnRatePerIP: 1}}, engineio.Hooks{
		Lift: func(c *fiber.Ctx) (any, error) {
			if c.Query("forbid") != "" {
				return nil, errors.New("secret")
			}
			return lifted.Add(1), nil
		},
		Release: func(any) { released.Add(1) },
	})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(server.Handler())
	app.Handler()
	dial := func(query string) *memoryClient {
		c := &memoryClient{}
		c.request.WriteString("GET /socket.io/?EIO=4&transport=websocket" + query + " HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n" +
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		if err := app.Server().ServeConn(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answer := func(c *memoryClient, want string) {
		t.Helper()
		if line, _, _ := strings.Cut(c.response.String(), "\r\n"); line != want {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	var open []*memoryClient
	for range 50 { // the limits by address do not apply
		c := dial("&x=1")
		answer(c, "HTTP/1.1 101 Switching Protocols")
		open = append(open, c)
	}
	if hs := open[0].conn.Handshake(); hs.RemoteIP != "192.0.2.1" || hs.Query.Get("x") != "1" || hs.Lifted != int64(1) || hs.Host != "example.com" {
		t.Errorf("got the handshake %+v", hs)
	}
	if n := server.Stats().Connections; n != 50 || len(recorder.All()) != 50 {
		t.Errorf("%d connections, %d accepted, want 50", n, len(recorder.All()))
	}
	refused := dial("&refuse=1")
	answer(refused, "HTTP/1.1 403 Forbidden")
	<-refused.conn.Done()
	if released.Load() != 1 {
		t.Errorf("released %d, want 1", released.Load())
	}
	forbidden := dial("&forbid=1")
	answer(forbidden, "HTTP/1.1 403 Forbidden")
	if forbidden.conn != nil || strings.Contains(forbidden.response.String(), "secret") {
		t.Error("a client that the hook refused got a connection, or the error")
	}
	open[0].conn.Leave(transport.TransportClose, nil)
	if err := server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, c := range open[1:] {
		if reason, _ := c.conn.Reason(); reason != transport.ShuttingDown {
			t.Fatalf("connection %d ended with %q", i, reason)
		}
		<-c.conn.Done()
	}
	if n := server.Stats().Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
	late := dial("")
	answer(late, "HTTP/1.1 503 Service Unavailable")
	if late.conn != nil {
		t.Error("a server that has shut down began a connection")
	}
}
