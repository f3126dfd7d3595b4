package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// errorCode emits an event and returns the code of the error in the answer, or "".
func errorCode(t *testing.T, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	var answer struct{ Error struct{ Code string } }
	if got := c.MustCall(event, args...); len(got) > 0 && got[0][0] == '{' {
		got.Bind(t, &answer)
	}
	return answer.Error.Code
}

// TestOneNodeInMemory runs the program without Redis, so only one of three nodes is started.
// It also checks which events a page may send.
func TestOneNodeInMemory(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	c := start(t, "", "memory://", 3)
	if len(c.nodes) != 1 || c.proxy != nil || c.redis != nil {
		t.Fatalf("%d nodes, proxy %v, redis %v; want one node alone", len(c.nodes), c.proxy, c.redis)
	}
	site := c.urls()[0]
	socket := func(name string) (*visitor, *nodetest.Client) {
		v := newVisitor(t, site)
		v.logIn(name)
		client := n.Connect(t, site, nodetest.Options{Cookie: v.cookie()})
		client.MustNext("rooms")
		return v, client
	}
	adas, ada := socket("Ada")
	_, bob := socket("Bob")

	say := func(id, room, text string) map[string]string {
		return map[string]string{"id": id, "room": room, "text": text}
	}
	tell := func(to string) map[string]string { return map[string]string{"id": "t", "to": to, "text": "psst"} }
	for _, step := range []struct {
		name, event string
		arg         any
		want        string
	}{
		{"a message", "say", say("1", "lobby", " Hello\n"), ""},
		{"empty", "say", say("2", "lobby", " \n "), "text"},
		{"too long", "say", say("2", "lobby", strings.Repeat("é", 1001)), "text"},
		{"changes the text direction", "say", say("2", "lobby", "\u202egnp.exe"), "text"},
		{"without an ID", "say", say("", "lobby", "Hello"), contract.CodeInvalidArgument},
		{"with a long ID", "say", say(strings.Repeat("x", 41), "lobby", "Hello"), contract.CodeInvalidArgument},
		{"not a message", "say", 7, contract.CodeInvalidArgument},
		{"to a room that is not joined", "say", say("2", "gardens", "Hello"), "not_member"},
		{"history of a room that is not joined", "history", "gardens", "not_member"},
		{"people in a room that is not joined", "people", "gardens", "not_member"},
		{"invalid room name", "join", "<b>", "room_name"},
		{"room name too long", "join", strings.Repeat("a", 25), "room_name"},
		{"join a room", "join", "gärten-2", ""},
		{"its history", "history", "gärten-2", ""},
		{"leave it", "leave", "gärten-2", ""},
		{"its history after leaving", "history", "gärten-2", "not_member"},
		{"private message", "tell", tell("bob"), ""},
		{"to an offline user", "tell", tell("Carol"), "nobody"},
		{"to oneself", "tell", tell("ADA"), "nobody"},
	} {
		if got := errorCode(t, ada, step.event, step.arg); got != step.want {
			t.Errorf("%s: code %q, want %q", step.name, got, step.want)
		}
	}
	var received struct {
		Message
		Number int
	}
	bob.MustNext("message").Bind(t, &received)
	if received.Text != "Hello" || received.From != (User{"ada", "Ada"}) || received.Number != 1 {
		t.Errorf("bob received %+v", received)
	}
	bob.MustNext("private").Bind(t, &received)
	if received.Text != "psst" || received.From.ID != "ada" {
		t.Errorf("bob received the private message %+v", received)
	}
	var people []Person
	bob.MustCall("people", "lobby").Bind(t, &people)
	if len(people) != 2 || people[0].ID != "ada" || people[1].Name != "Bob" {
		t.Errorf("people in the lobby: %+v, want Ada and Bob", people)
	}

	for i := range maxRooms - 1 {
		if got := errorCode(t, bob, "join", fmt.Sprint("room-", i)); got != "" {
			t.Fatalf("room %d: %s", i, got)
		}
	}
	if got := errorCode(t, bob, "join", "one-more"); got != "too_many_rooms" {
		t.Errorf("one room too many: code %q, want too_many_rooms", got)
	}
	for got, i := "", 0; got != "too_fast"; i++ {
		if got = errorCode(t, ada, "say", say(fmt.Sprint("fast", i), "lobby", "x")); i > 100 {
			t.Fatal("a hundred messages did not reach the limit")
		}
	}

	// Another site's page cannot log Ada out. Her own page can.
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
		if res, _ := adas.do(http.MethodPost, "/logout/everywhere", "", header...); res.StatusCode != http.StatusForbidden {
			t.Errorf("with %s %s: %s", header[0], header[1], res.Status)
		}
	}
	if !ada.State().Connected {
		t.Error("ada was logged out by another site")
	}
	if res, _ := adas.do(http.MethodPost, "/logout/everywhere", ""); !strings.HasPrefix(res.Request.URL.Path, "/login") {
		t.Errorf("logging out leads to %s", res.Request.URL)
	}
	var reason string
	if ada.MustNext("ended").Bind(t, &reason); reason != "logged out" {
		t.Errorf("ada's page receives the reason %q, want logged out", reason)
	}
}

// A user who leaves a room with their only tab disappears from the others' member list.
func TestLeavingNotifiesTheRoom(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := start(t, "", "memory://", 1).urls()[0]
	connect := func(name string) *nodetest.Client {
		v := newVisitor(t, site)
		v.logIn(name)
		client := n.Connect(t, site, nodetest.Options{Cookie: v.cookie()})
		client.MustCall("join", "gardens")
		return client
	}
	bob, ada := connect("Bob"), connect("Ada")
	var people []Person
	bob.MustCall("people", "gardens").Bind(t, &people)
	if len(people) != 2 {
		t.Fatalf("people in the room: %+v, want Ada and Bob", people)
	}
	for bob.Waiting("people") > 0 { // notifications of the joins
		bob.MustNext("people")
	}
	ada.MustCall("leave", "gardens")
	var room string
	for room != "gardens" {
		bob.MustNext("people").Bind(t, &room)
	}
	people = nil
	bob.MustCall("people", "gardens").Bind(t, &people)
	if len(people) != 1 || people[0].ID != "bob" {
		t.Errorf("people in the room after Ada left: %+v, want Bob", people)
	}
}
