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

// sitePair is two linked sites of one app with a shared storage, and the calls of their
// presence handlers.
type sitePair struct {
	t     *testing.T
	sites []*site
	calls events
}

func newSitePair(t *testing.T, url string, cfg socketbridge.Config) *sitePair {
	t.Helper()
	p := &sitePair{t: t, calls: make(events, 100)}
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
		s.io.OnPresence(func(user string, online bool) { p.calls.add("%s %v", user, online) })
		s.serve()
		p.sites = append(p.sites, s)
	}
	waitForLinks(t, p.sites[0].io, p.sites[1].io)
	return p
}

// connect opens a socket of the agent's session on a site.
func (p *sitePair) connect(n *nodetest.Node, a *agent, site int) *nodetest.Client {
	p.t.Helper()
	return n.Connect(p.t, p.sites[site].url+"/", nodetest.Options{Cookie: a.cookie()})
}

func (p *sitePair) key(rest string) string { return p.sites[0].sessions.Prefix + "p:" + rest }

func (p *sitePair) pseudonym(user string) string {
	return p.sites[0].sessions.UserPseudonym(user, "presence")
}

// nodesOf returns the nodes on which a user is recorded.
func (p *sitePair) nodesOf(user string) []string {
	p.t.Helper()
	item, err := p.sites[0].sessions.Backend().Load(p.t.Context(), p.key("u:"+p.pseudonym(user)))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	var r struct{ Nodes []string }
	if err = errors.Join(err, json.Unmarshal(item.Value, &r)); err != nil {
		p.t.Fatal(err)
	}
	return r.Nodes
}

func (p *sitePair) waitForNodes(user string, count int) {
	p.t.Helper()
	waitFor(p.t, fmt.Sprintf("%s to be on %d nodes", user, count), func() bool { return len(p.nodesOf(user)) == count })
}

// expectNoCalls checks that there were no more calls.
func (p *sitePair) expectNoCalls() {
	p.t.Helper()
	select {
	case line := <-p.calls:
		p.t.Errorf("got another call %q, want none", line)
	default:
	}
}

// D4: one of several nodes reports a user online when the first socket on any node
// connects, and one reports the user offline when the last has gone.
func TestD4_PresenceAcrossNodes(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1}})
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
		p.calls.expect(t, "ann true")
		two := p.connect(n, ann, 1)
		p.waitForNodes("ann", 2)
		if !user(0) || !user(1) {
			t.Errorf("ann online: got %v on node 0 and %v on node 1, want true", user(0), user(1))
		}
		one.Close()
		p.waitForNodes("ann", 1)
		if !user(0) || p.sites[0].io.User("ann").Online() {
			t.Error("on the node without sockets: want OnlineAnywhere true and Online false")
		}
		three := p.connect(n, ann, 0)
		p.waitForNodes("ann", 2)
		p.expectNoCalls()
		two.Close()
		p.waitForNodes("ann", 1)
		three.Close()
		p.calls.expect(t, "ann false")
		if user(0) || user(1) {
			t.Error("ann is still online after the last socket, want offline")
		}
		p.expectNoCalls()
	})
}

// D3 between nodes: rooms of users and sessions have the same names on all nodes.
func TestD3_ReachAUserOnAnotherNode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{})
		ann, bob := p.sites[0].loggedIn("ann"), p.sites[0].loggedIn("bob")
		annThere, bobThere := p.connect(n, ann, 1), p.connect(n, bob, 1)
		here := p.connect(n, ann, 0)
		ann.post("/notify/ann") // at site 0
		for _, c := range []*nodetest.Client{here, annThere} {
			equal(t, "event on ann's socket", c.MustNext("notified").String(), `["ann"]`)
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
		if got := bobThere.Waiting("notified") + bobThere.Waiting(nodetest.Disconnected) + annThere.Waiting("session"); got != 0 {
			t.Errorf("other sockets got %d events, want 0", got)
		}
	})
}

// D4: users of a dead node are reported offline by one of the other nodes, once, unless
// they are on another node too.
func TestD4_NodeThatDied(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1, TTL: time.Second}})
		ann := p.sites[0].loggedIn("ann")
		p.connect(n, ann, 0)
		p.calls.expect(t, "ann true")
		// The records of a node that crashed.
		store := p.sites[0].sessions.Backend()
		index := store.(storage.Index)
		const dead = "dead.1"
		err := index.AddMember(t.Context(), p.key("nodes"), dead, 0)
		for _, user := range []string{"ann", "eve"} {
			err = errors.Join(err, index.AddMember(t.Context(), p.key("of:"+dead), p.pseudonym(user), 0))
		}
		err = errors.Join(err, index.AddMember(t.Context(), p.key("of:"+dead), "left behind", 0))
		nodes := append([]string{dead}, p.nodesOf("ann")...)
		text, _ := json.Marshal(map[string]any{"user": "ann", "nodes": nodes})
		err = errors.Join(err, store.Set(p.key("u:"+p.pseudonym("ann")), text, 0),
			store.Set(p.key("u:"+p.pseudonym("eve")), []byte(`{"user":"eve","nodes":["dead.1"]}`), 0))
		if err != nil {
			t.Fatal(err)
		}
		for line := range p.calls {
			if line == "eve false" {
				break
			}
			if !strings.HasPrefix(line, "ann") { // on a slow machine a live node may seem dead
				t.Fatalf("got call %q, want only ann's and eve's", line)
			}
		}
		waitFor(t, "the dead node to be removed", func() bool {
			for node, err := range index.Members(t.Context(), p.key("nodes")) {
				if err != nil || node == dead {
					return false
				}
			}
			return true
		})
		waitFor(t, "ann to be on a live node", func() bool { on := p.nodesOf("ann"); return len(on) == 1 && on[0] != dead })
		if got := p.nodesOf("eve"); got != nil {
			t.Errorf("eve is on nodes %q, want none", got)
		}
		for {
			select {
			case line := <-p.calls:
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
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: -1, TTL: time.Second}})
		ann := p.sites[0].loggedIn("ann")
		p.connect(n, ann, 0)
		p.calls.expect(t, "ann true")
		was := p.nodesOf("ann")[0]
		if err := p.sites[0].sessions.Backend().Delete(p.key("n:" + was)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "ann to be on the node's new name only", func() bool { on := p.nodesOf("ann"); return len(on) == 1 && on[0] != was })
		last := "ann true"
		waitFor(t, "ann to be reported online last", func() bool {
			select {
			case last = <-p.calls:
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
	onEachStorage(t, func(t *testing.T, url string) {
		p := newSitePair(t, url, socketbridge.Config{Presence: socketbridge.Presence{Grace: 500 * time.Millisecond, TTL: 3 * time.Second}})
		ann, bob := p.sites[0].loggedIn("ann"), p.sites[0].loggedIn("bob")
		p.connect(n, ann, 0)
		p.calls.expect(t, "ann true")
		p.connect(n, bob, 0)
		p.calls.expect(t, "bob true")
		p.connect(n, bob, 1)
		p.waitForNodes("bob", 2)
		shutdown(t, p.sites[0].io)
		p.calls.expect(t, "ann false")
		p.waitForNodes("bob", 1)
		p.expectNoCalls()
	})
}
