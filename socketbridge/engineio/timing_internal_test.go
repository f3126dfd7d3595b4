package engineio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// These tests run in a bubble of testing/synctest, where time passes only when all
// wait, on connections of net.Pipe, below Fiber: so they know exactly when
// something happens, and that nothing else does.

// bench is a server without Fiber.
type bench struct {
	t      *testing.T
	server *Server
	core   *transporttest.Recorder
}

func newBench(t *testing.T, core *transporttest.Recorder, cfg Config, hooks ...Hooks) *bench {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return &bench{t, New(core, cfg, hooks...), core}
}

// add makes a connection as a handshake does.
func (b *bench) add(request snapshot, transportName string) *conn {
	b.t.Helper()
	if err := b.server.limiter.acquire(netip.Addr{}, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	c, err := b.server.addConn(request, netip.Addr{}, transportName)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// polling opens a connection on polling.
func (b *bench) polling() (*conn, *transporttest.Accepted) {
	b.t.Helper()
	c := b.add(snapshot{}, Polling)
	c.receiverSem <- struct{}{}
	if err := c.accept(); err != nil {
		b.t.Fatal(err)
	}
	c.releaseReceiver()
	a, _ := b.core.Next(b.t.Context())
	return c, a
}

// pipe is the client's end of a WebSocket.
type pipe struct {
	nc     net.Conn
	frames chan string // what the server sends, "op:data"; closed at its end
	served chan struct{}
}

// carry serves nc as what fasthttp has lent: until all has ended.
func (b *bench) carry(nc net.Conn, serve func(*reader)) {
	b.server.addRunning()
	b.server.stats.webSockets.Add(1)
	r := newReader(b.server, nc, nil)
	r.hijacked = true
	serve(r)
}

// serve carries a connection over a pipe.
func (b *bench) serve(handler func(*reader)) *pipe {
	client, server := net.Pipe()
	p := &pipe{client, make(chan string, 100), make(chan struct{})}
	go func() { // served tells its end
		b.carry(server, handler)
		close(p.served)
	}()
	go func() { // ends with the pipe
		defer close(p.frames)
		r := bufio.NewReader(client)
		for {
			var head []byte
			for {
				c, err := r.ReadByte()
				if err != nil {
					return
				}
				head = append(head, c)
				if h, n, err := wsframe.ParseHeader(head); err != nil {
					return
				} else if n > 0 {
					data := make([]byte, h.Length)
					if _, err := io.ReadFull(r, data); err != nil {
						return
					}
					p.frames <- fmt.Sprintf("%d:%s", h.Op, data)
					break
				}
			}
		}
	}()
	return p
}

// webSocket opens a connection on a WebSocket.
func (b *bench) webSocket() (*conn, *transporttest.Accepted, *pipe) {
	b.t.Helper()
	c := b.add(snapshot{}, WebSocket)
	p := b.serve(c.serveWebSocket)
	<-p.frames // the open packet
	a, _ := b.core.Next(b.t.Context())
	return c, a, p
}

// say sends a text frame.
func (p *pipe) say(packet string) {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Text, Masked: true, Length: uint64(len(packet))})
	_, _ = p.nc.Write(append(b, packet...))
}

// end wants the connection to have ended, after the given time.
func (b *bench) end(a *transporttest.Accepted, begin time.Time, after time.Duration, want transport.Reason) {
	b.t.Helper()
	got, cause, err := a.End(b.t.Context())
	if err != nil || got != want {
		b.t.Errorf("it ended with %q (%v), %v, not with %q", got, cause, err, want)
	}
	if took := time.Since(begin); took != after {
		b.t.Errorf("it ended after %v, not %v", took, after)
	}
}

func TestTime_PingAndPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		_, a, p := b.webSocket()
		for range 3 {
			last := time.Now()
			if f := <-p.frames; f != "1:2" || time.Since(last) != 25*time.Second {
				t.Fatalf("%q after %v", f, time.Since(last))
			}
			time.Sleep(19 * time.Second)
			p.say("3")
			synctest.Wait()
		}
		<-p.frames // the fourth ping, which nobody answers
		b.end(a, begin, 3*(25+19)*time.Second+(25+20)*time.Second, transport.PingTimeout)
		<-p.served
	})
}

func TestTime_PongsThatNobodyAskedForChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a, p := b.webSocket()
		for range 20 { // one a second would put every ping off
			p.say("3")
			time.Sleep(time.Second)
		}
		if f := <-p.frames; f != "1:2" || time.Since(begin) != 25*time.Second {
			t.Errorf("%q after %v", f, time.Since(begin))
		}
		c.Close(transport.ForcedClose)
		p.nc.Close()
		b.end(a, begin, 25*time.Second, transport.ForcedClose)
	})
}

// A timer that fires while it is set for something else does nothing.
func TestTime_StaleTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a := b.polling()
		c.mu.Lock()
		time.Sleep(25 * time.Second) // the ping is due, and onTimer waits for the lock
		c.setTimer(giveUpClosing, 5*time.Second)
		c.mu.Unlock()
		b.end(a, begin, 30*time.Second, transport.TransportError)
	})
}

// What a client sends does not replace its pong.
func TestTime_MessagesAreNoPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		_, a, p := b.webSocket()
		<-p.frames
		stop := time.AfterFunc(10*time.Second, func() { p.say("4hello") })
		defer stop.Stop()
		b.end(a, begin, 45*time.Second, transport.PingTimeout)
	})
}

// While the core holds a message back, the pong behind it cannot be read.
func TestTime_BackpressureIsNotThePeersFault(t *testing.T) {
	for _, carrier := range []string{WebSocket, Polling} {
		t.Run(carrier, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
					time.Sleep(5 * time.Minute)
					return nil
				}}
				b := newBench(t, core, Config{})
				begin := time.Now()
				var a *transporttest.Accepted
				if carrier == WebSocket {
					var p *pipe
					_, a, p = b.webSocket()
					time.Sleep(24 * time.Second)
					p.say("4hold")
					go p.say("3") // the pipe takes it when the core lets go
					<-p.frames    // the ping
				} else {
					var c *conn
					c, a = b.polling()
					time.Sleep(24 * time.Second)
					go func() { _ = c.post([]byte("4hold\x1e3")) }() // ends when the core lets go
					if body, err := c.poll(nil); string(body) != "2" || err != nil {
						t.Errorf("the poll got %q, %v", body, err)
					}
				}
				// Held from 24s to 324s; then the pong is read, and the next ping,
				// at 349s, is not answered.
				b.end(a, begin, 369*time.Second, transport.PingTimeout)
			})
		})
	}
}

// The time that the core held the client back is given to it, and no more.
func TestTime_BackpressureIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(16 * time.Second)
			return nil
		}}
		b := newBench(t, core, Config{})
		begin := time.Now()
		_, a, p := b.webSocket()
		time.Sleep(24 * time.Second)
		p.say("4hold") // until 40s; the ping is at 25s, and nobody answers it
		b.end(a, begin, (25+20+16)*time.Second, transport.PingTimeout)
		<-p.served
	})
}

// D20: nobody tells a server that a waiting client has left, so no poll may wait
// for ever, whatever the core does.
func TestTime_D20_PollIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(time.Hour)
			return nil
		}}
		b := newBench(t, core, Config{})
		c, a := b.polling()
		poll := func(want string, after time.Duration) {
			t.Helper()
			begin := time.Now()
			body, err := c.poll(nil)
			if string(body) != want || err != nil || time.Since(begin) != after {
				t.Errorf("%q, %v after %v, not %q after %v", body, err, time.Since(begin), want, after)
			}
		}
		poll("2", 25*time.Second)
		go func() { _ = c.post([]byte("4hold")) }() // ends when the core lets go
		synctest.Wait()
		poll("6", 20*time.Second) // instead of a timeout
		poll("6", 20*time.Second)
		_, _, _ = a.End(t.Context())
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a := b.polling()
		_, _ = c.poll(nil) // the ping
		body, err := c.poll(nil)
		if string(body) != "1" || err != nil {
			t.Errorf("the poll of a client without pongs got %q, %v", body, err)
		}
		b.end(a, begin, 45*time.Second, transport.PingTimeout)
	})
}

func TestTime_UpgradeTimeout(t *testing.T) {
	for _, say := range []string{"", "2probe"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &transporttest.Recorder{}, Config{})
			c, a := b.polling()
			begin := time.Now()
			p := b.serve(c.serveUpgrade)
			if say != "" {
				p.say(say)
				<-p.frames
			}
			if f := <-p.frames; f != "8:\x03\xe8" || time.Since(begin) != 10*time.Second {
				t.Errorf("%q after %v", f, time.Since(begin))
			}
			<-p.served
			if err := c.Send(0, transport.Message{Data: []byte("on polling")}); err != nil {
				t.Error(err)
			}
			if body, err := c.poll(nil); string(body) != "4on polling" || err != nil {
				t.Errorf("the poll got %q, %v", body, err)
			}
			c.terminate(transport.ForcedClose, nil)
			<-a.Conn.Done()
		})
	}
}

// A client that polls while its upgrade is under way, because a proxy swallows the
// probe's answer, is not let run in circles.
func TestTime_PollsArePacedDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		c, a := b.polling()
		p := b.serve(c.serveUpgrade)
		p.say("2probe")
		<-p.frames
		begin := time.Now()
		for range 10 {
			if body, err := c.poll(nil); string(body) != "6" || err != nil {
				t.Errorf("the poll got %q, %v", body, err)
			}
		}
		if took := time.Since(begin); took != 10*upgradePollTimeout {
			t.Errorf("10 polls took %v, not %v", took, 10*upgradePollTimeout)
		}
		begin = time.Now()
		c.terminate(transport.ForcedClose, nil)
		<-p.served
		if took := time.Since(begin); took != 0 {
			t.Errorf("the upgrade outlived its connection by %v", took)
		}
		<-a.Conn.Done()
	})
}

// A post whose messages the core holds back is still being read when the client
// says "5": what comes on the WebSocket has to wait for it, and no other post may
// come between.
func TestTime_UpgradeWaitsForThePostBeingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(_ *transporttest.Accepted, m transport.Message) error {
			if string(m.Data) == "hold" {
				time.Sleep(time.Minute)
			}
			return nil
		}}
		b := newBench(t, core, Config{PingInterval: time.Hour})
		c, a := b.polling()
		posted := make(chan *Error, 1)
		go func() { posted <- c.post([]byte("4hold\x1e4two")) }() // received below
		synctest.Wait()
		p := b.serve(c.serveUpgrade)
		p.say("2probe")
		<-p.frames
		p.say("5")
		go p.say("4three") // taken when the post is done
		synctest.Wait()
		if err := c.post([]byte("4thief")); err != ErrBadRequest {
			t.Errorf("a post while the WebSocket takes over: %v", err)
		}
		if c.Transport() != Polling || len(a.Received()) != 1 {
			t.Errorf("on %s, %d messages were given to the core, which holds the first", c.Transport(), len(a.Received()))
		}
		if err := <-posted; err != nil {
			t.Errorf("the post: %v", err)
		}
		for _, want := range []string{"hold", "two", "three"} {
			if m, err := a.Next(t.Context()); err != nil || string(m.Data) != want {
				t.Errorf("the core got %q, %v in place of %q", m.Data, err, want)
			}
		}
		p.nc.Close()
		if _, _, err := a.End(t.Context()); err != nil {
			t.Error(err)
		}
		<-p.served
	})
}

// A connection that is being closed may still upgrade, and then says goodbye there.
func TestTime_CloseDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{})
		c, a := b.polling()
		p := b.serve(c.serveUpgrade)
		p.say("2probe")
		<-p.frames
		_ = c.Send(0, transport.Message{Data: []byte("last words")})
		c.Close(transport.ShuttingDown)
		p.say("5")
		if got := <-p.frames; got != "1:4last words" {
			t.Errorf("before the goodbye came %q", got)
		}
		if got := <-p.frames; got != "8:\x03\xe9" {
			t.Errorf("the goodbye is %q", got)
		}
		p.nc.Close()
		if got, _, err := a.End(t.Context()); err != nil || got != transport.ShuttingDown {
			t.Errorf("it ended with %q, %v", got, err)
		}
		<-p.served
	})
}

// The end of a connection ends the upgrade that is under way, also one that waits
// for a post.
func TestTime_EndDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(time.Minute)
			return nil
		}}
		b := newBench(t, core, Config{})
		c, a := b.polling()
		go func() { _ = c.post([]byte("4hold")) }() // ends when the core lets go
		synctest.Wait()
		p := b.serve(c.serveUpgrade)
		p.say("5")
		synctest.Wait()
		c.terminate(transport.TransportError, nil)
		if got, _, err := a.End(t.Context()); err != nil || got != transport.TransportError {
			t.Errorf("it ended with %q, %v", got, err)
		}
		<-p.served
	})
}

// A WebSocket that was answered and never came, because the answer could not be
// written, must not be held: fasthttp tells nobody.
func TestTime_HijackThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped any
		b := newBench(t, &transporttest.Recorder{}, Config{}, Hooks{Release: func(v any) { dropped = v }})
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
		if len(b.core.All()) != 0 {
			t.Error("a connection that was given up was accepted")
		}
	})
}

// D12: a client that does not read does not hold a write for ever.
func TestTime_D12_WriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &transporttest.Recorder{}, Config{PingInterval: time.Hour})
		c := b.add(snapshot{}, WebSocket)
		client, server := net.Pipe() // without anybody who reads
		served := make(chan struct{})
		go func() { b.carry(server, c.serveWebSocket); close(served) }() // received below
		a, _ := b.core.Next(t.Context())
		begin := time.Now()
		b.end(a, begin, 10*time.Second, transport.TransportError)
		<-served
		client.Close()
	})
}

// Close returns at once and its connection ends in bounded time, also when the
// client never reads (quic-go's GHSA-px4r in another guise).
func TestTime_CloseAgainstAClientThatNeverReads(t *testing.T) {
	for _, carrier := range []string{WebSocket, Polling} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &transporttest.Recorder{}, Config{})
			var c *conn
			var a *transporttest.Accepted
			if carrier == WebSocket {
				var p *pipe
				c, a, p = b.webSocket()
				defer p.nc.Close()
			} else {
				c, a = b.polling()
			}
			_ = c.Send(0, transport.Message{Data: []byte("x")})
			begin := time.Now()
			c.Close(transport.ForcedClose)
			if time.Since(begin) != 0 {
				t.Error("Close has waited")
			}
			b.end(a, begin, 5*time.Second, transport.ForcedClose)
		})
	}
}

// A core that panics loses one connection.
func TestPanicsInTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error { panic("secret") }}
		b := newBench(t, core, Config{PingInterval: time.Hour})
		c, a := b.polling()
		if err := c.post([]byte("4x")); err != ErrBadRequest {
			t.Errorf("the post: %v", err)
		}
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
		_, a, p := b.webSocket()
		p.say("4x")
		if f := <-p.frames; f != "8:\x03\xf3" {
			t.Errorf("the frame is %q, not a close with 1011 and nothing else", f)
		}
		p.nc.Close()
		if got, cause, _ := a.End(t.Context()); got != transport.TransportError || !errors.Is(cause, ErrPanic) {
			t.Errorf("it ended with %q, %v", got, cause)
		}
	})
}
