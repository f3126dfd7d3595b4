package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// code calls an event and returns the code of the problem that it is answered with, or "".
func code(t *testing.T, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	var answer struct{ Error struct{ Code string } }
	if got := c.MustCall(event, args...); len(got) > 0 && got[0][0] == '{' {
		got.Bind(t, &answer)
	}
	return answer.Error.Code
}

// TestOneNodeInMemory runs the same program on memory alone: of three nodes, one is
// started, and all works there. It is also where what pages may send is checked.
func TestOneNodeInMemory(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	a := start(t, "", "memory://", 3)
	if len(a.nodes) != 1 || a.proxy != nil || a.redis != nil {
		t.Fatalf("%d nodes, proxy %v, redis %v", len(a.nodes), a.proxy, a.redis)
	}
	site := a.urls()[0]
	socket := func(name string) (*visitor, *nodetest.Client) {
		v := newVisitor(t, site)
		v.enter(name)
		c := n.Connect(t, site, nodetest.Options{Cookie: v.cookie()})
		c.MustNext("rooms")
		return v, c
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
		{"said", "say", say("1", "lobby", " Hello\n"), ""},
		{"nothing", "say", say("2", "lobby", " \n "), "text"},
		{"too much", "say", say("2", "lobby", strings.Repeat("é", 1001)), "text"},
		{"what turns the text around", "say", say("2", "lobby", "\u202egnp.exe"), "text"},
		{"without an ID", "say", say("", "lobby", "Hello"), "text"},
		{"not a message", "say", 7, "text"},
		{"in a room of others", "say", say("2", "gardens", "Hello"), "not_member"},
		{"the words of a room of others", "history", "gardens", "not_member"},
		{"the people of a room of others", "people", "gardens", "not_member"},
		{"no room's name", "join", "<b>", "room_name"},
		{"too long for a room's name", "join", strings.Repeat("a", 25), "room_name"},
		{"a room", "join", "gärten-2", ""},
		{"its words", "history", "gärten-2", ""},
		{"left", "leave", "gärten-2", ""},
		{"its words from outside", "history", "gärten-2", "not_member"},
		{"to somebody", "tell", tell("bob"), ""},
		{"to nobody", "tell", tell("Carol"), "nobody"},
		{"to oneself", "tell", tell("ADA"), "nobody"},
	} {
		if got := code(t, ada, step.event, step.arg); got != step.want {
			t.Errorf("%s: code %q, want %q", step.name, got, step.want)
		}
	}
	var heard Message
	bob.MustNext("message").Bind(t, &heard)
	if heard.Text != "Hello" || heard.From != (User{"ada", "Ada"}) || heard.Number != 1 {
		t.Errorf("bob hears %+v", heard)
	}
	bob.MustNext("private").Bind(t, &heard)
	if heard.Text != "psst" || heard.From.ID != "ada" {
		t.Errorf("bob is told %+v", heard)
	}
	var people []Person
	bob.MustCall("people", "lobby").Bind(t, &people)
	if len(people) != 2 || people[0].ID != "ada" || people[1].Name != "Bob" {
		t.Errorf("in the lobby are %+v", people)
	}

	for i := range maxRooms - 1 {
		if got := code(t, bob, "join", fmt.Sprint("room-", i)); got != "" {
			t.Fatalf("room %d: %s", i, got)
		}
	}
	if got := code(t, bob, "join", "one-more"); got != "too_many_rooms" {
		t.Errorf("one room too many: code %q", got)
	}
	for got, i := "", 0; got != "too_fast"; i++ {
		if got = code(t, ada, "say", say(fmt.Sprint("fast", i), "lobby", "x")); i > 100 {
			t.Fatal("a hundred messages are not too fast")
		}
	}

	// Another site's page cannot act in her name; the last word is her own.
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
	var why string
	if ada.MustNext("ended").Bind(t, &why); why != "logged out" {
		t.Errorf("ada's page is told %q", why)
	}
}

// Whoever listens on an address already, and answers whatever is asked, is not taken for
// what is to be started there.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	needProxy(t, "haproxy")
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(other.Close)
	taken := other.Listener.Addr().String()
	for name, take := range map[string]func(cfg *setup){
		"the proxy's": func(cfg *setup) { cfg.Front = taken },
		"a node's":    func(cfg *setup) { cfg.Nodes[0] = taken },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := newSetup(t, "haproxy", redistest.Start(t).URL(), 1)
			take(&cfg)
			a, err := startAll(t.Context(), cfg)
			if err == nil {
				a.Close()
			}
			if err == nil || !strings.Contains(err.Error(), taken+" is in use") {
				t.Errorf("says %v", err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]User{
		"Ada": {"ada", "Ada"}, "  Zoë   Müller ": {"zoë müller", "Zoë Müller"}, "r2-d2": {"r2-d2", "r2-d2"},
		"": {}, "a": {}, "-a": {}, "<b>x": {}, "a\u202eb": {}, "a\x00b": {}, strings.Repeat("a", 21): {},
	} {
		if user, ok := userNamed(typed); ok != (want != User{}) || ok && user != want {
			t.Errorf("%q is %+v, %t", typed, user, ok)
		}
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(1e9, 0)
	take := func() (n int) {
		for p.take(now) {
			n++
		}
		return n
	}
	if n := take(); n != paceBurst {
		t.Errorf("%d at once", n)
	}
	now = now.Add(3 * paceEvery)
	if n := take(); n != 3 {
		t.Errorf("%d after three steps", n)
	}
	now = now.Add(time.Hour)
	if n := take(); n != paceBurst {
		t.Errorf("%d after a long time", n)
	}
}

// TestOneCommand is `go run ./examples/chat` with somebody at the terminal, who stops a
// node and starts it again.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	needProxy(t, "haproxy")
	cfg := newSetup(t, "haproxy", redistest.Start(t).URL(), 2)
	ctx, stop := context.WithCancel(t.Context())
	terminal, typed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runAll(ctx, cfg, terminal) }() // received below
	awaits := func(what string, up func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !up(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	is := func(addr string) bool {
		res, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}
	awaits("the site does not answer", func() bool { return is(cfg.Front) })
	fmt.Fprintln(typed, "nonsense")
	fmt.Fprintln(typed, "2")
	awaits("node 2 was not stopped", func() bool { return !is(cfg.Nodes[1]) })
	if !is(cfg.Nodes[0]) || !is(cfg.Front) {
		t.Error("the other node, or the site, has stopped too")
	}
	fmt.Fprintln(typed, " 2 ")
	awaits("node 2 was not started again", func() bool { return is(cfg.Nodes[1]) })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, addr := range append(cfg.Nodes, cfg.Front) {
		if is(addr) {
			t.Errorf("%s answers after the end", addr)
		}
	}
	_ = typed.Close()
}
