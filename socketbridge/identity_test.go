package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// users adds the routes of a site whose sessions have users: they log in and out, and
// list and end their devices.
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

// withUsers is a site's configuration with users.
func withUsers(url string) options {
	return options{storage: url, sessions: fibersession.Config{UserKey: "user"}}
}

// loggedIn is a browser in which the user has logged in.
func (s *site) loggedIn(user string) *agent {
	s.t.Helper()
	a := s.agent()
	a.post("/login/" + user)
	return a
}

// D2: the socket knows the user that the session carries, and follows login, switch
// and logout at once, over HTTP and over a socket, with no reconnect.
func TestD2_SocketKnowsItsUser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
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
		tabs := []*nodetest.Client{ // WebSockets: a poller would have to bring the cookie that login changes
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
			t.Error("login kept the session's ID")
		}
		a.post("/login/bob")
		is("after a switch", "bob")
		a.post("/number")
		is("after a number", "42")
		old = a.sessionID()
		a.post("/logout")
		is("after logout", "")
		if a.sessionID() == old {
			t.Error("logout kept the session's ID")
		}
		equal(t, "over the socket", call(t, tabs[0], "login"), `"carl"`)
		is("after login over the socket", "carl")
	})
}

// Who asks with the ID from before the login has no session: it was planted, or is known.
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
	equal(t, "the user", a.get("/who"), "ann")
	attacker := s.agent()
	_, value, _ := strings.Cut(planted, "=")
	attacker.plant("session", value)
	equal(t, "who came with the old ID", attacker.get("/who"), "")
	n := nodetest.Start(t)
	for _, transport := range []string{"polling", "websocket"} { // a client that keeps no cookies goes on with its dead one
		c := attacker.connect(n, "/", nodetest.Options{Transports: []string{transport}})
		equal(t, "a socket with the old ID, "+transport, call(t, c, "whoami"), `""`)
		equal(t, "again", call(t, c, "whoami"), `""`)
	}
}

// D3: an HTTP handler reaches all tabs and devices of a user by the user's ID, and
// nobody else.
func TestD3_HTTPReachesAUsersSockets(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
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
			equal(t, "told", c.MustNext("told").String(), `["ann"]`)
		}
		other.post("/tell/bob")
		equal(t, "told", bobs.MustNext("told").String(), `["bob"]`)
		call(t, nobodys, "whoami") // what was sent before it has come
		if nobodys.Waiting("told")+bobs.Waiting("told") > 0 {
			t.Error("somebody else was told too")
		}
		if got := len(s.io.User("ann").Sockets()); got != 3 {
			t.Errorf("ann has %d sockets, want 3", got)
		}
		if !s.io.User("ann").Online() || s.io.User("cleo").Online() || s.io.User("").Online() {
			t.Error("Online is wrong")
		}
		desk.post("/logout")
		if got := len(s.io.User("ann").Sockets()); got != 2 {
			t.Errorf("after one of them logged out ann has %d sockets, want 2", got)
		}
		s.io.User("ann").Disconnect()
		for _, c := range anns[:2] {
			equal(t, "reason", c.MustNext("disconnect").String(), `["io server disconnect"]`)
		}
		if s.io.User("ann").Online() {
			t.Error("ann is online after Disconnect")
		}
		equal(t, "who is left", call(t, bobs, "whoami"), `"bob"`)
	})
}

// D4: what a user does is told to just that user's friends; a user without friends
// tells nobody, and not everybody.
func TestD4_JustTheFriends(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
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
			by   string
			hear []string
		}{
			{"dan", nil},
			{"ann", []string{"bob", "cleo"}},
			{"bob", []string{"ann"}},
		} {
			call(t, sockets[step.by], "comment", "hello")
			for _, user := range step.hear {
				equal(t, user+" hears", sockets[user].MustNext("comment").String(), fmt.Sprintf(`[%q,"hello"]`, step.by))
			}
			for user, c := range sockets {
				call(t, c, "whoami") // what was sent before it has come
				if c.Waiting("comment") > 0 {
					t.Errorf("%s heard what %s said", user, step.by)
				}
			}
		}
	})
}

// No IDs is nobody, in every form of address.
func TestToUser_Nobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, withUsers("")).users().serve()
	n := nodetest.Start(t)
	c := s.loggedIn("ann").connect(n, "/", nodetest.Options{})
	plain := newServer(t, socketbridge.Config{}) // without sessions nobody is a user
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
			t.Errorf("%s: %d sockets", name, got)
		}
	}
	if got := len(s.io.Of("/").Broadcast().ExceptUser().Sockets()); got != 1 {
		t.Errorf("except nobody: %d sockets", got)
	}
	equal(t, "it is", call(t, c, "whoami"), `"ann"`)
}

// A room's name may come from a client. The bridge's own rooms cannot be entered by
// it, nor left.
func TestOwnRoomsAreNotTheApps(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{UserKey: "user"}, bridge: socketbridge.Config{Limits: socketbridge.Limits{MaxRooms: 2}}}).users().serve()
	n := nodetest.Start(t)
	ann, eve := s.loggedIn("ann"), s.loggedIn("eve")
	ann.connect(n, "/", nodetest.Options{})
	target := s.io.User("ann").Sockets()[0].Rooms()
	eve.connect(n, "/", nodetest.Options{})
	sock := s.io.User("eve").Sockets()[0]
	if len(target) != 3 {
		t.Fatalf("rooms %q", target)
	}
	for _, room := range target[1:] {
		if err := sock.Join("mine", room); !errors.Is(err, socketbridge.ErrRoomName) {
			t.Errorf("Join(%q): %v", room, err)
		}
		if strings.Contains(room, "ann") {
			t.Errorf("the user's ID is in %q", room)
		}
	}
	if err := sock.Join("a", "b"); err != nil {
		t.Errorf("MaxRooms rooms beside the bridge's own: %v", err)
	}
	if err := sock.Join("c"); !errors.Is(err, socketbridge.ErrTooManyRooms) {
		t.Errorf("one more: %v", err)
	}
	sock.Leave(sock.Rooms()...)
	if got := len(sock.Rooms()); got != 3 {
		t.Errorf("after leaving all that it could, it is in %q", sock.Rooms())
	}
	if got := len(s.io.User("eve").Sockets()); got != 1 {
		t.Error("a socket could leave its user's room")
	}
	if err := sock.Join("c", "d"); err != nil {
		t.Error(err)
	}
}

// One user has at most MaxConnsPerUser connections, whatever their sessions; other
// users and namespaces of a connection are not touched, and the counts go back to 0.
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
	first.Of("/other", nil) // no further connection
	second := s.loggedIn("ann").connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})

	late := s.loggedIn("ann")
	if _, status, _ := late.try("GET", "/socket.io/?EIO=4&transport=polling"); status != 403 {
		t.Errorf("the handshake of one more was answered with %d", status)
	}
	guest := s.agent()
	guest.post("/visit")
	c := guest.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
	guest.post("/login/ann")
	equal(t, "one more by login", c.MustNext("disconnect").String(), `["io server disconnect"]`)
	equal(t, "another user", call(t, s.loggedIn("bob").connect(n, "/", nodetest.Options{}), "whoami"), `"bob"`)
	equal(t, "the first", call(t, first, "whoami"), `"ann"`)

	second.Close()
	happens(t, "a place is free", func() bool { return len(s.io.User("ann").Sockets()) == 2 }) // of one connection
	equal(t, "in the free place", call(t, late.connect(n, "/", nodetest.Options{}), "whoami"), `"ann"`)
	s.io.User("ann").Disconnect()
	s.io.User("bob").Disconnect()
	happens(t, "nobody is left", func() bool { return s.io.Stats().Users == 0 })
}

// The counts stay exact whatever happens at once: sockets of one session come and go
// while its user logs in, switches and out.
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
	equal(t, "in the end it is", call(t, last, "whoami"), `"cleo"`)
	happens(t, "one socket is left", func() bool { return len(s.io.Sockets()) == 1 })
	if st := s.io.Stats(); st.Users != 1 || st.Rooms != 3 {
		t.Errorf("%d users, %d rooms; want 1, 3", st.Users, st.Rooms)
	}
	a.post("/visit?user=")
	if st := s.io.Stats(); st.Users != 0 || st.Rooms != 2 {
		t.Errorf("after logout %d users, %d rooms; want 0, 2", st.Users, st.Rooms)
	}
}

// happens waits for something that no call returns from.
func happens(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// plant puts a cookie into the browser.
func (a *agent) plant(name, value string) {
	a.t.Helper()
	u, err := url.Parse(a.site.url)
	if err != nil {
		a.t.Fatal(err)
	}
	a.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}
