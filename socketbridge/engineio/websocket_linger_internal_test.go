package engineio

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// closings are WebSockets that are closed without having become their connection's transport, or
// before their connection was open. open returns after what ends them has happened.
var closings = []struct {
	name  string
	frame string // the close frame
	ended bool   // the connection has ended
	open  func(t *testing.T, b *pipeServer) (*conn, *pipeClient)
}{
	{"an upgrade that fails", "8:\x03\xe8", false, func(_ *testing.T, b *pipeServer) (*conn, *pipeClient) {
		c, _ := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("4no probe")
		return c, p
	}},
	{"a second upgrade", "8:\x03\xf0", false, func(_ *testing.T, b *pipeServer) (*conn, *pipeClient) {
		c, _ := b.openPolling()
		first := b.serve(c.serveUpgrade)
		first.sendText("2probe")
		<-first.frames
		p := b.serve(c.serveUpgrade)
		synctest.Wait()
		first.nc.Close()
		<-first.served
		return c, p
	}},
	{"an upgrade whose connection is closed", "8:\x03\xe8", true, func(t *testing.T, b *pipeServer) (*conn, *pipeClient) {
		c, _ := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		c.Close(transport.ShuttingDown)
		if body, err := c.poll(nil); string(body) != "1" || err != nil {
			t.Errorf("the poll got %q, %v, want the close packet", body, err)
		}
		return c, p
	}},
	{"an upgrade after the end", "8:\x03\xf0", true, func(_ *testing.T, b *pipeServer) (*conn, *pipeClient) {
		c, a := b.openPolling()
		c.terminate(transport.ForcedClose, nil)
		<-a.Conn.Done()
		return c, b.serve(c.serveUpgrade)
	}},
	{"a connection that is refused", "8:\x03\xf0", true, func(_ *testing.T, b *pipeServer) (*conn, *pipeClient) {
		b.recorder.OnAccept = func(c transport.Conn) error {
			_ = c.Send(0, transport.Message{Data: []byte("not sent")})
			return errors.New("refused")
		}
		c := b.add(snapshot{}, WebSocket)
		return c, b.serve(c.serveWebSocket)
	}},
}

// After the close frame, what the client sends is discarded slowly for Timeouts.Close.
func TestTime_R18_LingerIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range closings {
		for _, size := range []int{1, 64 << 10} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newPipeServer(t, &transporttest.Recorder{}, Config{})
					c, p := tt.open(t, b)
					begin := time.Now()
					if f := <-p.frames; f != tt.frame || time.Since(begin) != 0 {
						t.Errorf("got %q after %v, want the close frame %q at once", f, time.Since(begin), tt.frame)
					}
					sent, chunk := 0, make([]byte, size)
					for time.Since(begin) < time.Minute {
						n, err := p.nc.Write(chunk)
						if sent += n; err != nil {
							break
						}
					}
					if took := time.Since(begin); took != 5*time.Second {
						t.Errorf("read for %v, want 5s", took)
					}
					if least, most := min(900_000, 900*size), min(1_100_000, 1100*size); sent < least || sent > most {
						t.Errorf("%d bytes were read, want %d to %d", sent, least, most)
					}
					p.nc.Close()
					<-p.served
					if f, more := <-p.frames; more {
						t.Errorf("got %q after the close frame", f)
					}
					c.terminate(transport.ForcedClose, nil)
					<-c.Done()
				})
			})
		}
	}
}

// The WebSocket ends when the client closes it, even if the client has sent much before.
func TestTime_LingerEndsWithTheClient(t *testing.T) {
	t.Parallel()
	for _, tt := range closings {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{})
				c, p := tt.open(t, b)
				begin := time.Now()
				if f := <-p.frames; f != tt.frame {
					t.Errorf("got %q, want the close frame %q", f, tt.frame)
				}
				if _, err := p.nc.Write(make([]byte, 10<<10)); err != nil {
					t.Errorf("what the client had sent before was not read: %v", err)
				}
				p.nc.Close()
				<-p.served
				if took := time.Since(begin); took > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				c.terminate(transport.ForcedClose, nil)
				<-c.Done()
			})
		})
	}
}

// A Shutdown whose context has ended does not wait for clients that have their close frame.
func TestTime_ShutdownCutsLingering(t *testing.T) {
	t.Parallel()
	for _, tt := range closings {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{})
				begin := time.Now()
				c, p := tt.open(t, b)
				if f := <-p.frames; f != tt.frame {
					t.Errorf("got %q, want the close frame %q", f, tt.frame)
				}
				synctest.Wait()
				b.cutShort()
				<-p.served
				<-c.Done()
				if took := time.Since(begin); took != 0 {
					t.Errorf("it took %v", took)
				}
				p.nc.Close()
			})
		})
	}
}

// cutShort ends the server without waiting for clients.
func (b *pipeServer) cutShort() {
	b.t.Helper()
	ended, cancel := context.WithCancel(b.t.Context())
	cancel()
	if err := b.server.Shutdown(ended); !errors.Is(err, context.Canceled) {
		b.t.Errorf("Shutdown returned %v", err)
	}
	if err := b.server.Shutdown(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

// The same for a client that does not take its close frame, and for an upgrade that fails
// afterwards.
func TestTime_ShutdownCutsACloseFrame(t *testing.T) {
	t.Parallel()
	for _, failed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			c, _ := b.openPolling()
			client, server := net.Pipe()
			served := make(chan struct{})
			go func() { // its end closes served
				b.serveHijacked(server, c.serveUpgrade)
				close(served)
			}()
			synctest.Wait()
			if failed {
				_, _ = client.Write([]byte(maskedFrame(true, wsframe.Text, "4no probe")))
				synctest.Wait() // the server writes
			}
			begin := time.Now()
			b.cutShort()
			<-served
			<-c.Done()
			if took := time.Since(begin); took != 0 {
				t.Errorf("it took %v", took)
			}
			client.Close()
		})
	}
}

// A Shutdown that waits is not held up for longer than Timeouts.Close by an upgrade, neither by
// its client nor by one that begins meanwhile.
func TestTime_ShutdownAndUpgrades(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, 4 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			c, _ := b.openPolling()
			begin := time.Now()
			down := make(chan error)
			go func() { down <- b.server.Shutdown(t.Context()) }() // received below
			time.Sleep(late)
			p := b.serve(c.serveUpgrade)
			p.sendText("2probe")
			<-p.frames
			if body, err := c.poll(nil); string(body) != "1" || err != nil {
				t.Errorf("the poll got %q, %v, want the close packet", body, err)
			}
			if f := <-p.frames; f != "8:\x03\xe8" {
				t.Errorf("got %q, want a close frame", f)
			}
			if err := <-down; err != nil || time.Since(begin) != 5*time.Second {
				t.Errorf("Shutdown returned %v after %v", err, time.Since(begin))
			}
			<-p.served
			p.nc.Close()
		})
	}
}

// The number of WebSockets that linger is bounded. Those beyond it still get their close frame.
func TestTime_R18_LingeringIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: -1}})
		c, _ := b.openPolling()
		for range maxLingering - 1 { // these stand for others
			b.server.addLingering(&lingering{})
		}
		begin := time.Now()
		clients := make([]*pipeClient, 3)
		for i, want := range []bool{true, false, false} {
			p := b.serve(c.serveUpgrade)
			p.sendText("4no probe")
			if f := <-p.frames; f != "8:\x03\xe8" {
				t.Errorf("got %q, want a close frame", f)
			}
			synctest.Wait()
			if _, err := p.nc.Write([]byte("x")); (err == nil) != want {
				t.Errorf("number %d: a write after the close frame returned %v", maxLingering+i, err)
			}
			clients[i] = p
		}
		for _, p := range clients {
			<-p.served
			p.nc.Close()
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("they lingered for %v, want 5s", took)
		}
		if got := len(b.server.lingering); got != maxLingering-1 {
			t.Errorf("%d are left, want those that stand for others", got)
		}
		c.terminate(transport.ForcedClose, nil)
		<-c.Done()
	})
}

// When the end of the connection interrupts a frame, no close frame follows: the client would
// take it for the rest of the first one.
func TestTime_NoCloseFrameWithinAFrame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		c, _ := b.openPolling()
		client, server := net.Pipe()
		served := make(chan struct{})
		go func() { // its end closes served
			b.serveHijacked(server, c.serveUpgrade)
			close(served)
		}()
		_, _ = client.Write([]byte(maskedFrame(true, wsframe.Ping, "0123456789")))
		got := make([]byte, 4)
		if _, err := io.ReadFull(client, got); err != nil || string(got) != "\x8a\x0a01" {
			t.Errorf("got %q, %v, want the begin of a pong", got, err)
		}
		c.Close(transport.ForcedClose)
		if body, err := c.poll(nil); string(body) != "1" || err != nil {
			t.Errorf("the poll got %q, %v, want the close packet", body, err)
		}
		synctest.Wait()
		if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
			t.Errorf("got %q, %v after a frame that was cut off", rest, err)
		}
		<-served
		<-c.Done()
	})
}
