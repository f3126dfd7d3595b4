package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// newSites creates sites with one storage, as the nodes of an app have.
func newSites(t testing.TB, count int, url string, o options, mount func(s *site)) []*site {
	t.Helper()
	o.sessions.Timeouts.Storage = 20 * time.Second // 24 writers of one session on a slow machine
	if url == "memory://" {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		o.sessions.Storage = st
	} else {
		o.storage = url // each site opens its own connections
	}
	all := make([]*site, count)
	for i := range all {
		all[i] = newSite(t, o)
		mount(all[i])
		all[i].serve()
	}
	return all
}

// waitForTracking waits until the node has subscribed to changes of all its sessions.
func (s *site) waitForTracking() {
	s.t.Helper()
	waitFor(s.t, "the node to track its sessions", func() bool {
		st := s.sessions.Stats()
		return st.Tracked > 0 && st.Rereads >= uint64(st.Tracked)
	})
}

// onTwoNodes runs a test with two nodes on each storage, strict and tracked.
func onTwoNodes(t *testing.T, o options, mount func(s *site), test func(t *testing.T, n *nodetest.Node, a, b *site)) {
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, f := range map[string]fibersession.Freshness{"strict": fibersession.Strict, "tracked": fibersession.Tracked} {
			t.Run(name, func(t *testing.T) {
				o := o
				o.bridge.Freshness = f
				s := newSites(t, 2, url, o, mount)
				test(t, n, s[0], s[1])
			})
		}
	})
}

// N2, B3 between nodes: a change stored by a request on one node reaches the sockets on
// another node at once, and a login gives them their user.
func TestN2_ChangesReachSocketsOnOtherNodes(t *testing.T) {
	t.Parallel()
	o := options{sessions: fibersession.Config{UserKey: "user"}}
	onTwoNodes(t, o, func(s *site) {
		s.users().counter()
		s.io.OnSessionChange(func(sock *socketbridge.Socket, keys []string) {
			slices.Sort(keys)
			_ = sock.Emit("changed", keys, sock.User(), sock.Session().Get("count"))
		})
	}, func(t *testing.T, n *nodetest.Node, a, b *site) {
		browser := a.agent()
		browser.post("/incr")
		tab := browser.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
		a.waitForTracking()
		there := browser.onSite(b)
		equal(t, "count on the other node", there.post("/incr"), "2")
		equal(t, "pushed change", tab.MustNext("changed").String(), `[["count"],"",2]`)
		equal(t, "count over the socket", call(t, tab, "count"), "2")
		there.post("/login/ann")
		equal(t, "pushed login", tab.MustNext("changed").String(), `[["user"],"ann",2]`)
		equal(t, "user after login", call(t, tab, "whoami"), `"ann"`)
		equal(t, "count written by the socket", call(t, tab, "incr"), "3")
		equal(t, "count read on the other node", there.get("/count"), "3")
		there.post("/logout")
		for {
			if got := tab.MustNext("changed").String(); got == `[["user"],"",3]` {
				break
			}
		}
		equal(t, "user after logout", call(t, tab, "whoami"), `""`)
	})
}

// N3, B4 between nodes: a logout, and ending a user's sessions, disconnects the sockets on
// other nodes. None of their events is handled afterwards.
func TestN3_LogoutReachesSocketsOnOtherNodes(t *testing.T) {
	t.Parallel()
	o := options{sessions: fibersession.Config{UserKey: "user"}}
	mount := func(s *site) {
		s.users().counter()
		s.app.Post("/destroy", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	}
	onTwoNodes(t, o, mount, func(t *testing.T, n *nodetest.Node, a, b *site) {
		for name, end := range map[string]func(browser *agent){
			"destroy":   func(browser *agent) { browser.onSite(b).post("/destroy") },
			"everybody": func(browser *agent) { browser.onSite(b).post("/end-all/everybody") },
			"others":    func(*agent) { b.loggedIn("others").post("/end-others") },
			"device": func(browser *agent) {
				there := browser.onSite(b)
				var devices []fibersession.Device
				if err := json.Unmarshal([]byte(there.get("/devices")), &devices); err != nil || len(devices) != 1 {
					t.Fatalf("got devices %v and error %v, want 1 device", devices, err)
				}
				there.post("/end/" + devices[0].ID)
			},
		} {
			browser := a.loggedIn(name)
			tabs := []*nodetest.Client{
				browser.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}}),
				browser.connect(n, "/other", nodetest.Options{Transports: []string{"websocket"}}),
			}
			a.waitForTracking()
			end(browser)
			for i, tab := range tabs {
				if got := tab.MustNext("disconnect").String(); got != `["io server disconnect"]` {
					t.Errorf("%s: tab %d: disconnect reason %s, want io server disconnect", name, i, got)
				}
			}
		}
		waitFor(t, "no session to be tracked", func() bool { return a.sessions.Stats().Tracked == 0 })
	})
}

// N5 between nodes: sockets on one node follow a new ID that another node gave.
func TestN5_NewIDsMoveSocketsOnOtherNodes(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, options{}, func(s *site) {
		s.counter()
		s.app.Post("/regenerate", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	}, func(t *testing.T, n *nodetest.Node, a, b *site) {
		browser := a.agent()
		browser.post("/incr")
		tab := browser.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
		a.waitForTracking()
		there, old := browser.onSite(b), browser.cookie()
		for i := 2; i <= 8; i += 2 {
			there.post("/regenerate")
			equal(t, "count over the socket", call(t, tab, "incr"), fmt.Sprint(i))
			equal(t, "count on the other node", there.post("/incr"), fmt.Sprint(i+1))
		}
		if old == browser.cookie() {
			t.Error("the cookie did not change with the session ID")
		}
	})
}

// N1 between nodes: requests and sockets on 3 nodes update one number and many keys.
func TestN1_NoLostUpdateBetweenNodes(t *testing.T) {
	t.Parallel()
	const nodes, each, steps = 3, 4, 50
	add := func(tx *fibersession.Tx) error {
		tx.Set("count", fibersession.Value[int](tx, "count")+1)
		return nil
	}
	n := nodetest.Start(t)
	sites := newSites(t, nodes, redistest.Start(t).URL(), options{bridge: socketbridge.Config{Freshness: fibersession.Tracked}}, func(s *site) {
		s.app.Get("/", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("count", 0); return nil })
		s.app.Post("/add", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Update(add) })
		s.app.Get("/sum", func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			return c.SendString(fmt.Sprint(sess.Get("count"), " ", len(sess.Keys())-1))
		})
		s.io.On("add", func(p *socketbridge.Packet) error {
			var key string
			if err := p.Bind(&key); err != nil {
				return err
			}
			p.Session().Set(key, true) // saved with the rest, merged
			if err := p.Session().Update(p.Context(), add); err != nil {
				return err
			}
			return p.Ack(true)
		})
	})
	browser := sites[0].agent()
	browser.get("/")
	var wg sync.WaitGroup
	for i, s := range sites {
		here := browser.onSite(s)
		for j := range each {
			tab := here.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			wg.Go(func() { // waited for below
				for range steps {
					if body, status, err := here.try("POST", "/add"); err != nil || status != 200 {
						t.Errorf("POST /add: status %d, body %s, error %v", status, body, err)
						return
					}
				}
			})
			wg.Go(func() {
				for k := range steps {
					if answer, err := tab.Call(t.Context(), "add", fmt.Sprint(i, "/", j, "/", k%5)); err != nil || answer.String() != "[true]" {
						t.Errorf("add: got answer %s and error %v, want [true]", answer, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, s := range sites {
		equal(t, "sum and keys", browser.onSite(s).get("/sum"), fmt.Sprint(2*nodes*each*steps, " ", nodes*each*5))
	}
}

// A node loads a session once for all events that wait for it, and not at all in tracked
// mode. Reload(Strict) always loads.
func TestReload_HowOftenTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		f     fibersession.Freshness
		event string
		loads uint64
	}{
		"strict":                        {fibersession.Strict, "count", 10},
		"tracked":                       {fibersession.Tracked, "count", 0},
		"tracked, but strict for this":  {fibersession.Tracked, "careful", 10},
		"strict, and tracked for this":  {fibersession.Strict, "relaxed", 10},
		"strict, and once more by hand": {fibersession.Strict, "again", 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, options{bridge: socketbridge.Config{Freshness: tt.f}}).counter()
			count := func(p *socketbridge.Packet) error { return p.Ack(fibersession.Value[int](p.Session(), "count")) }
			s.io.On("careful", socketbridge.Reload(fibersession.Strict), count)
			s.io.On("relaxed", socketbridge.Reload(fibersession.Tracked), count)
			s.io.On("again", socketbridge.Reload(), count)
			s.serve()
			a := s.agent()
			a.post("/incr")
			tab := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			s.waitForTracking()
			before := s.sessions.Stats()
			for range 10 {
				equal(t, "count", call(t, tab, tt.event), "1")
			}
			after := s.sessions.Stats()
			if loads := after.Loads - before.Loads; loads != tt.loads {
				t.Errorf("10 events caused %d loads, want %d", loads, tt.loads)
			}
		})
	}
}
