package contribws_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

// TestE4_SessionEventsRoomsAndLogout checks each feature of the row on one connection: the
// session, its reload before each event, event handlers, rooms, the session's room together
// with Socket.IO clients, listeners, and logout.
func TestE4_SessionEventsRoomsAndLogout(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		handled := make(events, 16)
		s := newSite(t, options{
			storage: url,
			listeners: listeners{
				socketio.EventConnect: func(ep *socketio.EventPayload) {
					handled <- "connect " + valueOf[string](contribws.SessionOf(ep.Kws), "user") + " " + ep.Kws.Params("room")
				},
				socketio.EventMessage: func(ep *socketio.EventPayload) {
					handled <- "message " + string(ep.Data)
					ep.Kws.Emit([]byte("listener heard " + string(ep.Data)))
				},
				socketio.EventDisconnect: func(ep *socketio.EventPayload) { handled <- "disconnect" },
			},
			setup: func(s *site) {
				requireLogin := func(p *socketbridge.Packet) error {
					if p.Session().Get("user") == nil {
						return &socketbridge.EventError{Code: "login", Message: "log in first"}
					}
					return p.Next()
				}
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					_ = sock.Join("hall")
					sock.On("mine", func(p *socketbridge.Packet) error { return p.Socket().Emit("mine", p.Socket().ID() != "") })
				})
				s.io.On("who", requireLogin, func(p *socketbridge.Packet) error {
					return p.Socket().Emit("who", p.Session().Get("user"))
				})
				s.io.On("rename", requireLogin, func(p *socketbridge.Packet) error {
					var name string
					if err := p.Bind(&name); err != nil {
						return err
					}
					p.Session().Set("user", name)
					return p.Ack("renamed")
				})
				s.io.On("tell", func(p *socketbridge.Packet) error {
					return errors.Join(s.io.ToSession(p.Session()).Emit("told", p.Args()[0]), s.io.To("hall").Emit("hall"))
				})
				s.io.On("message", func(p *socketbridge.Packet) error {
					var raw []byte
					if err := p.Bind(&raw); err != nil {
						return err
					}
					return p.Socket().Emit("message", append([]byte("raw "), raw...))
				})
			},
		})
		a := &browser{site: s}
		a.get("/set/user/ann")
		c := a.dial("/ws/lobby", "Sec-WebSocket-Protocol", socketbridge.PlainAcks)
		handled.expect(t, "connect ann lobby")

		c.send(`["who"]`)
		handled.expect(t, `message ["who"]`)
		both := map[string]bool{c.read(): true, c.read(): true} // the handler's and the listener's messages, in either order
		if !both[`["who","ann"]`] || !both[`listener heard ["who"]`] {
			t.Fatalf("messages are %v", both)
		}

		quiet := a.dial("/ws/quiet") // a second connection of the session
		handled.expect(t, "connect ann quiet")

		a.get("/set/user/ben") // the next event must see it
		c.send(`["who"]`)
		handled.expect(t, `message ["who"]`)
		if both := map[string]bool{c.read(): true, c.read(): true}; !both[`["who","ben"]`] {
			t.Fatalf("messages are %v", both)
		}
		c.send(`[5,"rename","cat"]`) // must be saved before the answer is sent
		handled.expect(t, `message [5,"rename","cat"]`)
		if both := map[string]bool{c.read(): true, c.read(): true}; !both[`[-5,"renamed"]`] {
			t.Fatalf("messages are %v", both)
		}
		if got := a.get("/get/user"); got != "cat" {
			t.Fatalf("over HTTP the user is %q", got)
		}
		c.send("hello")
		handled.expect(t, "message hello")
		if both := map[string]bool{c.read(): true, c.read(): true}; !both["binary raw hello"] || !both["listener heard hello"] {
			t.Fatalf("messages are %v", both)
		}

		// The session's room has its Socket.IO and its plain sockets, and no others.
		sio := nodetest.Start(t).Connect(t, s.url+"/", nodetest.Options{Cookie: a.cookie})
		other := (&browser{site: s}).dial("/ws/other")
		handled.expect(t, "connect  other")
		sio.Emit("tell", "news")
		if got := sio.MustNext("told").String(); got != `["news"]` {
			t.Errorf("the Socket.IO client got %s", got)
		}
		quiet.expect(`["told","news"]`)
		quiet.expect(`["hall"]`)
		c.expect(`["told","news"]`)
		c.expect(`["hall"]`)
		other.expect(`["hall"]`)

		// Logout disconnects all sockets of the session and no others.
		a.get("/logout")
		c.expectClose(1000)
		quiet.expectClose(1000)
		handled.expect(t, "disconnect")
		handled.expect(t, "disconnect")
		other.send(`["mine"]`)
		handled.expect(t, `message ["mine"]`)
		if both := map[string]bool{other.read(): true, other.read(): true}; !both[`["mine",true]`] {
			t.Fatalf("messages are %v", both)
		}
	})
}

// TestE4_User: the connections are in their user's room and among the user's sockets.
func TestE4_User(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, session: fibersession.Config{UserKey: "user"}})
		a, b := &browser{site: s}, &browser{site: s}
		a.get("/set/user/ann")
		b.get("/set/user/ben")
		c, d := a.dial("/ws/a"), b.dial("/ws/b")
		waitFor(t, func() error {
			if n := len(s.io.User("ann").Sockets()) + len(s.io.User("ben").Sockets()); n != 2 {
				return fmt.Errorf("%d sockets", n)
			}
			return nil
		})
		if err := errors.Join(s.io.ToUser("ann").Emit("for", "ann"), s.io.ToUser("ben").Emit("for", "ben")); err != nil {
			t.Fatal(err)
		}
		c.expect(`["for","ann"]`)
		d.expect(`["for","ben"]`)
		b.get("/set/user/ann") // another user: the socket changes its room
		if err := s.io.ToUser("ann").Emit("for", "both"); err != nil {
			t.Fatal(err)
		}
		c.expect(`["for","both"]`)
		d.expect(`["for","both"]`)
	})
}

// TestE4_Expiry: a connection ends when its session expires, without traffic.
func TestE4_Expiry(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{
			storage: url,
			session: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: time.Second}},
			setup: func(s *site) {
				s.io.Use(func(c *socketbridge.Connect) error {
					if c.Session().Get("user") == nil {
						return &socketbridge.ConnectError{Message: "too late"}
					}
					return c.Next()
				})
				s.io.OnConnection(func(sock *socketbridge.Socket) { _ = sock.Emit("welcome") })
			},
		})
		for {
			a := &browser{site: s}
			a.get("/set/user/ann")
			c := a.dial("/ws/a")
			if c.read() != `["welcome"]` {
				continue // a slow machine: the session had expired before
			}
			c.readClose()
			return
		}
	})
}
