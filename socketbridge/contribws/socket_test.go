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

// TestE4_ContribConnectionsGetAllOfIt goes through the row with one connection:
// session, reload before each event, chains, rooms, the session's room together
// with Socket.IO, listeners beside it, and logout.
func TestE4_ContribConnectionsGetAllOfIt(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		heard := make(events, 16)
		s := newSite(t, options{
			storage: url,
			listeners: listeners{
				socketio.EventConnect: func(ep *socketio.EventPayload) {
					heard <- "connect " + fibersession.Value[string](contribws.SessionOf(ep.Kws), "user") + " " + ep.Kws.Params("room")
				},
				socketio.EventMessage: func(ep *socketio.EventPayload) {
					heard <- "message " + string(ep.Data)
					ep.Kws.Emit([]byte("listener heard " + string(ep.Data)))
				},
				socketio.EventDisconnect: func(ep *socketio.EventPayload) { heard <- "disconnect" },
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
		a := &agent{site: s}
		a.get("/set/user/ann")
		c := a.dial("/ws/lobby", "Sec-WebSocket-Protocol", socketbridge.PlainAcks)
		heard.expect(t, "connect ann lobby")

		c.send(`["who"]`)
		heard.expect(t, `message ["who"]`)
		both := map[string]bool{c.read(): true, c.read(): true} // the chain's and the listener's answers, in either order
		if !both[`["who","ann"]`] || !both[`listener heard ["who"]`] {
			t.Fatalf("answers %v", both)
		}

		quiet := a.dial("/ws/quiet") // of the same session
		heard.expect(t, "connect ann quiet")

		a.get("/set/user/ben") // reloaded before the next event
		c.send(`["who"]`)
		heard.expect(t, `message ["who"]`)
		if both := map[string]bool{c.read(): true, c.read(): true}; !both[`["who","ben"]`] {
			t.Fatalf("answers %v", both)
		}
		c.send(`[5,"rename","cat"]`) // saved before it is answered
		heard.expect(t, `message [5,"rename","cat"]`)
		if both := map[string]bool{c.read(): true, c.read(): true}; !both[`[-5,"renamed"]`] {
			t.Fatalf("answers %v", both)
		}
		if got := a.get("/get/user"); got != "cat" {
			t.Fatalf("over HTTP the user is %q", got)
		}
		c.send("hello")
		heard.expect(t, "message hello")
		if both := map[string]bool{c.read(): true, c.read(): true}; !both["binary raw hello"] || !both["listener heard hello"] {
			t.Fatalf("answers %v", both)
		}

		// The session's room, of Socket.IO and plain sockets alike, and nobody else.
		sio := nodetest.Start(t).Connect(t, s.url+"/", nodetest.Options{Cookie: a.cookie})
		other := (&agent{site: s}).dial("/ws/other")
		heard.expect(t, "connect  other")
		sio.Emit("tell", "news")
		if got := sio.MustNext("told").String(); got != `["news"]` {
			t.Errorf("the Socket.IO client is told %s", got)
		}
		quiet.expect(`["told","news"]`)
		quiet.expect(`["hall"]`)
		c.expect(`["told","news"]`)
		c.expect(`["hall"]`)
		other.expect(`["hall"]`)

		// Logout disconnects all of the session, and leaves the others alone.
		a.get("/logout")
		c.expectClose(1000)
		quiet.expectClose(1000)
		heard.expect(t, "disconnect")
		heard.expect(t, "disconnect")
		other.send(`["mine"]`)
		heard.expect(t, `message ["mine"]`)
		if both := map[string]bool{other.read(): true, other.read(): true}; !both[`["mine",true]`] {
			t.Fatalf("answers %v", both)
		}
	})
}

// TestE4_User: these connections are in their user's room, and among its sockets.
func TestE4_User(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, session: fibersession.Config{UserKey: "user"}})
		a, b := &agent{site: s}, &agent{site: s}
		a.get("/set/user/ann")
		b.get("/set/user/ben")
		c, d := a.dial("/ws/a"), b.dial("/ws/b")
		eventually(t, func() error {
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
		b.get("/set/user/ann") // logs in as somebody else: the socket follows
		if err := s.io.ToUser("ann").Emit("for", "both"); err != nil {
			t.Fatal(err)
		}
		c.expect(`["for","both"]`)
		d.expect(`["for","both"]`)
	})
}

// TestE4_Expiry: a connection ends when its session's time is up, without traffic.
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
			a := &agent{site: s}
			a.get("/set/user/ann")
			c := a.dial("/ws/a")
			if c.read() != `["welcome"]` {
				continue // a slow machine: the second was over before
			}
			c.expectEnd()
			return
		}
	})
}
