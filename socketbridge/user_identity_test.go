package socketbridge_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// users adds routes and events with which users log in and out, list and end their
// devices.
func (s *site) users() *site {
	s.app.Post("/login/:user", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Login(c.Params("user"))
	})
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Logout() })
	s.app.Get("/devices", func(c *fiber.Ctx) error {
		all, err := fibersession.FromContext(c).Devices()
		if err != nil {
			return err
		}
		return c.JSON(all)
	})
	s.app.Post("/end/:device", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).EndDevice(c.Params("device"))
	})
	s.app.Post("/end-others", func(c *fiber.Ctx) error {
		n, err := fibersession.FromContext(c).EndOthers()
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	s.app.Post("/end-all/:user", func(c *fiber.Ctx) error {
		n, err := s.sessions.EndAll(c.UserContext(), c.Params("user"))
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	s.app.Post("/tell/:user", func(c *fiber.Ctx) error { return s.io.ToUser(c.Params("user")).Emit("told", c.Params("user")) })
	s.io.On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	s.io.Of("/other").On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	return s
}

// withUsers returns the options of a site whose sessions have users.
func withUsers(url string) options {
	return options{storage: url, sessions: fibersession.Config{UserKey: "user"}}
}

// loggedIn returns an agent in which the user has logged in.
func (s *site) loggedIn(user string) *agent {
	s.t.Helper()
	a := s.agent()
	a.post("/login/" + user)
	return a
}

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

// D3: an HTTP handler reaches the sockets of all tabs and devices of a user by user ID, and
// no others.
func TestD3_HTTPReachesAUsersSockets(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, withUsers(url)).users().serve()
		phone, desk, other := s.loggedIn("ann"), s.loggedIn("ann"), s.loggedIn("bob")
		anns := []*nodetest.Client{
			phone.connect(n, "/", nodetest.Options{}),
			phone.connect(n, "/", nodetest.Options{Transports: []string{"polling"}}),
			desk.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}),
		}
		bobs := other.connect(n, "/", nodetest.Options{})
		nobodys := s.agent().connect(n, "/", nodetest.Options{})
		other.post("/tell/ann")
		for _, c := range anns {
			equal(t, "event on ann's socket", c.MustNext("event on ann's socket").String(), `["ann"]`)
		}
		other.post("/tell/bob")
		equal(t, "event on bob's socket", bobs.MustNext("told").String(), `["bob"]`)
		call(t, nobodys, "whoami") // anything sent before has arrived now
		if got := nobodys.Waiting("told") + bobs.Waiting("told"); got > 0 {
			t.Errorf("other sockets got %d events, want 0", got)
		}
		if got := len(s.io.User("ann").Sockets()); got != 3 {
			t.Errorf("ann has %d sockets, want 3", got)
		}
		for user, want := range map[string]bool{"ann": true, "cleo": false, "": false} {
			if got := s.io.User(user).Online(); got != want {
				t.Errorf("user %q online: got %v, want %v", user, got, want)
			}
		}
		desk.post("/logout")
		if got := len(s.io.User("ann").Sockets()); got != 2 {
			t.Errorf("after a logout on one device ann has %d sockets, want 2", got)
		}
		s.io.User("ann").Disconnect()
		for _, c := range anns[:2] {
			equal(t, "disconnect reason", c.MustNext("disconnect").String(), `["io server disconnect"]`)
		}
		if s.io.User("ann").Online() {
			t.Error("ann is online after Disconnect")
		}
		equal(t, "user of the remaining socket", call(t, bobs, "whoami"), `"bob"`)
	})
}

// D4: an event of a user reaches only that user's friends. An event of a user without
// friends reaches no socket.
func TestD4_JustTheFriends(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		friends := map[string][]string{"ann": {"bob", "cleo"}, "bob": {"ann"}, "dan": nil}
		s := newSite(t, withUsers(url)).users()
		s.io.On("comment", func(p *socketbridge.Packet) error {
			var text string
			if err := p.Bind(&text); err != nil {
				return err
			}
			me := p.Socket().User()
			if err := p.Socket().ToUser(friends[me]...).Emit("comment", me, text); err != nil {
				return err
			}
			return p.Ack(true)
		})
		s.serve()
		sockets := map[string]*nodetest.Client{}
		for _, user := range []string{"ann", "bob", "cleo", "dan"} {
			sockets[user] = s.loggedIn(user).connect(n, "/", nodetest.Options{})
		}
		for _, step := range []struct {
			by string
			to []string
		}{
			{"dan", nil},
			{"ann", []string{"bob", "cleo"}},
			{"bob", []string{"ann"}},
		} {
			call(t, sockets[step.by], "comment", "hello")
			for _, user := range step.to {
				equal(t, "comment for "+user, sockets[user].MustNext("comment").String(), fmt.Sprintf(`[%q,"hello"]`, step.by))
			}
			for user, c := range sockets {
				call(t, c, "whoami") // anything sent before has arrived now
				if c.Waiting("comment") > 0 {
					t.Errorf("%s got a comment of %s, want none", user, step.by)
				}
			}
		}
	})
}

// Broadcasts to no user, or to a user without sockets, reach no socket.
func TestToUser_NoMatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, withUsers("")).users().serve()
	n := nodetest.Start(t)
	c := s.loggedIn("ann").connect(n, "/", nodetest.Options{})
	plain := newServer(t, socketbridge.Config{}) // without sessions there are no users
	join(t, plain, "/")
	for name, b := range map[string]socketbridge.Broadcast{
		"no IDs":           s.io.ToUser(),
		"an empty list":    s.io.ToUser([]string{}...),
		"an empty ID":      s.io.ToUser(""),
		"of a socket":      s.io.Sockets()[0].ToUser(),
		"itself":           s.io.Sockets()[0].ToUser("ann"),
		"except":           s.io.Of("/").Broadcast().ExceptUser("ann"),
		"another case":     s.io.ToUser("Ann"),
		"another name":     s.io.Of("/other").ToUser("ann"),
		"without sessions": plain.ToUser("ann", ""),
	} {
		if got := len(b.Sockets()); got != 0 {
			t.Errorf("%s: got %d sockets, want 0", name, got)
		}
	}
	if got := len(s.io.Of("/").Broadcast().ExceptUser().Sockets()); got != 1 {
		t.Errorf("ExceptUser without users: got %d sockets, want 1", got)
	}
	equal(t, "user of the socket", call(t, c, "whoami"), `"ann"`)
}

// Room names may come from clients. A socket cannot join or leave the rooms that the
// bridge reserves.
func TestReservedRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}, bridge: socketbridge.Config{Limits: socketbridge.Limits{MaxRooms: 2}}}).users().serve()
	n := nodetest.Start(t)
	ann, eve := s.loggedIn("ann"), s.loggedIn("eve")
	ann.connect(n, "/", nodetest.Options{})
	target := s.io.User("ann").Sockets()[0].Rooms()
	eve.connect(n, "/", nodetest.Options{})
	sock := s.io.User("eve").Sockets()[0]
	if len(target) != 3 {
		t.Fatalf("got rooms %q, want 3", target)
	}
	for _, room := range target[1:] {
		if err := sock.Join("mine", room); !errors.Is(err, socketbridge.ErrRoomName) {
			t.Errorf("Join(%q): got error %v, want ErrRoomName", room, err)
		}
		if strings.Contains(room, "ann") {
			t.Errorf("the room name %q contains the user ID", room)
		}
	}
	if err := sock.Join("a", "b"); err != nil {
		t.Errorf("joining MaxRooms rooms: got error %v, want none", err)
	}
	if err := sock.Join("c"); !errors.Is(err, socketbridge.ErrTooManyRooms) {
		t.Errorf("joining one more room: got error %v, want ErrTooManyRooms", err)
	}
	sock.Leave(sock.Rooms()...)
	if got := len(sock.Rooms()); got != 3 {
		t.Errorf("after leaving all rooms: got rooms %q, want the 3 that cannot be left", sock.Rooms())
	}
	if got := len(s.io.User("eve").Sockets()); got != 1 {
		t.Errorf("after leaving all rooms: got %d sockets of the user, want 1", got)
	}
	if err := sock.Join("c", "d"); err != nil {
		t.Error(err)
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
	guest := s.agent()
	guest.post("/visit")
	c := guest.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
	guest.post("/login/ann")
	equal(t, "disconnect reason of one more by login", c.MustNext("disconnect").String(), `["io server disconnect"]`)
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

// setCookie adds a cookie to the agent's jar.
func (a *agent) setCookie(name, value string) {
	a.t.Helper()
	u, err := url.Parse(a.site.url)
	if err != nil {
		a.t.Fatal(err)
	}
	a.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}
