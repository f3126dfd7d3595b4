package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/storage"
)

// The rows that are about a session's life under open sockets.

// life adds what the rows need to a site's root namespace.
func (s *site) life() *site {
	s.app.Post("/begin", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("name", "ann"); return nil })
	s.app.Get("/name", func(c *fiber.Ctx) error {
		return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("name")))
	})
	s.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	s.app.Post("/renew", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	s.app.Post("/short", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).SetExpiry(300 * time.Millisecond)
		return nil
	})
	for _, ns := range []*socketbridge.Namespace{s.io.Of("/"), s.io.Of("/other")} {
		ns.On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
		ns.On("rename", func(p *socketbridge.Packet) error {
			var name string
			if err := p.Bind(&name); err != nil {
				return err
			}
			p.Session().Set("name", name)
			return p.Ack(true)
		})
	}
	return s
}

var (
	byWebSocket = nodetest.Options{Transports: []string{"websocket"}}
	byPolling   = nodetest.Options{Transports: []string{"polling"}}
)

// B4: POST /logout, or a socket's own handler, ends the session, and every socket of
// it is disconnected for good, whatever carries it; those of others stay.
func TestB4_LogoutDisconnectsEverySocket(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).life()
		s.io.On("logout", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
		s.serve()
		for name, logout := range map[string]func(a *agent, tab *nodetest.Client){
			"over HTTP":   func(a *agent, _ *nodetest.Client) { a.post("/logout") },
			"by a socket": func(_ *agent, tab *nodetest.Client) { tab.Emit("logout") },
		} {
			t.Run(name, func(t *testing.T) {
				a, b := s.member(), s.member()
				o := byWebSocket
				o.Reconnect = true // it must not
				tabs := []*nodetest.Client{
					a.connect(n, "/", o), a.connect(n, "/", byPolling), a.connect(n, "/", nodetest.Options{}),
					a.connect(n, "/", nodetest.Options{Version: "4.0"}),
				}
				tabs = append(tabs, tabs[0].Of("/other", nil))
				stranger := b.connect(n, "/", nodetest.Options{})
				logout(a, tabs[0])
				for i, tab := range tabs {
					reason := tab.MustNext(nodetest.Disconnected).String()
					if reason != `["io server disconnect"]` {
						t.Errorf("tab %d: %s", i, reason)
					}
				}
				if name == "over HTTP" {
					equal(t, "the cookie is no more", a.get("/name"), "<nil>")
				}
				equal(t, "a stranger", call(t, stranger, "name"), `"ann"`)
				if tabs[0].Waiting(nodetest.ReconnectAttempt)+tabs[0].Waiting(nodetest.Connected) != 0 {
					t.Error("a client came back by itself")
				}
				stranger.Close()
			})
		}
	})
}

// B8: an expired session is noticed while its client says nothing, and heartbeats and
// polls go on; the policy says whether the client comes back.
func TestB8_ExpiryIsNoticedWithoutTraffic(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	engine := engineio.ConfigDefault
	engine.Timeouts.Close = time.Second
	engine.PingInterval = 50 * time.Millisecond // far shorter than what is left of the session
	stores(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name   string
			policy socketbridge.Policy
			reason string
			back   bool
		}{
			{"by default", nil, "io server disconnect", false},
			{"disconnect", socketbridge.Always(socketbridge.ActionDisconnect), "io server disconnect", false},
			{"reconnect", socketbridge.Always(socketbridge.ActionReconnect), "transport close", true},
			{"stay is no answer", socketbridge.Always(socketbridge.ActionStay), "io server disconnect", false},
			{"a panic", func(*socketbridge.Socket) socketbridge.Action { panic("mine") }, "io server disconnect", false},
			{"a function", func(s *socketbridge.Socket) socketbridge.Action {
				var auth struct{ Back bool }
				_ = s.Auth(&auth)
				if auth.Back {
					return socketbridge.ActionReconnect
				}
				return socketbridge.ActionDisconnect
			}, "transport close", true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Engine: engine, OnExpiry: tt.policy}}).life()
				happened := make(events, 8)
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.OnDisconnect(func(r socketbridge.Reason) { happened.add("%s", r) })
				})
				s.serve()
				for _, o := range []nodetest.Options{byWebSocket, byPolling} {
					a := s.member()
					o.Reconnect, o.Auth = true, map[string]bool{"back": tt.back}
					c := a.connect(n, "/", o)
					a.post("/short")
					equal(t, "the client hears", c.MustNext(nodetest.Disconnected).String(), `["`+tt.reason+`"]`)
					if !tt.back {
						happened.expect(t, "server namespace disconnect")
						if c.State().Connected || c.Waiting(nodetest.ReconnectAttempt) != 0 {
							t.Error("the client came back by itself")
						}
						continue
					}
					happened.expect(t, "transport close")
					c.MustNext(nodetest.Connected)
					equal(t, "with a session of nobody", call(t, c, "name"), "null")
					c.Close()
					happened.expect(t, "client namespace disconnect")
				}
			})
		}
	})
}

// C1: loaded at connect, written through as handlers return, and what is left is
// saved at disconnect.
func TestC1_PerConnectionMode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		base, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = base.Close() })
		elsewhere := fibersession.New(fibersession.Config{Storage: base, Logger: silent}) // another node
		t.Cleanup(func() { _ = elsewhere.Close() })
		s := newSite(t, options{sessions: fibersession.Config{Storage: base, Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionPerConnection}}).life()
		socks := make(chan *socketbridge.Socket, 1)
		s.io.OnConnection(func(sock *socketbridge.Socket) {
			sock.OnDisconnect(func(socketbridge.Reason) { sock.Session().Set("end", true) })
			socks <- sock
		})
		s.serve()
		a := s.member()
		stored := func(key string) any {
			h, err := elsewhere.GetByID(context.Background(), a.sessionID())
			if err != nil {
				t.Fatal(err)
			}
			defer h.Release()
			return h.Get(key)
		}
		c := a.connect(n, "/", nodetest.Options{})
		s.tracked() // the session is read once more, when the node listens for changes
		before := s.sessions.Stats().Loads
		equal(t, "as it was at connect", call(t, c, "name"), `"ann"`)
		equal(t, "and later", call(t, c, "name"), `"ann"`)
		if n := s.sessions.Stats().Loads - before; n != 0 {
			t.Errorf("two events asked the store %d times", n)
		}
		call(t, c, "rename", "bob")
		if got := stored("name"); got != "bob" {
			t.Errorf("a crash now would lose a change: %v is stored", got)
		}
		equal(t, "HTTP sees it", a.get("/name"), "bob")
		sock := <-socks
		sock.Session().Set("late", true) // by something of the app that is no handler
		if got := stored("late"); got != nil {
			t.Errorf("it was saved before the end: %v", got)
		}
		c.Close()
		select {
		case <-sock.Context().Done():
		case <-time.After(20 * time.Second):
			t.Fatal("the socket does not end")
		}
		if stored("late") != true || stored("end") != true {
			t.Errorf("at disconnect was not saved: %v, %v", stored("late"), stored("end"))
		}
	})
}

// C3: a connection handler gets the socket with its session loaded.
func TestC3_ConnectionHandlerHasTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).life()
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.Session().Set("visits", fibersession.Value[int](sock.Session(), "visits")+1)
					if mode == socketbridge.SessionManual {
						_ = sock.Session().Save(sock.Context())
					}
					_ = sock.Emit("hello", sock.Session().Get("name"), sock.Session().Get("visits"))
				})
				s.serve()
				a := s.member()
				for i := 1; i < 3; i++ {
					c := a.connect(n, "/", nodetest.Options{})
					equal(t, "hello", c.MustNext("hello").String(), fmt.Sprintf(`["ann",%d]`, i))
					call(t, c, "name") // what the handler changed is saved before any event
					c.Close()
				}
			})
		}
	})
}

// C4: a message handler gets the message and the session.
func TestC4_MessageHandlerHasTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).life()
		handler := func(p *socketbridge.Packet) error {
			var text string
			if err := p.Bind(&text); err != nil {
				return err
			}
			said := append(fibersession.Value[[]string](p.Session(), "said"), text)
			p.Session().Set("said", said)
			return p.Ack(p.Session().Get("name"), text, len(said))
		}
		s.io.On("message", handler)
		s.io.OnConnection(func(sock *socketbridge.Socket) { sock.On("own", handler) })
		s.serve()
		c := s.member().connect(n, "/", nodetest.Options{})
		equal(t, "of the namespace", c.MustCall("message", "hi").String(), `["ann","hi",1]`)
		equal(t, "of the socket", c.MustCall("own", "there").String(), `["ann","there",2]`)
	})
}

// A namespace may have another mode than the server.
func TestModePerNamespace(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, sessions: fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).life()
		s.io.Of("/connection").SetMode(socketbridge.SessionPerConnection)
		s.io.Of("/packet").SetMode(socketbridge.SessionPerPacket)
		s.io.Of("/none").SetMode(socketbridge.SessionNone).On("look", func(p *socketbridge.Packet) error { return p.Ack(p.Session() == nil) })
		for _, name := range []string{"/", "/connection", "/packet"} {
			s.io.Of(name).On("look", func(p *socketbridge.Packet) error {
				p.Session().Set("by", name)
				return p.Ack(p.Session().Get("name"))
			})
		}
		s.app.Get("/by", func(c *fiber.Ctx) error { return c.SendString(fmt.Sprint(fibersession.FromContext(c).Get("by"))) })
		s.serve()
		a := s.member()
		c := a.connect(n, "/", byWebSocket)
		for _, tt := range []struct {
			at    *nodetest.Client
			sees  string
			loads uint64
			saved string
		}{
			{c, `"ann"`, 0, "<nil>"},
			{c.Of("/none", nil), "true", 0, "<nil>"},
			{c.Of("/connection", nil), `"ann"`, 0, "/connection"},
			{c.Of("/packet", nil), `"ann"`, 1, "/packet"},
		} {
			s.tracked()
			before := s.sessions.Stats().Loads
			equal(t, "the event sees", call(t, tt.at, "look"), tt.sees)
			if n := s.sessions.Stats().Loads - before; n != tt.loads {
				t.Errorf("%s: the event asked the store %d times, want %d", tt.saved, n, tt.loads)
			}
			equal(t, "what was saved", a.get("/by"), tt.saved)
		}
	})
}

// N5: a new ID under open sockets. They follow it, the old one is dead, and polls
// need the new cookie.
func TestN5_SocketsFollowANewID(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).life().serve()
		a := s.member()
		c := a.connect(n, "/", byWebSocket)
		old, poll := a.cookie(), a.poller()
		a.post("/renew")
		if a.cookie() == old {
			t.Fatal("the browser has no new cookie")
		}
		equal(t, "the socket goes on", call(t, c, "name"), `"ann"`)
		call(t, c, "rename", "bob")
		equal(t, "under the new ID", a.get("/name"), "bob")
		if status := poll.send(old, "420[\"name\"]"); status != 403 && status != 400 {
			t.Errorf("a request with the old cookie was answered with %d", status)
		}
		if status := poll.send(a.cookie(), `420["name"]`); status != 200 {
			t.Errorf("a request with the new cookie was answered with %d", status)
		}
		equal(t, "a poll with the new cookie", poll.receive(a.cookie()), `430["bob"]`)
		thief := s.agent()
		name, id, _ := strings.Cut(old, "=")
		thief.plant(name, id)
		equal(t, "the old ID", thief.get("/name"), "<nil>")
	})
}

// N5, as configured: they are disconnected, or come back with the new cookie; nobody
// gets in by a connection that was opened with the old ID.
func TestN5_OrTheyComeAnew(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, bridge: socketbridge.Config{OnRegenerate: func(s *socketbridge.Socket) socketbridge.Action {
			switch s.Namespace().Name() {
			case "/stay":
				return socketbridge.ActionStay
			case "/reconnect":
				return socketbridge.ActionReconnect
			}
			return socketbridge.ActionDisconnect
		}}}).life()
		s.io.Of("/none").SetMode(socketbridge.SessionNone)
		for _, name := range []string{"/stay", "/reconnect"} {
			s.io.Of(name).On("name", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("name")) })
		}
		s.io.On("renew", func(p *socketbridge.Packet) error { return p.Session().Regenerate(p.Context()) })
		s.serve()
		t.Run("open sockets", func(t *testing.T) {
			a := s.member()
			gone, stays, back := a.connect(n, "/", byWebSocket), a.connect(n, "/stay", byWebSocket), a.connect(n, "/reconnect", byWebSocket)
			a.post("/renew")
			equal(t, "disconnected", gone.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
			equal(t, "closed", back.MustNext(nodetest.Disconnected).String(), `["transport close"]`)
			equal(t, "and the one that stays", call(t, stays, "name"), `"ann"`)
			a.post("/renew")
			equal(t, "also the next time", call(t, stays, "name"), `"ann"`)
			equal(t, "with the new cookie", call(t, a.connect(n, "/", byWebSocket), "name"), `"ann"`)
		})
		t.Run("a socket that renews", func(t *testing.T) {
			c := s.member().connect(n, "/", byWebSocket)
			c.Emit("renew")
			equal(t, "it leaves too", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
		})
		t.Run("a connection from before", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/none", byWebSocket)
			a.post("/renew")
			turnedAway(t, c.DialOf("/", nil), "session_renewed")
			equal(t, "where it may stay", call(t, c.Of("/stay", nil), "name"), `"ann"`)
			c.DialOf("/reconnect", nil)
			equal(t, "where it is to come anew", c.MustNext(nodetest.Disconnected).String(), `["transport close"]`)
		})
	})
}

// N12: whoever began before the session ended cannot bring it back.
func TestN12_LogoutSticks(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	stores(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).life()
				begun, hold, happened := make(chan struct{}), make(chan struct{}), make(events, 8)
				s.io.On("slow", func(p *socketbridge.Packet) error {
					begun <- struct{}{}
					<-hold
					p.Session().Set("name", "back")
					if mode == socketbridge.SessionManual {
						return p.Session().Save(context.Background())
					}
					return nil
				})
				s.io.On("logout", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
				s.io.OnConnection(func(sock *socketbridge.Socket) {
					sock.OnError(func(p *socketbridge.Packet, err error) {
						happened.add("%s is gone: %v", p.Event(), errors.Is(err, fibersession.ErrSessionGone))
					})
				})
				s.app.Post("/slow", func(c *fiber.Ctx) error {
					fibersession.FromContext(c).Set("name", "back")
					begun <- struct{}{}
					<-hold
					return nil
				})
				s.serve()
				equalGone := func(a *agent, cookie string) {
					t.Helper()
					thief := s.agent()
					name, id, _ := strings.Cut(cookie, "=")
					thief.plant(name, id)
					equal(t, "the session", thief.get("/name"), "<nil>")
				}

				a := s.member() // a slow packet, and a logout over HTTP
				cookie := a.cookie()
				a.connect(n, "/", byWebSocket).Emit("slow")
				<-begun
				a.post("/logout")
				hold <- struct{}{}
				happened.expect(t, "slow is gone: true")
				equalGone(a, cookie)

				b := s.member() // a slow request, and a logout over a socket
				cookie = b.cookie()
				c := b.connect(n, "/", byWebSocket)
				status := make(chan int, 1)
				go func() { // the test takes its status
					_, code, _ := b.try("POST", "/slow")
					status <- code
				}()
				<-begun
				c.Emit("logout")
				c.MustNext(nodetest.Disconnected)
				hold <- struct{}{}
				if code := <-status; code != fiber.StatusUnauthorized {
					t.Errorf("the slow request was answered with %d", code)
				}
				equalGone(b, cookie)
			})
		}
	})
}

// poller is a client by polling that sends whatever cookie it is told to.
type poller struct {
	a   *agent
	sid string
}

// poller opens a connection with the browser's cookie and joins the root namespace.
func (a *agent) poller() *poller {
	a.t.Helper()
	p := &poller{a: a}
	a.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	_, rest, _ := strings.Cut(p.receive(a.cookie()), `"sid":"`)
	p.sid, _, _ = strings.Cut(rest, `"`)
	if status := p.send(a.cookie(), "40"); status != 200 {
		a.t.Fatalf("CONNECT was answered with %d", status)
	}
	if got := p.receive(a.cookie()); !strings.HasPrefix(got, "40{") {
		a.t.Fatalf("CONNECT was answered with %q", got)
	}
	return p
}

func (p *poller) send(cookie, body string) int {
	p.a.t.Helper()
	_, status := p.do("POST", cookie, body)
	return status
}

func (p *poller) receive(cookie string) string {
	p.a.t.Helper()
	got, _ := p.do("GET", cookie, "")
	return got
}

func (p *poller) do(method, cookie, body string) (string, int) {
	p.a.t.Helper()
	url := p.a.site.url + "/socket.io/?EIO=4&transport=polling"
	if p.sid != "" {
		url += "&sid=" + p.sid
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		p.a.t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	if method == "POST" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.a.t.Fatal(err)
	}
	return string(b), res.StatusCode
}

// N5 and B4 in a browser that polls: the next poll carries the new cookie by itself,
// and a logout in the page ends the socket.
func TestN5_InTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, options{}).life()
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("name", "ann")
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	s.serve()
	browser := n.Browser(t)
	page := browser.Open(s.url)
	before := browser.Cookies(s.url)[0].Value
	var got struct {
		Same   bool
		First  string
		Second string
		Reason string
	}
	page.Eval(`
		window.socket = io({ transports: ["polling"] });
		await new Promise((ok, no) => { socket.once("connect", ok); socket.once("connect_error", no); });
		window.first = await socket.emitWithAck("name");`, nil, nil)
	happens(t, "a poll waits", func() bool { return s.io.Stats().Engine.Polls == 1 }) // not one with the old cookie that is on its way
	page.Eval(`
		const id = socket.id;
		const gone = new Promise((ok) => socket.once("disconnect", ok));
		await fetch("/renew", { method: "POST" });
		await socket.emitWithAck("rename", "bob");
		const second = await socket.emitWithAck("name");
		const same = socket.id === id;
		await fetch("/logout", { method: "POST" });
		return { same, first, second, reason: await gone };`, nil, &got)
	if !got.Same || got.First != "ann" || got.Second != "bob" || got.Reason != "io server disconnect" {
		t.Errorf("%+v", got)
	}
	if cookies := browser.Cookies(s.url); len(cookies) != 0 && cookies[0].Value == before {
		t.Error("the browser still has the first cookie")
	}
}
