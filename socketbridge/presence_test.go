package socketbridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// pair is two linked sites of one app with a shared storage, and the calls of their
// presence handlers.
type pair struct {
	t     *testing.T
	sites []*site
	told  events
}

func newPair(t *testing.T, url string, cfg socketbridge.Config) *pair {
	t.Helper()
	p := &pair{t: t, told: make(events, 100)}
	hub := adapter.NewMemory()
	var shared storage.Storage
	if url == "memory://" {
		shared = memory.New()
		t.Cleanup(func() { _ = shared.Close() })
	}
	for range 2 {
		o := withUsers(url)
		o.bridge = cfg
		o.bridge.Adapter = hub.Join()
		if shared != nil {
			o.sessions.Storage = shared
		}
		s := newSite(t, o).users()
		s.io.OnPresence(func(user string, online bool) { p.told.add("%s %v", user, online) })
		s.serve()
		p.sites = append(p.sites, s)
	}
	linked(t, p.sites[0].io, p.sites[1].io)
	return p
}

// connect opens a socket of the agent's session on a site.
func (p *pair) connect(n *nodetest.Node, a *agent, site int) *nodetest.Client {
	p.t.Helper()
	return n.Connect(p.t, p.sites[site].url+"/", nodetest.Options{Cookie: a.cookie()})
}

func (p *pair) key(rest string) string { return p.sites[0].sessions.Prefix() + "p:" + rest }

func (p *pair) pseudonym(user string) string {
	return p.sites[0].sessions.UserPseudonym(user, "presence")
}

// on returns the nodes on which a user is recorded.
func (p *pair) on(user string) []string {
	p.t.Helper()
	item, err := p.sites[0].sessions.Storage().Load(p.t.Context(), p.key("u:"+p.pseudonym(user)))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	var r struct{ Nodes []string }
	if err = errors.Join(err, json.Unmarshal(item.Value, &r)); err != nil {
		p.t.Fatal(err)
	}
	return r.Nodes
}

func (p *pair) awaitOn(user string, count int) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("%s to be on %d nodes", user, count), func() bool { return len(p.on(user)) == count })
}

// silent checks that there were no more calls.
func (p *pair) silent() {
	p.t.Helper()
	select {
	case line := <-p.told:
		p.t.Errorf("got another call %q, want none", line)
	default:
	}
}

// D4: one of several nodes reports a user online when the first socket on any node
// connects, and one reports the user offline when the last has gone.
func TestD4_PresenceAcrossNodes(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		p := newPair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1}})
		ann := p.sites[0].loggedIn("ann")
		user := func(site int) bool {
			online, err := p.sites[site].io.User("ann").OnlineAnywhere(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return online
		}
		if user(1) {
			t.Error("ann is online before the first socket")
		}
		one := p.connect(n, ann, 0)
		p.told.expect(t, "ann true")
		two := p.connect(n, ann, 1)
		p.awaitOn("ann", 2)
		if !user(0) || !user(1) {
			t.Errorf("ann online: got %v on node 0 and %v on node 1, want true", user(0), user(1))
		}
		one.Close()
		p.awaitOn("ann", 1)
		if !user(0) || p.sites[0].io.User("ann").Online() {
			t.Error("on the node without sockets: want OnlineAnywhere true and Online false")
		}
		three := p.connect(n, ann, 0)
		p.awaitOn("ann", 2)
		p.silent()
		two.Close()
		p.awaitOn("ann", 1)
		three.Close()
		p.told.expect(t, "ann false")
		if user(0) || user(1) {
			t.Error("ann is still online after the last socket, want offline")
		}
		p.silent()
	})
}

// D3 between nodes: rooms of users and sessions have the same names on all nodes.
func TestD3_ReachAUserOnAnotherNode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		p := newPair(t, url, socketbridge.Config{})
		ann, bob := p.sites[0].loggedIn("ann"), p.sites[0].loggedIn("bob")
		annThere, bobThere := p.connect(n, ann, 1), p.connect(n, bob, 1)
		here := p.connect(n, ann, 0)
		ann.post("/tell/ann") // at site 0
		for _, c := range []*nodetest.Client{here, annThere} {
			equal(t, "event on ann's socket", c.MustNext("event on ann's socket").String(), `["ann"]`)
		}
		h, err := p.sites[0].sessions.GetByID(t.Context(), bob.sessionID())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.sites[0].io.ToSession(h).Emit("session"); err != nil {
			t.Fatal(err)
		}
		bobThere.MustNext("session")
		all, err := p.sites[0].io.User("ann").FetchSockets(t.Context())
		if err != nil || len(all) != 2 {
			t.Errorf("got %d sockets and error %v, want 2", len(all), err)
		}
		if err := p.sites[0].io.User("ann").Disconnect(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*nodetest.Client{here, annThere} {
			c.MustNext(nodetest.Disconnected)
		}
		if got := bobThere.Waiting("told") + bobThere.Waiting(nodetest.Disconnected) + annThere.Waiting("session"); got != 0 {
			t.Errorf("other sockets got %d events, want 0", got)
		}
	})
}

// D4: users of a dead node are reported offline by one of the other nodes, once, unless
// they are on another node too.
func TestD4_NodeThatDied(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		p := newPair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1, TTL: time.Second}})
		ann := p.sites[0].loggedIn("ann")
		p.connect(n, ann, 0)
		p.told.expect(t, "ann true")
		// The records of a node that crashed.
		store := p.sites[0].sessions.Storage()
		index := store.(storage.Index)
		const dead = "dead.1"
		err := index.AddMember(t.Context(), p.key("nodes"), dead, 0)
		for _, user := range []string{"ann", "eve"} {
			err = errors.Join(err, index.AddMember(t.Context(), p.key("of:"+dead), p.pseudonym(user), 0))
		}
		err = errors.Join(err, index.AddMember(t.Context(), p.key("of:"+dead), "left behind", 0))
		nodes := append([]string{dead}, p.on("ann")...)
		text, _ := json.Marshal(map[string]any{"user": "ann", "nodes": nodes})
		err = errors.Join(err, store.Set(p.key("u:"+p.pseudonym("ann")), text, 0),
			store.Set(p.key("u:"+p.pseudonym("eve")), []byte(`{"user":"eve","nodes":["dead.1"]}`), 0))
		if err != nil {
			t.Fatal(err)
		}
		for line := range p.told {
			if line == "eve false" {
				break
			}
			if !strings.HasPrefix(line, "ann") { // on a slow machine a live node may seem dead
				t.Fatalf("got call %q, want only ann's and eve's", line)
			}
		}
		until(t, "the dead node to be removed", func() bool {
			for node, err := range index.Members(t.Context(), p.key("nodes")) {
				if err != nil || node == dead {
					return false
				}
			}
			return true
		})
		until(t, "ann to be on a live node", func() bool { on := p.on("ann"); return len(on) == 1 && on[0] != dead })
		if got := p.on("eve"); got != nil {
			t.Errorf("eve is on nodes %q, want none", got)
		}
		for {
			select {
			case line := <-p.told:
				if strings.HasPrefix(line, "eve") {
					t.Errorf("got another call %q, want none for eve", line)
				}
				continue
			default:
			}
			break
		}
	})
}

// D4: a live node that seemed dead gets a new name and records its users again.
func TestD4_NodeThatSeemedDead(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		p := newPair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1, TTL: time.Second}})
		ann := p.sites[0].loggedIn("ann")
		p.connect(n, ann, 0)
		p.told.expect(t, "ann true")
		was := p.on("ann")[0]
		if err := p.sites[0].sessions.Storage().Delete(p.key("n:" + was)); err != nil {
			t.Fatal(err)
		}
		until(t, "ann to be on the node's new name only", func() bool { on := p.on("ann"); return len(on) == 1 && on[0] != was })
		last := "ann true"
		until(t, "ann to be reported online last", func() bool {
			select {
			case last = <-p.told:
			default:
			}
			return last == "ann true"
		})
	})
}

// D4: when a node shuts down, users who are on another node stay online, and the others
// are reported offline by the remaining nodes after the grace period.
func TestD4_ShutdownHandsOver(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		p := newPair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: 500 * time.Millisecond, TTL: 3 * time.Second}})
		ann, bob := p.sites[0].loggedIn("ann"), p.sites[0].loggedIn("bob")
		p.connect(n, ann, 0)
		p.told.expect(t, "ann true")
		p.connect(n, bob, 0)
		p.told.expect(t, "bob true")
		p.connect(n, bob, 1)
		p.awaitOn("bob", 2)
		shutdown(t, p.sites[0].io)
		p.told.expect(t, "ann false")
		p.awaitOn("bob", 1)
		p.silent()
	})
}
