package simulation

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A read may return what an acknowledged write before it has stored, or a write that overlaps it
// or has an unknown outcome, and nothing that was replaced before the read began.
func TestM3_Register(t *testing.T) {
	t.Parallel()
	var r register
	write := func(val string, from, to at, sure bool) {
		w := r.begin(val, from)
		w.to, w.sure = to, sure
	}
	write("a", 10, 20, true)
	write("b", 30, 40, false)
	write("c", 50, 60, true)
	r.begin("d", 70)
	for _, tt := range []struct {
		val      string
		from, to at
		want     bool
	}{
		{"", 0, 9, true}, {"", 15, 25, true}, {"", 21, 25, false},
		{"a", 0, 9, false}, {"a", 21, 25, true}, {"a", 45, 48, true}, {"a", 61, 62, false},
		{"b", 25, 29, false}, {"b", 35, 36, true}, {"b", 45, 55, true}, {"b", 61, 62, false},
		{"c", 61, 69, true}, {"c", 100, 110, true}, {"d", 61, 69, false}, {"d", 100, 110, true},
		{"e", 0, 1000, false},
	} {
		if got := r.allows(tt.val, tt.from, tt.to); got != tt.want {
			t.Errorf("%q read from %d to %d: got %v, want %v", tt.val, tt.from, tt.to, got, tt.want)
		}
	}
	if val, ok := r.settled(61, 65); val != "c" || !ok {
		t.Errorf("settled: got %q, %v; want c", val, ok)
	}
	if _, ok := r.settled(61, 75); ok {
		t.Error("settled although a write is under way")
	}
}

func TestM3_Counter(t *testing.T) {
	t.Parallel()
	var c counter
	for i, sure := range []bool{true, false, true} {
		one := c.begin(at(10 * i))
		one.to, one.sure = at(10*i+5), sure
	}
	for range 2 { // before and after pruning
		if least, most := c.bounds(17, 18); least != 1 || most != 2 {
			t.Errorf("got %d to %d, want 1 to 2", least, most)
		}
		if least, most := c.bounds(26, 30); least != 2 || most != 3 {
			t.Errorf("got %d to %d, want 2 to 3", least, most)
		}
		c.prune(16)
	}
}

func TestM3_Minimise(t *testing.T) {
	t.Parallel()
	ops := Generate(7, 200)
	needed := []op{ops[20], ops[133], ops[190]}
	var total time.Duration
	for _, o := range ops[:191] {
		total += o.Gap
	}
	got := Minimise(ops, 1000, func(some []op) bool {
		return !slices.ContainsFunc(needed, func(n op) bool {
			return !slices.ContainsFunc(some, func(o op) bool { return o.Arg == n.Arg && o.Kind == n.Kind })
		})
	})
	var kept time.Duration
	for _, o := range got {
		kept += o.Gap
	}
	if len(got) != 3 || kept != total {
		t.Errorf("got %d operations that take %v, want 3 that take %v", len(got), kept, total)
	}
}

// A seed gives the same operations each time.
func TestM3_GenerateRepeats(t *testing.T) {
	t.Parallel()
	if !slices.Equal(Generate(3, 500), Generate(3, 500)) || slices.Equal(Generate(3, 500), Generate(4, 500)) {
		t.Error("the operations do not follow from the seed")
	}
}

// The oracle reports each kind of violation: a check that never fails would find nothing.
func TestM3_OracleNotices(t *testing.T) {
	texts := map[string]string{
		"a lost write": "key w0 holds \"\"", "a value of another session": "a value of another session",
		"a lost increment": "the counter is 0, want 1 to 1", "half an Update": "the two values of the Updates are 0 and 1",
		"another user": `the user is "ada"`, "use after the end": "although its end was acknowledged",
		"past the idle time": "past its idle limit", "past the absolute limit": "past its absolute limit",
		"a session that is gone": "although nothing ended it", "an old ID": "an ID that was replaced",
		"a socket that stays": "is still connected",
	}
	for name, what := range map[string]func(o *oracle, n *node){
		"a lost write": func(o *oracle, n *node) {
			o.act(n, httpSet, "", view{name: "s"}, true)
			o.see(n, "", view{name: "s", values: map[string]string{"w0": ""}})
		},
		"a value of another session": func(o *oracle, n *node) {
			o.see(n, "", view{name: "s", values: map[string]string{"w0": "other#1"}})
		},
		"a lost increment": func(o *oracle, n *node) { o.act(n, httpIncr, "", view{name: "s"}, true); o.see(n, "", view{name: "s"}) },
		"half an Update": func(o *oracle, n *node) {
			o.act(n, httpMove, "", view{name: "s"}, true)
			o.see(n, "", view{name: "s", b: 1})
		},
		"another user":      func(o *oracle, n *node) { o.see(n, "", view{name: "s", user: "ada"}) },
		"use after the end": func(o *oracle, n *node) { o.act(n, httpEnd, "", view{name: "s"}, true); o.see(n, "", view{name: "s"}) },
		"past the idle time": func(o *oracle, n *node) {
			o.act(n, httpSet, "", view{name: "s"}, true)
			time.Sleep(idleLimit + time.Minute)
			o.see(n, "", view{name: "s", values: map[string]string{"w0": "s#1"}})
		},
		"past the absolute limit": func(o *oracle, n *node) {
			for range 6 {
				o.act(n, httpLogin, "", view{name: "s"}, true)
				time.Sleep(idleLimit - time.Minute)
			}
			o.see(n, "", view{name: "s", user: "ada"})
		},
		"a session that is gone": func(o *oracle, n *node) {
			o.act(n, httpSet, "id", view{name: "s"}, true)
			o.see(n, "id", view{name: "t", fresh: true})
		},
		"an old ID": func(o *oracle, n *node) {
			o.act(n, httpSet, "id", view{name: "s"}, true)
			o.act(n, httpRenew, "id", view{name: "s"}, true)
			o.see(n, "id", view{name: "s"})
		},
		"a socket that stays": func(o *oracle, n *node) {
			o.act(n, httpSet, "", view{name: "s"}, true)
			o.connected(&socket{node: n, session: o.sessions["s"]})
			o.act(n, httpEnd, "", view{name: "s"}, true)
			time.Sleep(time.Minute)
			o.sweep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOracle(false)
				time.Sleep(time.Second)
				n := &node{link: newLink(newDatabase(), 1)}
				what(o, n)
				if want := texts[name]; !strings.Contains(o.failed(), want) {
					t.Errorf("got %q, want a violation with %q", o.failed(), want)
				}
			})
		})
	}
}

// act records an acknowledged call of a kind, whose handler saw v. The call sent an ID, and its
// response renews it, or is the first with it.
func (o *oracle) act(n *node, k kind, id string, v view, ok bool) {
	c := &call{op: op{Kind: k}, number: 1, node: n, sent: id}
	if o.cookies[id] == nil {
		c.sent, c.got = "", id
	} else if c.renews() {
		c.got = id + "'"
	}
	o.begin(c)
	v.fresh = true // this view is not what the test is about
	o.observe(c, v)
	o.changes(c)
	time.Sleep(time.Millisecond)
	o.finish(c, ok)
	time.Sleep(time.Millisecond)
}

// see records a call whose handler saw v.
func (o *oracle) see(n *node, id string, v view) {
	c := &call{op: op{Kind: httpRead}, number: 2, node: n, sent: id}
	o.begin(c)
	o.observe(c, v)
	o.finish(c, true)
}
