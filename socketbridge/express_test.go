package socketbridge_test

import (
	"fmt"
	"testing"
)

// N7: a login in one app is a login in the other, over HTTP and sockets.
func TestN7_LoginIsSharedBothWays(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, nil)

	ada := w.agent()
	w.askExpress(ada, "POST", "/express/login/ada")
	equal(t, "user in Fiber", ada.get("/user"), "ada")
	live := w.socket(ada)
	equal(t, "user of the socket", call(t, live, "user"), `"ada"`)
	if id := w.session(ada).ID; len(id) != 32 {
		t.Errorf("the session ID has %d characters, want the 32 of an ID from Express", len(id))
	}

	bob := w.agent()
	bob.post("/login/bob")
	s := w.session(bob)
	if s.Session["user"] != "bob" || len(s.ID) != 43 {
		t.Errorf("Express has %v with an ID of %d characters, want user bob and 43", s.Session, len(s.ID))
	}
	equal(t, "user in Fiber after a request to Express", bob.get("/user"), "bob")

	// A login that keeps the ID reaches an open socket at its next packet, and also
	// without one.
	eve := w.agent()
	eve.post("/set/hello/world")
	open := w.socket(eve)
	equal(t, "user before login", call(t, open, "user"), `""`)
	w.askExpress(eve, "POST", "/express/set", map[string]any{"user": "eve", "n": 1})
	equal(t, "key set in Express", call(t, open, "get", "n"), "1")
	equal(t, "user of the open socket", call(t, open, "user"), `"eve"`)
	equal(t, "key set in Fiber", call(t, open, "get", "hello"), `"world"`)
}

// N7: Express, Fiber and a socket increment one counter in turn.
func TestN7_CounterInTurn(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"Express", "Fiber"} {
		t.Run(first+" begins", func(t *testing.T) {
			t.Parallel()
			w := newExpressSite(t, nil)
			a := w.agent()
			n := 0
			if first == "Express" {
				n++
				equal(t, "count in Express", w.askExpress(a, "POST", "/express/incr"), "1")
			}
			n++
			equal(t, "count in Fiber", a.post("/incr"), fmt.Sprint(n))
			live := w.socket(a)
			for range 5 {
				equal(t, "count in Express", w.askExpress(a, "POST", "/express/incr"), fmt.Sprint(n+1))
				equal(t, "count on the socket", call(t, live, "incr"), fmt.Sprint(n+2))
				equal(t, "count in Fiber", a.post("/incr"), fmt.Sprint(n+3))
				equal(t, "count read on the socket", call(t, live, "count"), fmt.Sprint(n+3))
				n += 3
			}
			if got := w.session(a).Session["count"]; got != float64(n) {
				t.Errorf("Express has %v, want %d", got, n)
			}
		})
	}
}
