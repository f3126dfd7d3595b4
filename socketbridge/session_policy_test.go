package socketbridge_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N5: the session gets a new ID while its sockets are open. The sockets stay and follow it, and
// the old ID becomes invalid. A polling connection goes on with the cookie of its handshake,
// because the browser gets the new one later, and with the new cookie.
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
		if status := poll.send(old, `420["name"]`); status != 200 {
			t.Errorf("a request with the cookie of the handshake got status %d, want 200", status)
		}
		equal(t, "poll with the cookie of the handshake", poll.receive(old), `430["bob"]`)
		if status := poll.send(a.cookie(), `420["name"]`); status != 200 {
			t.Errorf("a request with the new cookie got status %d, want 200", status)
		}
		equal(t, "poll with the new cookie", poll.receive(a.cookie()), `430["bob"]`)
		attacker := s.agent()
		name, id, _ := strings.Cut(old, "=")
		attacker.setCookie(name, id)
		equal(t, "name with the old ID", attacker.get("/name"), "<nil>")
		later := a.poller() // its handshake had the new cookie
		if status := later.send(old, `420["name"]`); status != 400 {
			t.Errorf("a request of a later connection with the old cookie got status %d, want 400", status)
		}
		a.post("/logout")
		if status := poll.send(old, `420["name"]`); status != 400 {
			t.Errorf("a request with the cookie of the handshake after the logout got status %d, want 400", status)
		}
	})
}

// N5: a visitor without a session connects by polling, and logs in over the socket. Polls that
// the browser sends before it knows the new cookie still carry that of the handshake's response.
func TestN5_LoginOfANewVisitorByPolling(t *testing.T) {
	t.Parallel()
	s := newSite(t, withUsers(""))
	s.io.On("login", func(p *socketbridge.Packet) error {
		return errors.Join(p.Session().Login(p.Context(), "ann"), p.Ack(true))
	})
	s.serve()
	a, other := s.agent(), s.agent()
	poll := a.poller()
	first := a.cookie()
	if first == "" {
		t.Fatal("the handshake set no cookie")
	}
	if status := poll.send(first, `420["login"]`); status != 200 {
		t.Fatalf("the login got status %d", status)
	}
	equal(t, "poll with the cookie of the handshake's response", poll.receive(first), "430[true]")
	other.poller()
	if status := poll.send(other.cookie(), `420["login"]`); status != 400 {
		t.Errorf("a request with the cookie of another new visitor got status %d, want 400", status)
	}
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
