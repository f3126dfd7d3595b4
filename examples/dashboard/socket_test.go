package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestSocketsNeedAUser(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	visitor := newVisitor(t, site)
	visitor.get("/login")
	ended := newUser(t, site, "ada")
	cookie := ended.cookie()
	ended.submit("/logout", ended.token("/"))
	for name, cookie := range map[string]string{"no session": "", "a session without a user": visitor.cookie(), "a session that has ended": cookie} {
		c := n.Dial(t, site, nodetest.Options{Cookie: cookie})
		var refused struct{ Data struct{ Code string } }
		c.MustNext("connect_error").Bind(t, &refused)
		if code := refused.Data.Code; code != "not_logged_in" && code != "session_gone" {
			t.Errorf("%s: code %q", name, code)
		}
	}
}

// Logging in as another user ends the session of the first one and disconnects its tabs.
func TestLoginAsAnotherUser(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	newUser(t, site, "bob")
	v := newUser(t, site, "ada")
	tab, _ := socketOf(t, n, v)
	cookie := v.cookie()
	if res, _ := v.submit("/login", v.token("/"), "login", "bob", "password", password); res.StatusCode != http.StatusSeeOther {
		t.Fatal(res.Status)
	}
	var why string
	if tab.MustNext("ended").Bind(t, &why); why != "logged out" {
		t.Errorf("the first user's tab receives the reason %q", why)
	}
	if withCookie(t, site, cookie).loggedIn() {
		t.Error("the first user's session is still valid")
	}
	if !v.loggedIn() {
		t.Error("the second user is not logged in")
	}
}

// If a session is moved to another user without ending, as an app with an account switcher
// may do, the first user's sockets are disconnected and their queued events are dropped.
func TestSessionChangesUser(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	site := start(t, "memory://", func(s *server) {
		s.app.Get("/become/:id", func(c *fiber.Ctx) error {
			return fibersession.FromContext(c).Login(c.Params("id"))
		})
		s.io.On("hold", func(p *socketbridge.Packet) error {
			entered <- struct{}{}
			<-release
			return nil
		})
	})
	n := nodetest.Start(t)
	adas := newUser(t, site, "ada")
	ada, _ := socketOf(t, n, adas)
	_, bobs := socketOf(t, n, newUser(t, site, "bob"))
	second, _ := socketOf(t, n, adas)

	ada.Emit("hold")
	ada.Emit("say", "as ada")
	<-entered
	if res, body := adas.get("/become/" + bobs); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, body)
	}
	close(release)
	for _, c := range []*nodetest.Client{ada, second} {
		var reason string
		c.MustNext("disconnect").Bind(t, &reason)
		if reason != "io server disconnect" {
			t.Errorf("disconnected with reason %q", reason)
		}
	}
	again := newVisitor(t, site)
	again.submit("/login", again.token("/login"), "login", "ada", "password", password)
	ada, _ = socketOf(t, n, again)
	var said []Comment
	ada.MustCall("comments").Bind(t, &said)
	if len(said) != 0 {
		t.Errorf("posted in the name of the first user: %+v", said)
	}
}

// Events with invalid or forged arguments are rejected.
func TestEventsAreChecked(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	ada, adas := socketOf(t, n, newUser(t, site, "ada"))
	bob, bobs := socketOf(t, n, newUser(t, site, "bob"))
	carol, carols := socketOf(t, n, newUser(t, site, "carol"))

	if got := call(t, ada, "ask", "@Bob "); got != "" {
		t.Fatal(got)
	}
	bob.MustNext("changed")
	for _, step := range []struct {
		name  string
		by    *nodetest.Client
		event string
		args  []any
		want  string
	}{
		{"no argument", ada, "say", nil, "bad_request"},
		{"not a string", ada, "say", []any{map[string]string{"a": "b"}}, "bad_request"},
		{"empty", ada, "say", []any{" \n "}, "bad_comment"},
		{"too long", ada, "say", []any{strings.Repeat("é", 501)}, "bad_comment"},
		{"as long as allowed", ada, "say", []any{strings.Repeat("é", 500)}, ""},
		{"changes the text direction", ada, "say", []any{"\u202egnp.exe"}, "bad_comment"},
		{"unknown name", ada, "ask", []any{"' OR 1=1 --"}, "nobody"},
		{"own name", ada, "ask", []any{"ADA"}, "yourself"},
		{"asked twice", ada, "ask", []any{"bob"}, "asked"},
		{"accept own request", ada, "accept", []any{bobs}, "no_request"},
		{"accept another user's request", carol, "accept", []any{adas}, "no_request"},
		{"remove a tie between others", carol, "remove", []any{bobs}, "no_request"},
		{"accept an empty ID", carol, "accept", []any{""}, "no_request"},
		{"a request in return is accepted", bob, "ask", []any{"ada"}, ""},
		{"already friends", ada, "ask", []any{"bob"}, "friends"},
		{"a request to decline", carol, "ask", []any{"ada"}, ""},
		{"declined", ada, "remove", []any{carols}, ""},
		{"accept a declined request", ada, "accept", []any{carols}, "no_request"},
		{"remove a friend", bob, "remove", []any{adas}, ""},
		{"post without friends", ada, "say", []any{"Hello?"}, ""},
	} {
		if got := call(t, step.by, step.event, step.args...); got != step.want {
			t.Errorf("%s: code %q, want %q", step.name, got, step.want)
		}
	}
	call(t, bob, "friends") // events sent to bob before the answer have arrived
	if got := bob.Waiting("comment"); got != 0 {
		t.Errorf("bob received %d comments of a user that is not a friend", got)
	}
	if got := ada.Waiting("comment"); got != 2 {
		t.Errorf("ada received %d of her own comments, want 2", got)
	}
}

// A user can end their own devices and nobody else's.
func TestDevicesBelongToTheirUser(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	adas := newUser(t, site, "ada")
	ada, _ := socketOf(t, n, adas)
	bob, _ := socketOf(t, n, newUser(t, site, "bob"))

	var devices []device
	ada.MustCall("devices").Bind(t, &devices)
	if len(devices) != 1 || !devices[0].Current {
		t.Fatalf("devices: %+v", devices)
	}
	if strings.Contains(adas.cookie(), devices[0].ID) {
		t.Error("the device's ID is part of the cookie")
	}
	call(t, bob, "end", devices[0].ID)
	if !adas.loggedIn() || !ada.State().Connected {
		t.Error("another user has ended ada's session")
	}
	second := newVisitor(t, site)
	second.submit("/login", second.token("/login"), "login", "ada", "password", password)
	other, _ := socketOf(t, n, second)
	call(t, other, "end", devices[0].ID)
	var reason string
	ada.MustNext("disconnect").Bind(t, &reason)
	if reason != "io server disconnect" || adas.loggedIn() {
		t.Errorf("ada's other device is still logged in, or was disconnected with reason %q", reason)
	}
	if !second.loggedIn() {
		t.Error("the device that ended the other one is logged out too")
	}
}

func TestEventsAreLimited(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	ada, _ := socketOf(t, n, newUser(t, site, "ada"))
	for event, limit := range map[string]int{"say": commentsPerMinute, "ask": requestsPerMinute} {
		for i := range limit {
			if got := call(t, ada, event, fmt.Sprint("text ", i)); got == ErrTooFast.Code {
				t.Fatalf("%s number %d: %s", event, i, got)
			}
		}
		if got := call(t, ada, event, "one more"); got != ErrTooFast.Code {
			t.Errorf("%s over the limit: code %q, want %q", event, got, ErrTooFast.Code)
		}
	}
}
