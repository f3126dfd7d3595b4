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

// call emits an event, and returns the code of the problem that it is answered with,
// or "".
func call(t *testing.T, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	var answer struct{ Error struct{ Code string } }
	if got := c.MustCall(event, args...); len(got) > 0 && got[0][0] == '{' {
		got.Bind(t, &answer)
	}
	return answer.Error.Code
}

// socketOf connects the official client with the cookie of a visitor who has signed
// up, and returns their ID too.
func socketOf(t *testing.T, n *nodetest.Node, v *visitor) (*nodetest.Client, string) {
	t.Helper()
	c := n.Connect(t, v.site, nodetest.Options{Cookie: v.cookie(), Transports: []string{"websocket"}})
	var user User
	c.MustNext("hello").Bind(t, &user)
	return c, user.ID
}

func TestSocketsNeedAUser(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	visitor := newVisitor(t, site)
	visitor.get("/login")
	ended := member(t, site, "ada")
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

// Signing in as somebody else ends the session of the first, and the tabs with it.
func TestSigningInOverSomebodyElse(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	member(t, site, "bob")
	v := member(t, site, "ada")
	tab, _ := socketOf(t, n, v)
	cookie := v.cookie()
	if res, _ := v.submit("/login", v.token("/"), "login", "bob", "password", password); res.StatusCode != http.StatusSeeOther {
		t.Fatal(res.Status)
	}
	var why string
	if tab.MustNext("ended").Bind(t, &why); why != "logged out" {
		t.Errorf("the first user's tab is told %q", why)
	}
	if withCookie(t, site, cookie).inside() {
		t.Error("the first user's session lives on")
	}
	if !v.inside() {
		t.Error("the second user is not in")
	}
}

// When a session becomes another user's without ending, as an app that lets people
// switch accounts may have it, no socket goes on as the first one: neither do events
// that had come before and waited, nor does the socket itself.
func TestSessionThatChangesHands(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	site := start(t, "memory://", func(s *site) {
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
	adas := member(t, site, "ada")
	ada, _ := socketOf(t, n, adas)
	_, bobs := socketOf(t, n, member(t, site, "bob"))
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
			t.Errorf("disconnected by %q", reason)
		}
	}
	again := newVisitor(t, site)
	again.submit("/login", again.token("/login"), "login", "ada", "password", password)
	ada, _ = socketOf(t, n, again)
	var said []Comment
	ada.MustCall("comments").Bind(t, &said)
	if len(said) != 0 {
		t.Errorf("said in the name of the first user: %+v", said)
	}
}

// What a page may send by mistake, and what somebody may send on purpose.
func TestEventsAreChecked(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	ada, adas := socketOf(t, n, member(t, site, "ada"))
	bob, bobs := socketOf(t, n, member(t, site, "bob"))
	carol, carols := socketOf(t, n, member(t, site, "carol"))

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
		{"nothing said", ada, "say", nil, "bad_request"},
		{"not a text", ada, "say", []any{map[string]string{"a": "b"}}, "bad_request"},
		{"empty", ada, "say", []any{" \n "}, "bad_comment"},
		{"too long", ada, "say", []any{strings.Repeat("é", 501)}, "bad_comment"},
		{"as long as may be", ada, "say", []any{strings.Repeat("é", 500)}, ""},
		{"what turns the text around", ada, "say", []any{"\u202egnp.exe"}, "bad_comment"},
		{"nobody", ada, "ask", []any{"' OR 1=1 --"}, "nobody"},
		{"oneself", ada, "ask", []any{"ADA"}, "yourself"},
		{"asked twice", ada, "ask", []any{"bob"}, "asked"},
		{"one's own request", ada, "accept", []any{bobs}, "no_request"},
		{"somebody else's request", carol, "accept", []any{adas}, "no_request"},
		{"what is between others", carol, "remove", []any{bobs}, "no_request"},
		{"somebody without an ID", carol, "accept", []any{""}, "no_request"},
		{"a request the other way is an answer", bob, "ask", []any{"ada"}, ""},
		{"friends already", ada, "ask", []any{"bob"}, "friends"},
		{"a request to decline", carol, "ask", []any{"ada"}, ""},
		{"declined", ada, "remove", []any{carols}, ""},
		{"and then accepted", ada, "accept", []any{carols}, "no_request"},
		{"no friend any more", bob, "remove", []any{adas}, ""},
		{"said in vain", ada, "say", []any{"Hello?"}, ""},
	} {
		if got := call(t, step.by, step.event, step.args...); got != step.want {
			t.Errorf("%s: code %q, want %q", step.name, got, step.want)
		}
	}
	call(t, bob, "friends") // what was on its way to him, came
	if got := bob.Waiting("comment"); got != 0 {
		t.Errorf("bob heard %d comments of no friend", got)
	}
	if got := ada.Waiting("comment"); got != 2 {
		t.Errorf("ada heard %d comments of her own, not 2", got)
	}
}

// A device's ID ends the device of its user, and is nothing to others.
func TestDevicesAreOnesOwn(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	adas := member(t, site, "ada")
	ada, _ := socketOf(t, n, adas)
	bob, _ := socketOf(t, n, member(t, site, "bob"))

	var devices []device
	ada.MustCall("devices").Bind(t, &devices)
	if len(devices) != 1 || !devices[0].Current {
		t.Fatalf("devices: %+v", devices)
	}
	if strings.Contains(adas.cookie(), devices[0].ID) {
		t.Error("the device's ID is part of the session's")
	}
	call(t, bob, "end", devices[0].ID)
	if !adas.inside() || !ada.State().Connected {
		t.Error("somebody else has ended ada's session")
	}
	second := newVisitor(t, site)
	second.submit("/login", second.token("/login"), "login", "ada", "password", password)
	other, _ := socketOf(t, n, second)
	call(t, other, "end", devices[0].ID)
	var reason string
	ada.MustNext("disconnect").Bind(t, &reason)
	if reason != "io server disconnect" || adas.inside() {
		t.Errorf("ada's other device goes on, or ended by %q", reason)
	}
	if !second.inside() {
		t.Error("the device that ended the other one ended too")
	}
}

func TestEventsAreLimited(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	n := nodetest.Start(t)
	ada, _ := socketOf(t, n, member(t, site, "ada"))
	for event, limit := range map[string]int{"say": saysPerMinute, "ask": asksPerMinute} {
		for i := range limit {
			if got := call(t, ada, event, fmt.Sprint("text ", i)); got == ErrTooFast.Code {
				t.Fatalf("%s number %d: %s", event, i, got)
			}
		}
		if got := call(t, ada, event, "one more"); got != ErrTooFast.Code {
			t.Errorf("%s: code %q", event, got)
		}
	}
}
