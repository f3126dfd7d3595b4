package socketbridge_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestDisconnectReasons(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(c *peer, s *socketbridge.Socket)
		want socketbridge.Reason
	}{
		{"the client leaves the namespace", func(c *peer, _ *socketbridge.Socket) { c.send("1") }, socketbridge.ClientDisconnect},
		{"the server disconnects", func(_ *peer, s *socketbridge.Socket) { s.Disconnect() }, socketbridge.ServerDisconnect},
		{"the server closes the client", func(_ *peer, s *socketbridge.Socket) { s.Close() }, socketbridge.ServerDisconnect},
		{"the transport closes", func(c *peer, _ *socketbridge.Socket) { c.leave() }, transport.TransportClose},
		{"no pong", func(c *peer, _ *socketbridge.Socket) { c.conn.Leave(transport.PingTimeout, nil) }, transport.PingTimeout},
		{"a packet that cannot be parsed", func(c *peer, _ *socketbridge.Socket) { _ = c.conn.Text("9") }, transport.ParseError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			happened := make(events, 8)
			io := newServer(t, socketbridge.Config{Trace: socketbridge.Trace{
				Connected:    func(*socketbridge.Socket) { happened.add("traced connect") },
				Disconnected: func(_ *socketbridge.Socket, r socketbridge.Reason) { happened.add("traced %s", r) },
			}})
			io.OnConnection(func(s *socketbridge.Socket) {
				_ = s.Join("r")
				s.OnDisconnecting(func(r socketbridge.Reason) { happened.add("disconnecting %s %v", r, s.Rooms()[1:]) })
				s.OnDisconnect(func(r socketbridge.Reason) {
					happened.add("disconnect %s %v", r, s.Rooms())
				})
			})
			c := join(t, io, "/")
			happened.expect(t, "traced connect")
			s := io.Of("/").Socket(c.sid)
			tt.do(c, s)
			happened.expect(t, fmt.Sprintf("disconnecting %s [r]", tt.want), fmt.Sprintf("disconnect %s []", tt.want), fmt.Sprintf("traced %s", tt.want))
			<-s.Done()
			<-s.Context().Done()
			s.Disconnect() // ending a socket twice has no effect
			s.Close()
		})
	}
}

// TestEventsBeforeTheEnd checks that events sent before the client disconnects are
// handled, and that events still waiting when the server disconnects it are dropped.
func TestEventsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(c *peer, s *socketbridge.Socket)
		want int32
	}{
		{"the client leaves the namespace", func(c *peer, _ *socketbridge.Socket) { c.send("1") }, 5},
		{"the client goes away", func(c *peer, _ *socketbridge.Socket) { c.leave() }, 5},
		{"the server disconnects it", func(_ *peer, s *socketbridge.Socket) { s.Disconnect() }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var handled atomic.Int32
				hold, ended := make(chan struct{}), make(chan struct{})
				io := newServer(t, socketbridge.Config{})
				io.OnConnection(func(s *socketbridge.Socket) {
					s.On("e", func(p *socketbridge.Packet) error {
						<-hold
						handled.Add(1)
						return p.Context().Err()
					})
					s.OnError(func(_ *socketbridge.Packet, err error) {
						if tt.want == 5 {
							t.Errorf("the event's context has ended: %v", err)
						}
					})
					s.OnDisconnect(func(socketbridge.Reason) { close(ended) })
				})
				c := join(t, io, "/")
				for range 5 {
					c.send(`2["e"]`)
				}
				synctest.Wait()
				tt.end(c, onlySocket(t, io))
				close(hold)
				<-ended
				if n := handled.Load(); n != tt.want {
					t.Errorf("got %d handled events, want %d", n, tt.want)
				}
			})
		})
	}
}

// TestJoinAgain checks that a client may rejoin at once after it left or was
// disconnected, and that events it sent before it knew are not violations.
func TestJoinAgain(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.Of("/other").On("e", func(p *socketbridge.Packet) error { return p.Ack() })
	io.On("e", func(p *socketbridge.Packet) error { return p.Ack() })
	c := join(t, io, "/")
	c.join("/other")
	for range 100 {
		c.send("1")
		c.join("/")
		io.Of("/").Socket(c.sid).Disconnect()
		c.expect("1")
		c.send(`21["e"]`) // crosses the server's disconnect packet
		c.join("/")
		c.send(`22["e"]`)
		c.expect(`32[]`)
	}
	c.send(`2/other,3["e"]`)
	c.expect(`3/other,3[]`)
	c.send("1")
	if err := c.conn.Text(`24["e"]`); err == nil {
		t.Error("an event after the client's own disconnect packet was accepted, want an error")
	}
}

// TestBackpressure checks that a client that sends faster than its events are handled is
// read more slowly, loses no event, and delays neither its other namespaces nor others.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{MaxInbox: 4}})
		io.On("slow", func(p *socketbridge.Packet) error { <-hold; return p.Ack() })
		io.Of("/other").On("e", func(p *socketbridge.Packet) error { return p.Ack() })
		c := join(t, io, "/")
		c.join("/other")
		c.send(`20["slow"]`)
		synctest.Wait() // now the event is being handled
		for i := 1; i <= 4; i++ {
			c.send(fmt.Sprintf(`2%d["slow"]`, i))
		}
		c.send(`2/other,9["e"]`)
		c.expect(`3/other,9[]`)

		var sent atomic.Bool
		go func() { // the synctest bubble waits for it
			c.send(`25["slow"]`)
			sent.Store(true)
		}()
		synctest.Wait()
		if sent.Load() {
			t.Fatal("a full inbox accepted one more event")
		}
		close(hold)
		for i := range 6 {
			c.expect(fmt.Sprintf(`3%d[]`, i))
		}
	})
}

// TestBackpressureEnds checks that a reader waiting for space in the inbox is released
// when the server disconnects the socket.
func TestBackpressureEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{MaxInbox: 1}})
		io.On("slow", func(p *socketbridge.Packet) error { <-hold; return nil })
		c := join(t, io, "/")
		s := onlySocket(t, io)
		c.send(`2["slow"]`)
		synctest.Wait()
		c.send(`2["slow"]`)
		go func() { c.send(`2["slow"]`) }() // the synctest bubble waits for it
		synctest.Wait()
		s.Close()
		if reason := c.waitForClose(); reason != transport.ForcedClose {
			t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
		}
		close(hold)
	})
}

func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int32
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: 10}})
		io.On("e", func(*socketbridge.Packet) error { handled.Add(1); return nil })
		c, begin := join(t, io, "/"), time.Now()
		for c.conn.Text(`2["e"]`) == nil {
			continue
		}
		if reason := c.waitForClose(); reason != transport.ForcedClose {
			t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
		}
		if d := time.Since(begin); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("closed after %v, want 3 to 4 s", d)
		}
		synctest.Wait()
		if n := handled.Load(); n < 40 || n > 60 {
			t.Errorf("got %d handled events, want 40 to 60", n)
		}
	})
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("pending events are handled and answered before the close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			reasons := make(events, 8)
			io := socketbridge.New(socketbridge.Config{Logger: slog.New(slog.DiscardHandler)})
			io.On("e", func(p *socketbridge.Packet) error {
				time.Sleep(time.Second)
				return p.Ack()
			})
			io.OnConnection(func(s *socketbridge.Socket) {
				s.OnDisconnect(func(r socketbridge.Reason) { reasons.add("%s", r) })
			})
			c := join(t, io, "/")
			for i := range 5 {
				c.send(fmt.Sprintf(`2%d["e"]`, i))
			}
			done := make(chan error)
			go func() { done <- io.Shutdown(context.Background()) }() // received below
			synctest.Wait()
			if _, err := transporttest.Connect(io, nil); err == nil {
				t.Error("a new connection was accepted during Shutdown")
			}
			c.send(`29["e"]`) // not handled
			for i := range 5 {
				c.expect(fmt.Sprintf(`3%d[]`, i))
			}
			c.leave() // the engine does not close an in-memory connection
			if err := <-done; err != nil {
				t.Error(err)
			}
			reasons.expect(t, "transport close")
			if err := io.Shutdown(context.Background()); err != nil {
				t.Errorf("second Shutdown: %v", err)
			}
		})
	})
	t.Run("Shutdown returns at its deadline while a handler runs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := socketbridge.New(socketbridge.Config{Logger: slog.New(slog.DiscardHandler)})
			io.On("e", func(p *socketbridge.Packet) error { <-p.Context().Done(); return nil })
			c := join(t, io, "/")
			c.send(`2["e"]`)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			begin := time.Now()
			if err := io.Shutdown(ctx); err == nil {
				t.Error("Shutdown returned no error, want one")
			}
			if d := time.Since(begin); d != 5*time.Second {
				t.Errorf("Shutdown returned after %v, want 5 s", d)
			}
			c.waitForClose()
		})
	})
}

// TestNoLeaks_InMemoryConnections checks that connections that come and go leave no state behind.
func TestNoLeaks_InMemoryConnections(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.Of("/a")
	io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("r", "s", s.ID()+"x") })
	for i := range 1000 {
		conn, err := transporttest.Connect(io, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, conn: conn}
		p.join("/")
		if i%3 == 0 {
			p.send("0/a,")
			p.send("0/nowhere,")
		}
		if i%5 == 0 {
			p.send("1")
		}
		if i%7 == 0 {
			p.send(`51-["e",{"_placeholder":true,"num":0}]`) // half a packet
		}
		p.leave()
	}
	shutdown(t, io)
	if st := io.Stats(); st.Connections+st.Sockets+st.Rooms+st.Sessions != 0 {
		t.Errorf("left over: %+v, want no connections, sockets, rooms and sessions", st)
	}
}
