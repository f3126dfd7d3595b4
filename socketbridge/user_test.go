package socketbridge_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

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
		anonymous := s.agent().connect(n, "/", nodetest.Options{})
		other.post("/notify/ann")
		for _, c := range anns {
			equal(t, "event on ann's socket", c.MustNext("notified").String(), `["ann"]`)
		}
		other.post("/notify/bob")
		equal(t, "event on bob's socket", bobs.MustNext("notified").String(), `["bob"]`)
		call(t, anonymous, "whoami") // anything sent before has arrived now
		if got := anonymous.Waiting("notified") + bobs.Waiting("notified"); got > 0 {
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
