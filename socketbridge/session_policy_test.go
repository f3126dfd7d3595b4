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

// sessionRoutes adds routes and events that begin, change and end a site's session.
func (s *site) sessionRoutes() *site {
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

// B4: POST /logout, or an event handler, ends the session. All of its sockets are
// disconnected for good, on any transport. Sockets of other sessions stay.
func TestB4_LogoutDisconnectsEverySocket(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).sessionRoutes()
		s.io.On("logout", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
		s.serve()
		for name, logout := range map[string]func(a *agent, tab *nodetest.Client){
			"over HTTP":   func(a *agent, _ *nodetest.Client) { a.post("/logout") },
			"by a socket": func(_ *agent, tab *nodetest.Client) { tab.Emit("logout") },
		} {
			t.Run(name, func(t *testing.T) {
				a, b := s.member(), s.member()
				o := byWebSocket
				o.Reconnect = true // it must not reconnect all the same
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
						t.Errorf("tab %d: disconnect reason %s, want io server disconnect", i, reason)
					}
				}
				if name == "over HTTP" {
					equal(t, "name over HTTP after logout", a.get("/name"), "<nil>")
				}
				equal(t, "name in another session", call(t, stranger, "name"), `"ann"`)
				if tabs[0].Waiting(nodetest.ReconnectAttempt)+tabs[0].Waiting(nodetest.Connected) != 0 {
					t.Error("a client tried to reconnect after logout")
				}
				stranger.Close()
			})
		}
	})
}

// B8: an expired session is noticed while its client sends no events but heartbeats and
// polls continue. The policy decides whether the client may reconnect.
func TestB8_ExpiryIsNoticedWithoutTraffic(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	engine := engineio.ConfigDefault
	engine.Timeouts.Close = time.Second
	engine.PingInterval = 50 * time.Millisecond // far shorter than the session's remaining lifetime
	onEachStorage(t, func(t *testing.T, url string) {
		for _, tt := range []struct {
			name   string
			policy socketbridge.Policy
			reason string
			back   bool
		}{
			{"by default", nil, "io server disconnect", false},
			{"disconnect", socketbridge.Always(socketbridge.ActionDisconnect), "io server disconnect", false},
			{"reconnect", socketbridge.Always(socketbridge.ActionReconnect), "transport close", true},
			{"stay is not allowed", socketbridge.Always(socketbridge.ActionStay), "io server disconnect", false},
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
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Engine: engine, OnExpiry: tt.policy}}).sessionRoutes()
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
					equal(t, "disconnect reason on the client", c.MustNext(nodetest.Disconnected).String(), `["`+tt.reason+`"]`)
					if !tt.back {
						happened.expect(t, "server namespace disconnect")
						if c.State().Connected || c.Waiting(nodetest.ReconnectAttempt) != 0 {
							t.Error("the client tried to reconnect, want it to stay disconnected")
						}
						continue
					}
					happened.expect(t, "transport close")
					c.MustNext(nodetest.Connected)
					equal(t, "name after the reconnect", call(t, c, "name"), "null")
					c.Close()
					happened.expect(t, "client namespace disconnect")
				}
			})
		}
	})
}

// C1: the session is loaded at connect, saved when handlers return, and saved once more
// at disconnect.
func TestC1_PerConnectionMode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		base, err := storage.Open(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = base.Close() })
		elsewhere := fibersession.New(fibersession.Config{Storage: base, Logger: silent}) // another node
		t.Cleanup(func() { _ = elsewhere.Close() })
		s := newSite(t, options{sessions: fibersession.Config{Storage: base, Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionPerConnection}}).sessionRoutes()
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
		s.waitForTracking() // the session is loaded once more when the node starts to track it
		before := s.sessions.Stats().Loads
		equal(t, "name at connect", call(t, c, "name"), `"ann"`)
		equal(t, "name in a later event", call(t, c, "name"), `"ann"`)
		if n := s.sessions.Stats().Loads - before; n != 0 {
			t.Errorf("two events caused %d loads, want 0", n)
		}
		call(t, c, "rename", "bob")
		if got := stored("name"); got != "bob" {
			t.Errorf("got stored name %v, want bob: a crash now would lose the change", got)
		}
		equal(t, "name over HTTP", a.get("/name"), "bob")
		sock := <-socks
		sock.Session().Set("late", true) // outside of a handler
		if got := stored("late"); got != nil {
			t.Errorf("late is stored as %v before the disconnect, want nothing", got)
		}
		c.Close()
		select {
		case <-sock.Context().Done():
		case <-time.After(20 * time.Second):
			t.Fatal("the socket did not end within 20 s")
		}
		if stored("late") != true || stored("end") != true {
			t.Errorf("after the disconnect late is stored as %v and end as %v, want true for both", stored("late"), stored("end"))
		}
	})
}

// C3: the session is already loaded when a connection handler gets the socket.
func TestC3_ConnectionHandlerHasTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).sessionRoutes()
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
					equal(t, "hello event", c.MustNext("hello event").String(), fmt.Sprintf(`["ann",%d]`, i))
					call(t, c, "name") // the handler's changes are saved before any event is handled
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
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).sessionRoutes()
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
		equal(t, "answer of the namespace's handler", c.MustCall("message", "hi").String(), `["ann","hi",1]`)
		equal(t, "answer of the socket's handler", c.MustCall("own", "there").String(), `["ann","there",2]`)
	})
}

// A namespace can override the server's session mode.
func TestModePerNamespace(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, sessions: fibersession.Config{Tracking: fibersession.Tracking{Recheck: -1}}, bridge: socketbridge.Config{Mode: socketbridge.SessionManual}}).sessionRoutes()
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
			s.waitForTracking()
			before := s.sessions.Stats().Loads
			equal(t, "value in the event", call(t, tt.at, "look"), tt.sees)
			if n := s.sessions.Stats().Loads - before; n != tt.loads {
				t.Errorf("%s: the event caused %d loads, want %d", tt.saved, n, tt.loads)
			}
			equal(t, "saved value", a.get("/by"), tt.saved)
		}
	})
}

// N5: the session gets a new ID while its sockets are open. The sockets stay and follow
// it, the old ID becomes invalid, and polling requests need the new cookie.
func TestN5_SocketsFollowANewID(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url}).sessionRoutes().serve()
		a := s.member()
		c := a.connect(n, "/", byWebSocket)
		old, poll := a.cookie(), a.poller()
		a.post("/renew")
		if a.cookie() == old {
			t.Fatal("the browser still has the old cookie after the regenerate")
		}
		equal(t, "name over the socket", call(t, c, "name"), `"ann"`)
		call(t, c, "rename", "bob")
		equal(t, "name over HTTP with the new ID", a.get("/name"), "bob")
		if status := poll.send(old, "420[\"name\"]"); status != 403 && status != 400 {
			t.Errorf("a request with the old cookie got status %d, want 400 or 403", status)
		}
		if status := poll.send(a.cookie(), `420["name"]`); status != 200 {
			t.Errorf("a request with the new cookie got status %d, want 200", status)
		}
		equal(t, "poll with the new cookie", poll.receive(a.cookie()), `430["bob"]`)
		thief := s.agent()
		name, id, _ := strings.Cut(old, "=")
		thief.setCookie(name, id)
		equal(t, "name with the old ID", thief.get("/name"), "<nil>")
	})
}

// N5 with a policy: the sockets are disconnected, or reconnect with the new cookie. A
// connection opened with the old ID cannot be used to get in.
func TestN5_PolicyOnNewID(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url, bridge: socketbridge.Config{OnRegenerate: func(s *socketbridge.Socket) socketbridge.Action {
			switch s.Namespace().Name() {
			case "/stay":
				return socketbridge.ActionStay
			case "/reconnect":
				return socketbridge.ActionReconnect
			}
			return socketbridge.ActionDisconnect
		}}}).sessionRoutes()
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
			equal(t, "reason in /", gone.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
			equal(t, "reason in /reconnect", back.MustNext(nodetest.Disconnected).String(), `["transport close"]`)
			equal(t, "name in /stay", call(t, stays, "name"), `"ann"`)
			a.post("/renew")
			equal(t, "name in /stay after a second regenerate", call(t, stays, "name"), `"ann"`)
			equal(t, "name with the new cookie", call(t, a.connect(n, "/", byWebSocket), "name"), `"ann"`)
		})
		t.Run("a socket that regenerates", func(t *testing.T) {
			c := s.member().connect(n, "/", byWebSocket)
			c.Emit("renew")
			equal(t, "disconnect reason", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
		})
		t.Run("a connection from before the regenerate", func(t *testing.T) {
			a := s.member()
			c := a.connect(n, "/none", byWebSocket)
			a.post("/renew")
			expectRefusal(t, c.DialOf("/", nil), "session_renewed")
			equal(t, "name in /stay", call(t, c.Of("/stay", nil), "name"), `"ann"`)
			c.DialOf("/reconnect", nil)
			equal(t, "reason in /reconnect", c.MustNext(nodetest.Disconnected).String(), `["transport close"]`)
		})
	})
}

// N12: a request or event that started before the session ended cannot bring it back.
func TestN12_LogoutSticks(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		for name, mode := range map[string]socketbridge.SessionMode{
			"per packet": socketbridge.SessionPerPacket, "per connection": socketbridge.SessionPerConnection, "manual": socketbridge.SessionManual,
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, options{storage: url, bridge: socketbridge.Config{Mode: mode}}).sessionRoutes()
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
						happened.add("%s: session gone: %v", p.Event(), errors.Is(err, fibersession.ErrSessionGone))
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
					thief.setCookie(name, id)
					equal(t, "name with the old cookie", thief.get("/name"), "<nil>")
				}

				a := s.member() // a slow packet, and a logout over HTTP
				cookie := a.cookie()
				a.connect(n, "/", byWebSocket).Emit("slow")
				<-begun
				a.post("/logout")
				hold <- struct{}{}
				happened.expect(t, "slow: session gone: true")
				equalGone(a, cookie)

				b := s.member() // a slow request, and a logout over a socket
				cookie = b.cookie()
				c := b.connect(n, "/", byWebSocket)
				status := make(chan int, 1)
				go func() { // the test receives its status below
					_, code, _ := b.try("POST", "/slow")
					status <- code
				}()
				<-begun
				c.Emit("logout")
				c.MustNext(nodetest.Disconnected)
				hold <- struct{}{}
				if code := <-status; code != fiber.StatusUnauthorized {
					t.Errorf("the slow request got status %d, want 401", code)
				}
				equalGone(b, cookie)
			})
		}
	})
}

// poller speaks the polling transport by hand, so that a test can choose the cookie of
// every request.
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
		a.t.Fatalf("CONNECT got status %d, want 200", status)
	}
	if got := p.receive(a.cookie()); !strings.HasPrefix(got, "40{") {
		a.t.Fatalf("CONNECT was answered with %q, want 40{...}", got)
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

// N5 and B4 in a browser that polls: the next poll carries the new cookie, and a logout
// in the page disconnects the socket.
func TestN5_InTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, options{}).sessionRoutes()
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
	waitFor(t, "a pending poll", func() bool { return s.io.Stats().Engine.Polls == 1 }) // so that no poll with the old cookie is still on its way
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
		t.Errorf("got %+v, want the same socket, names ann and bob, and io server disconnect", got)
	}
	if cookies := browser.Cookies(s.url); len(cookies) != 0 && cookies[0].Value == before {
		t.Error("the browser still has the first cookie after logout")
	}
}
