package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

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
			got := tab.MustNext("changed").String()
			t.Log("pushed after the logout:", got)
			if strings.HasSuffix(got, `"user"],"",3]`) { // the socket's own change of count can be in the same call
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
		tx.Set("count", valueOf[int](tx, "count")+1)
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
