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

// A WebSocket that was answered and never came, because the answer could not be
// written, must not be held: fasthttp tells nobody.
func TestTime_HijackThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped any
		b := newPipeServer(t, &transporttest.Recorder{}, Config{}, Hooks{Release: func(v any) { dropped = v }})
		c := b.add(snapshot{lifted: "session"}, WebSocket)
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("it was held for %v", took)
		}
		if dropped != "session" || b.server.Stats().Connections != 0 {
			t.Errorf("dropped is %v, and %d connections are left", dropped, b.server.Stats().Connections)
		}
		p := b.serve(c.serveWebSocket) // if it comes after all
		<-p.served
		if len(b.recorder.All()) != 0 {
			t.Error("a connection that was given up was accepted")
		}
	})
}

// D12: a client that does not read does not hold a write for ever.
func TestTime_D12_WriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: time.Hour})
		c := b.add(snapshot{}, WebSocket)
		client, server := net.Pipe() // without anybody who reads
		served := make(chan struct{})
		go func() { b.carry(server, c.serveWebSocket); close(served) }() // received below
		a, _ := b.recorder.Next(t.Context())
		begin := time.Now()
		b.expectEnd(a, begin, 10*time.Second, transport.TransportError)
		<-served
		client.Close()
	})
}

// Close returns at once and its connection ends in bounded time, also when the
// client never reads (quic-go's GHSA-px4r in another guise).
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
				t.Error("Close has waited")
			}
			b.expectEnd(a, begin, 5*time.Second, transport.ForcedClose)
		})
	}
}

// A core that panics loses one connection.
func TestPanicsInTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error { panic("secret") }}
		b := newPipeServer(t, core, Config{PingInterval: time.Hour})
		c, a := b.openPolling()
		if err := c.post([]byte("4x")); err != ErrBadRequest {
			t.Errorf("the post: %v", err)
		}
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
		_, a, p := b.openWebSocket()
		p.sendText("4x")
		if f := <-p.frames; f != "8:\x03\xf3" {
			t.Errorf("got frame %q, not a close with 1011 and nothing else", f)
		}
		p.nc.Close()
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
	})
}
