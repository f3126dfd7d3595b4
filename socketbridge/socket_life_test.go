package socketbridge_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
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
				happened.add("connected")
			})
			c := join(t, io, "/")
			happened.expect(t, "traced connect", "connected")
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
	ended := make(chan struct{}, 4)
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnDisconnect(func(socketbridge.Reason) { ended <- struct{}{} })
	})
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
		// The number of sockets of one client that are still ending is limited.
		<-ended
		<-ended
	}
	c.send(`2/other,3["e"]`)
	c.expect(`3/other,3[]`)
	c.send("1")
	if err := c.conn.Text(`24["e"]`); err == nil {
		t.Error("an event after the client's own disconnect packet was accepted, want an error")
	}
}

// TestD16_EmitAfterDisconnect checks that Emit to a disconnected socket returns at once.
func TestD16_EmitAfterDisconnect(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := join(t, io, "/")
	s := onlySocket(t, io)
	c.leave()
	for range 300 {
		if err := s.Emit("e"); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Fatalf("Emit: got error %v, want ErrDisconnected", err)
		}
	}
	if err := s.Join("r"); !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Errorf("Join: got error %v, want ErrDisconnected", err)
	}
}
