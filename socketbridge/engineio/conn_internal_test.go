package engineio

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// If the 101 could not be written, fasthttp drops the request without a report. The connection
// must not be kept then.
func TestTime_HijackNeverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released any
		b := newPipeServer(t, &transporttest.Recorder{}, Config{}, Hooks{Release: func(v any) { released = v }})
		c := b.add(snapshot{lifted: "session"}, WebSocket)
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the connection was kept for %v", took)
		}
		if released != "session" || b.server.Stats().Connections != 0 {
			t.Errorf("released %v, and %d connections are left", released, b.server.Stats().Connections)
		}
		p := b.serve(c.serveWebSocket) // the WebSocket opens after all
		<-p.served
		if len(b.recorder.All()) != 0 {
			t.Error("a connection was accepted after its end")
		}
	})
}

// D12: the write deadline ends a write to a client that does not read.
func TestTime_D12_WriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: time.Hour})
		c := b.add(snapshot{}, WebSocket)
		client, server := net.Pipe() // the client end is never read
		served := make(chan struct{})
		go func() { b.serveHijacked(server, c.serveWebSocket); close(served) }() // received below
		a, _ := b.recorder.Next(t.Context())
		begin := time.Now()
		b.expectEnd(a, begin, 10*time.Second, transport.TransportError)
		<-served
		client.Close()
	})
}

// Close returns at once, and the connection ends in bounded time even if the client never
// reads (compare GHSA-px4r of quic-go).
func TestTime_CloseAgainstAClientThatNeverReads(t *testing.T) {
	for _, transportName := range []string{WebSocket, Polling} {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			var c *conn
			var a *transporttest.Accepted
			if transportName == WebSocket {
				var p *pipeClient
				c, a, p = b.openWebSocket()
				defer p.nc.Close()
			} else {
				c, a = b.openPolling()
			}
			_ = c.Send(0, transport.Message{Data: []byte("x")})
			begin := time.Now()
			c.Close(transport.ForcedClose)
			if time.Since(begin) != 0 {
				t.Error("Close did not return at once")
			}
			b.expectEnd(a, begin, 5*time.Second, transport.ForcedClose)
		})
	}
}

// A panic of the receiver ends only its connection.
func TestPanicsInTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error { panic("secret") }}
		b := newPipeServer(t, recorder, Config{PingInterval: time.Hour})
		c, a := b.openPolling()
		if err := c.post([]byte("4x")); err != ErrBadRequest {
			t.Errorf("post returned %v", err)
		}
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
		_, a, p := b.openWebSocket()
		p.sendText("4x")
		if f := <-p.frames; f != "8:\x03\xf3" {
			t.Errorf("got frame %q, want a close frame with 1011 and no reason", f)
		}
		p.nc.Close()
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
	})
}
