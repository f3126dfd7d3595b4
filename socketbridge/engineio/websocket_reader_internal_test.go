package engineio

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// openPlain opens a connection without Engine.IO packets.
func (b *pipeServer) openPlain() (*transporttest.Accepted, *pipeClient) {
	b.t.Helper()
	c := b.add(snapshot{}, WebSocket)
	c.plain = true
	p := b.serve(c.serveWebSocket)
	a, err := b.recorder.Next(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return a, p
}

// A message must be complete within PingInterval + PingTimeout of its first byte. Pongs
// between its fragments, which keep the connection alive, do not extend this. Inside a frame
// there can be no pong, so there the heartbeat ends the connection first.
func TestTime_R18_UnfinishedMessage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		first, then string // then is sent every 2 seconds
		want        time.Duration
		reason      transport.Reason
		cause       error
	}{
		{"pongs between fragments", maskedFrame(false, wsframe.Binary, "x"), maskedFrame(true, wsframe.Pong, ""), 70 * time.Second, transport.TransportError, errSlowMessage},
		{"small fragments", maskedFrame(false, wsframe.Binary, "x"), maskedFrame(true, wsframe.Pong, "") + maskedFrame(false, wsframe.Continuation, "x"), 70 * time.Second, transport.TransportError, errSlowMessage},
		{"a frame that drips", maskedFrame(true, wsframe.Binary, strings.Repeat("x", 1000))[:8], "x", 69 * time.Second, transport.PingTimeout, errNoPong},
		{"a header that drips", maskedFrame(true, wsframe.Binary, strings.Repeat("x", 1000))[:1], "", 69 * time.Second, transport.PingTimeout, errNoPong},
		{"after a whole message", maskedFrame(true, wsframe.Binary, "x") + maskedFrame(false, wsframe.Binary, "x"), maskedFrame(true, wsframe.Pong, ""), 70 * time.Second, transport.TransportError, errSlowMessage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: 30 * time.Second, PingTimeout: 40 * time.Second})
				a, p := b.openPlain()
				time.Sleep(time.Second)
				begin := time.Now()
				_, _ = p.nc.Write([]byte(tt.first))
				ended := make(chan struct{})
				go func() { // closes ended after the pipe is closed
					defer close(ended)
					defer p.nc.Close()
					for range 100 {
						time.Sleep(2 * time.Second)
						if _, err := p.nc.Write([]byte(tt.then)); err != nil {
							return
						}
					}
				}()
				for f := range p.frames {
					if strings.HasPrefix(f, "8:") {
						if f != "8:\x03\xf0" {
							t.Errorf("the close frame is %q, want 1008", f)
						}
						break
					}
				}
				if took := time.Since(begin); took != tt.want {
					t.Errorf("closed after %v, want %v", took, tt.want)
				}
				if tt.cause == errSlowMessage { // the client has time to take the close frame
					time.Sleep(time.Second)
					select {
					case <-a.Conn.Done():
						t.Error("the connection has ended right after the close frame")
					default:
					}
				}
				p.nc.Close()
				if reason, cause, err := a.End(t.Context()); reason != tt.reason || cause != tt.cause || err != nil {
					t.Errorf("it ended with %q, %v, %v", reason, cause, err)
				}
				<-p.served
				<-ended
			})
		})
	}
}

// Each message has the time of its own, even if no read ever ends with a whole message, and
// a message that has arrived leaves no deadline behind.
func TestTime_R18_EachMessageHasItsOwnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: 5 * time.Second, PingTimeout: 5 * time.Second})
		a, p := b.openPlain()
		frame := maskedFrame(true, wsframe.Binary, "message")
		fragments := maskedFrame(false, wsframe.Binary, "mess") + maskedFrame(true, wsframe.Continuation, "age")
		pong := maskedFrame(true, wsframe.Pong, "")
		_, _ = p.nc.Write([]byte(frame[:3]))
		for range 20 {
			time.Sleep(3 * time.Second)
			_, _ = p.nc.Write([]byte(frame[3:] + pong + fragments + frame[:3]))
		}
		_, _ = p.nc.Write([]byte(frame[3:]))
		for range 10 {
			time.Sleep(4 * time.Second)
			_, _ = p.nc.Write([]byte(pong[:2]))
			time.Sleep(4 * time.Second)
			_, _ = p.nc.Write([]byte(pong[2:] + pong))
		}
		for range 5 { // no message is in progress, so there is no deadline
			time.Sleep(4 * time.Second)
			_, _ = p.nc.Write([]byte(pong))
		}
		synctest.Wait()
		select {
		case <-a.Conn.Done():
			t.Error("the connection was closed")
		default:
		}
		if err := a.Err(); err != nil || len(a.Received()) != 41 {
			t.Errorf("got %d messages, error %v, want 41", len(a.Received()), err)
		}
		p.nc.Close()
		if reason, cause, _ := a.End(t.Context()); reason != transport.TransportClose {
			t.Errorf("it ended with %q, %v", reason, cause)
		}
		<-p.served
	})
}

// After a close, what the client sends is discarded slowly, and the connection ends after
// Timeouts.Close.
func TestTime_R18_DrainIsSlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		chunk    int
		min, max int // bytes that are read
	}{
		{"large writes", 64 << 10, 900_000, 1_100_000},
		{"single bytes", 1, 900, 1100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{})
				_, a, p := b.openWebSocket()
				begin := time.Now()
				p.sendText("2") // not allowed
				sent, chunk := 0, make([]byte, tt.chunk)
				for {
					n, err := p.nc.Write(chunk)
					if sent += n; err != nil {
						break
					}
				}
				if sent < tt.min || sent > tt.max {
					t.Errorf("%d bytes were read after the close, want %d to %d", sent, tt.min, tt.max)
				}
				if took := time.Since(begin); took != 5*time.Second {
					t.Errorf("read for %v, want 5s", took)
				}
				if reason, cause, _ := a.End(t.Context()); reason != transport.TransportError || !errors.Is(cause, ErrPing) {
					t.Errorf("it ended with %q, %v", reason, cause)
				}
				<-p.served
			})
		})
	}
	// A client that has a message on its way gets the close frame, and the connection ends
	// when it closes.
	t.Run("honest client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			_, a, p := b.openWebSocket()
			begin := time.Now()
			p.sendText("2")
			_, _ = p.nc.Write([]byte(maskedFrame(true, wsframe.Text, "4"+strings.Repeat("x", 100_000))))
			if f := <-p.frames; f != "8:\x03\xf0" {
				t.Errorf("got %q, want a close frame with 1008", f)
			}
			_, _ = p.nc.Write([]byte(maskedFrame(true, wsframe.Close, "\x03\xf0")))
			p.nc.Close()
			_, _, _ = a.End(t.Context())
			if took := time.Since(begin); took > time.Second {
				t.Errorf("it took %v", took)
			}
			<-p.served
		})
	})
}

// The buffer grows with what has arrived, not with the length that a frame announces, and
// does not stay large after a large message, even if the next one has begun.
func TestR18_ReadBufferFollowsWhatArrived(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	s := New(&transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: -1, BytesPerSecond: -1}})
	s.addRunning()
	s.stats.webSockets.Add(1)
	r := newReader(s, server, nil)
	defer r.close()
	r.conn, r.stall = &conn{server: s}, &stall{}
	large := maskedFrame(true, wsframe.Binary, strings.Repeat("x", 500_000))
	write := func(b string) {
		go func() { _, _ = client.Write([]byte(b)) }() // ends when all is read, or the pipe is closed
	}

	arrived := 0
	for _, arrives := range []int{5000, 20_000} {
		write(large[arrived:arrives])
		for arrived = arrives; r.to-r.from < arrives; {
			if err := r.fill(); err != nil {
				t.Fatal(err)
			}
			if m, n, err := r.dec.Next(r.buf[r.from:r.to]); m.Op != wsframe.None || n != 0 || err != nil {
				t.Fatal(m.Op, n, err)
			}
		}
		if len(r.buf) > max(readSize, 2*arrives) {
			t.Errorf("the buffer has %d bytes after %d of 500000 announced ones have arrived", len(r.buf), arrives)
		}
	}
	write(large[arrived:] + large[:100])
	if m, err := r.next(); err != nil || len(m.Data) != 500_000 {
		t.Fatal(len(m.Data), err)
	}
	if len(r.buf) < 500_000 {
		t.Fatalf("the buffer has %d bytes: the test shows nothing", len(r.buf))
	}
	for r.to-r.from < 101 {
		write("x")
		if err := r.fill(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.buf) > readSize {
		t.Errorf("the buffer has %d bytes although only %d are pending", len(r.buf), r.to-r.from)
	}
}
