//go:build linux

package engineio_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// openIdle opens a WebSocket and waits until it has no reader.
func openIdle(s *site) (*wsClient, *transporttest.Accepted) {
	s.t.Helper()
	before := s.engine.IdleWebSockets()
	c := s.openWS()
	a := s.nextConn()
	c.sendText("4first")
	got := c.readText()
	for ; got == "2"; got = c.readText() {
		c.sendText("3")
	}
	if got != "4first" {
		s.t.Fatalf("got %q, want 4first", got)
	}
	waitFor(s.t, func() bool { return s.engine.IdleWebSockets() > before })
	return c, a
}

func TestIdle_ReadsOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, send, want string }{
		{"a message", clientFrame(true, wsframe.Text, "4again"), "4again"},
		{"several messages", clientFrame(true, wsframe.Text, "4again") + clientFrame(true, wsframe.Text, "4more"), "4again4more"},
		{"a message in parts", clientFrame(false, wsframe.Text, "4ag") + clientFrame(true, wsframe.Continuation, "ain"), "4again"},
		{"a ping", clientFrame(true, wsframe.Ping, "p"), "p"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoRecorder(), engineio.Config{})
			c, _ := openIdle(s)
			for i := range len(tt.send) { // the reader starts with a part of a frame
				c.write(tt.send[i : i+1])
			}
			got := ""
			for len(got) < len(tt.want) {
				f, err := c.read()
				if err != nil {
					t.Fatalf("got %q and %v, want %q", got, err, tt.want)
				}
				got += f.data
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// After each pong, the connection is idle again.
func TestIdle_Heartbeats(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{PingInterval: 10 * time.Millisecond, PingTimeout: waitLimit})
	c, _ := openIdle(s)
	for range 20 {
		if got := c.readText(); got != "2" {
			t.Fatalf("got %q, want a ping", got)
		}
		waitFor(t, func() bool { return s.engine.IdleWebSockets() == 1 })
		c.sendText("3")
	}
}

func TestIdle_ServerSends(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	c, a := openIdle(s)
	for range 10 {
		reply(a, "news")
		if got := c.readText(); got != "4news" {
			t.Fatalf("got %q, want 4news", got)
		}
	}
	if n := s.engine.IdleWebSockets(); n != 1 {
		t.Errorf("%d WebSockets are idle after the server has sent to one, want 1", n)
	}
}

func TestIdle_Ends(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  engineio.Config
		end  func(s *site, c *wsClient, a *transporttest.Accepted)
		want transport.Reason
	}{
		{"the client closes", engineio.Config{}, func(_ *site, c *wsClient, _ *transporttest.Accepted) {
			c.write(clientFrame(true, wsframe.Close, "\x03\xe8"))
		}, transport.TransportClose},
		{"the client's process ends", engineio.Config{}, func(_ *site, c *wsClient, _ *transporttest.Accepted) { _ = c.nc.Close() }, transport.TransportClose},
		{"the network resets it", engineio.Config{}, func(_ *site, c *wsClient, _ *transporttest.Accepted) {
			_ = c.nc.(*net.TCPConn).SetLinger(0)
			_ = c.nc.Close()
		}, transport.TransportClose},
		{"the client answers no ping", engineio.Config{PingInterval: time.Second, PingTimeout: 100 * time.Millisecond}, func(*site, *wsClient, *transporttest.Accepted) {}, transport.PingTimeout},
		{"the server closes, the client answers", engineio.Config{}, func(_ *site, c *wsClient, a *transporttest.Accepted) {
			a.Conn.Close(transport.ForcedClose)
			c.readClose()
			c.write(clientFrame(true, wsframe.Close, "\x03\xe8"))
		}, transport.ForcedClose},
		{"the server closes, the client is silent", engineio.Config{Timeouts: engineio.Timeouts{Close: time.Millisecond}}, func(_ *site, _ *wsClient, a *transporttest.Accepted) {
			a.Conn.Close(transport.ForcedClose)
		}, transport.ForcedClose},
		{"Shutdown does not wait", engineio.Config{}, func(s *site, _ *wsClient, _ *transporttest.Accepted) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.engine.Shutdown(ctx)
		}, transport.ShuttingDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoRecorder(), tt.cfg)
			c, a := openIdle(s)
			tt.end(s, c, a)
			s.waitForEnd(a, tt.want)
			waitFor(t, s.idle)
		})
	}
}

// Connections that come and go use the same descriptors. None is left waiting.
func TestIdle_DescriptorsAreUsedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	stays, _ := openIdle(s)
	for range 50 {
		c, a := openIdle(s)
		_ = c.nc.Close()
		s.waitForEnd(a, transport.TransportClose)
	}
	stays.sendText("4still here")
	if got := stays.readText(); got != "4still here" {
		t.Errorf("got %q, want an answer", got)
	}
}
