package socketbridge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// D2: a socket knows its session's user and follows a login, a switch and a logout at
// once, over HTTP and over a socket, without a reconnect.
func TestD2_SocketKnowsItsUser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, withUsers(url)).users()
		s.app.Post("/number", func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("user", 42)
			return nil
		})
		s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
		s.io.On("login", func(p *socketbridge.Packet) error {
			if err := p.Session().Login(p.Context(), "carl"); err != nil {
				return err
			}
			return p.Ack(p.Socket().User())
		})
		s.serve()
		a := s.agent()
		a.post("/visit")
		tabs := []*nodetest.Client{ // no polling: a poll would need the new cookie after the login
			a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}),
			a.connect(n, "/other", nodetest.Options{Transports: []string{"websocket"}}),
		}
		is := func(when, want string) {
			t.Helper()
			for _, c := range tabs {
				equal(t, when, call(t, c, "whoami"), fmt.Sprintf("%q", want))
			}
		}
		is("before login", "")
		old := a.sessionID()
		a.post("/login/ann")
		is("after login", "ann")
		if a.sessionID() == old {
			t.Error("login did not change the session ID")
		}
		a.post("/login/bob")
		is("after a switch", "bob")
		a.post("/number")
		is("after a number", "42")
		old = a.sessionID()
		a.post("/logout")
		is("after logout", "")
		if a.sessionID() == old {
			t.Error("logout did not change the session ID")
		}
		equal(t, "user in the handler after login", call(t, tabs[0], "login"), `"carl"`)
		is("after login over the socket", "carl")
	})
}

// The session ID from before the login is worthless afterwards: an attacker may know it.
func TestCVE_2022_25896_LoginGivesANewID(t *testing.T) {
	t.Parallel()
	s := newSite(t, withUsers("")).users()
	s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
	s.serve()
	a := s.agent()
	a.post("/visit")
	planted := a.cookie()
	a.post("/login/ann")
	equal(t, "user after login", a.get("/who"), "ann")
	attacker := s.agent()
	_, value, _ := strings.Cut(planted, "=")
	attacker.setCookie("session", value)
	equal(t, "user with the old ID", attacker.get("/who"), "")
	n := nodetest.Start(t)
	for _, transport := range []string{"polling", "websocket"} { // a client without a cookie store keeps sending the old ID
		c := attacker.connect(n, "/", nodetest.Options{Transports: []string{transport}})
		equal(t, "user of a socket with the old ID over "+transport, call(t, c, "whoami"), `""`)
		equal(t, "user in a second event", call(t, c, "whoami"), `""`)
	}
}

// A user has at most MaxConnsPerUser connections over all sessions. Other users and
// further namespaces of a connection are not affected, and the counts return to 0.
func TestMaxConnsPerUser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{
		sessions: fibersession.Config{UserKey: "user"},
		bridge:   socketbridge.Config{Limits: socketbridge.Limits{MaxConnsPerUser: 2}, Presence: socketbridge.Presence{Grace: -1}},
	}).users()
	s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
	s.serve()
	first := s.loggedIn("ann").connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
	first.Of("/other", nil) // not another connection
	second := s.loggedIn("ann").connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})

	late := s.loggedIn("ann")
	if _, status, _ := late.try("GET", "/socket.io/?EIO=4&transport=polling"); status != 403 {
		t.Errorf("one more handshake got status %d, want 403", status)
	}
	equal(t, "refused handshakes that are counted", fmt.Sprint(s.io.Stats().Notices["too_many_of_user"]), "1")
	guest := s.agent()
	guest.post("/visit")
	c := guest.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
	guest.post("/login/ann")
	equal(t, "disconnect reason of one more by login", c.MustNext("disconnect").String(), `["io server disconnect"]`)
	equal(t, "sockets that could not follow", fmt.Sprint(s.io.Stats().Notices["user_change_refused"]), "1")
	equal(t, "another user's socket", call(t, s.loggedIn("bob").connect(n, "/", nodetest.Options{}), "whoami"), `"bob"`)
	equal(t, "user of the first socket", call(t, first, "whoami"), `"ann"`)

	second.Close()
	waitFor(t, "a connection to end", func() bool { return len(s.io.User("ann").Sockets()) == 2 }) // both of one connection
	equal(t, "user of a new socket", call(t, late.connect(n, "/", nodetest.Options{}), "whoami"), `"ann"`)
	s.io.User("ann").Disconnect()
	s.io.User("bob").Disconnect()
	waitFor(t, "all users to go offline", func() bool { return s.io.Stats().Users == 0 })
}

// The counts stay exact while sockets of one session connect and disconnect and the
// session's user changes.
func TestIdentity_CountsAreExact(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}, bridge: socketbridge.Config{Presence: socketbridge.Presence{Grace: -1}}}).users()
	s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user")); return nil })
	s.serve()
	a := s.agent()
	a.post("/visit")
	done := make(chan struct{})
	go func() { // the test waits for done
		defer close(done)
		for i := range 300 {
			if _, _, err := a.try("POST", fmt.Sprintf("/visit?user=%s", []string{"", "ann", "bob"}[i%3])); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 40 {
		c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
		c.Close()
	}
	last := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
	<-done
	a.post("/visit?user=cleo")
	equal(t, "user in the end", call(t, last, "whoami"), `"cleo"`)
	waitFor(t, "a single socket", func() bool { return len(s.io.Sockets()) == 1 })
	if st := s.io.Stats(); st.Users != 1 || st.Rooms != 3 {
		t.Errorf("got %d users and %d rooms, want 1 and 3", st.Users, st.Rooms)
	}
	a.post("/visit?user=")
	if st := s.io.Stats(); st.Users != 0 || st.Rooms != 2 {
		t.Errorf("after logout: got %d users and %d rooms, want 0 and 2", st.Users, st.Rooms)
	}
}
