package socketbridge_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// oldSite is an app with Fiber's own session middleware. POST and GET /login/:user log in.
func oldSite(storage fiber.Storage) *fiber.App {
	store := session.New(session.Config{Storage: storage})
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.All("/login/:user", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("user", strings.Clone(c.Params("user")))
		return sess.Save()
	})
	return app
}

// oldCookieOf logs a user in at an app with Fiber's own session middleware, over the storage of
// s, and returns the Cookie header.
func oldCookieOf(t testing.TB, s *site, user string) string {
	t.Helper()
	res, err := oldSite(s.sessions.Backend()).Test(httptest.NewRequest("GET", "/login/"+user, nil), -1)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if len(res.Cookies()) != 1 || res.Cookies()[0].Name != "session_id" {
		t.Fatalf("the old app set the cookies %v, want session_id", res.Cookies())
	}
	return "session_id=" + res.Cookies()[0].Value
}

// takeoverSite is the site after the change.
func takeoverSite(t testing.TB, url string) *site {
	s := newSite(t, options{storage: url, sessions: fibersession.Config{UserKey: "user"}}).users()
	s.io.Of("/members").RequireSession().On("whoami", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
	s.app.Post("/destroy", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	return s
}

// The first request with an old cookie is a socket's handshake. The socket has the login, also
// of a client that keeps no cookies, and a logout reaches it.
func TestF3_SocketFirst(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := takeoverSite(t, url).serve()
		for way, o := range clientOptions() {
			for _, keepsCookies := range []bool{false, true} {
				if keepsCookies && o.Transports[0] == "websocket" {
					continue // in Node, its jar then replaces the cookie that it was given
				}
				o.Cookie = oldCookieOf(t, s, "ann")
				o.Extra = map[string]any{"withCredentials": keepsCookies}
				c := n.Connect(t, s.url+"/members", o)
				equal(t, way, call(t, c, "whoami"), `"ann"`)
				equal(t, way+", second call", call(t, c, "whoami"), `"ann"`)

				late := s.agent() // a request that was under way
				late.setCookie("session_id", strings.TrimPrefix(o.Cookie, "session_id="))
				equal(t, way+", user over HTTP", late.get("/who"), "ann")
				late.post("/destroy")
				c.MustNext(nodetest.Disconnected)
				equal(t, way+", user after the logout", s.agentWith("session_id", strings.TrimPrefix(o.Cookie, "session_id=")).get("/who"), "")
				c.Close()
			}
		}
	})
}

// The response to a handshake carries the new cookie and removes the old one, also the response
// that switches to WebSocket.
func TestF3_HandshakeSetsTheCookie(t *testing.T) {
	t.Parallel()
	s := takeoverSite(t, "memory://").serve()
	for name, header := range map[string]http.Header{
		"polling": {},
		"websocket": {
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		},
	} {
		a := s.agent()
		a.setCookie("session_id", strings.TrimPrefix(oldCookieOf(t, s, "ann"), "session_id="))
		req, err := http.NewRequest("GET", s.url+"/socket.io/?EIO=4&transport="+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		res, err := a.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := a.cookie(); !strings.HasPrefix(got, "session=") || strings.Contains(got, "session_id") {
			t.Errorf("%s: status %d, the browser has the cookies %q, want session alone", name, res.StatusCode, got)
		}
		equal(t, name, a.get("/who"), "ann")
	}
}

// A polling connection of a taken-over session goes on with the new cookie, and with the old one
// of a client that keeps none. Another old cookie, or none, is not its owner.
func TestF3_PollingAfterTheTakeover(t *testing.T) {
	t.Parallel()
	s := takeoverSite(t, "memory://").serve()
	ann, bob := oldCookieOf(t, s, "ann"), oldCookieOf(t, s, "bob")
	a := s.agent()
	a.setCookie("session_id", strings.TrimPrefix(ann, "session_id="))
	equal(t, "user over HTTP", a.get("/who"), "ann")
	now := a.cookie()
	a = s.agent()
	a.setCookie("session_id", strings.TrimPrefix(ann, "session_id="))
	p := a.poller() // with the old cookie in each request
	for _, tt := range []struct {
		name, cookie string
		want         int
	}{
		{"the old cookie", ann, 200},
		{"the new cookie", now, 200},
		{"both", ann + "; " + now, 200},
		{"no cookie", "", 400},
		{"another login's old cookie", bob, 400},
		{"an unknown old cookie", "session_id=0b2c0f9e-6c35-4bd5-8a86-3f1f3a0c9d11", 400},
	} {
		if got := p.send(tt.cookie, `42["whoami"]`); got != tt.want {
			t.Errorf("%s: got status %d, want %d", tt.name, got, tt.want)
		}
	}
	// A new ID ends what the old cookie is worth.
	b := s.agentWith("session", strings.TrimPrefix(now, "session="))
	b.post("/login/ann")
	if got := p.send(ann, `42["whoami"]`); got != 400 {
		t.Errorf("the old cookie after a login: got status %d, want 400", got)
	}
}

// Chromium got its cookie from Fiber's own middleware. At the new site its first requests are
// several at once, among them a socket over WebSocket alone. All have the login, and Chromium
// keeps it.
func TestF3_InTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := takeoverSite(t, "memory://")
	s.app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	s.app.Get("/", func(c *fiber.Ctx) error { // uses no session
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	s.serve()
	before := oldSite(s.sessions.Backend())
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- before.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		if err := before.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	browser := n.Browser(t)
	for _, tt := range []struct {
		name    string
		fetches int
		first   []string
	}{
		{"websocket alone", 0, []string{"websocket"}},
		{"polling alone", 0, []string{"polling"}},
		{"all at once", 5, []string{"websocket"}},
	} {
		visitor := browser.NewContext(nil)
		page := visitor.Open("http://" + ln.Addr().String() + "/login/ann")
		page.Goto(s.url) // cookies do not depend on the port
		var got struct {
			Socket string
			Pages  []string
			After  string
			Cookie string
		}
		page.Eval(`
			const socket = io({ transports: arg.first, forceNew: true });
			const connected = new Promise((ok, no) => { socket.once("connect", ok); socket.once("connect_error", no); });
			const pages = [];
			for (let i = 0; i < arg.fetches; i++) pages.push(fetch("/who").then((r) => r.text()));
			await connected;
			const user = await socket.emitWithAck("whoami");
			const all = await Promise.all(pages);
			socket.disconnect();
			return { socket: user, pages: all, after: await (await fetch("/who")).text(), cookie: document.cookie };`,
			map[string]any{"first": tt.first, "fetches": tt.fetches}, &got)
		equal(t, tt.name+": user on the socket", got.Socket, "ann")
		for _, user := range got.Pages {
			equal(t, tt.name+": user of a parallel request", user, "ann")
		}
		equal(t, tt.name+": user later", got.After, "ann")
		equal(t, tt.name+": cookies that scripts see", got.Cookie, "")
		var names []string
		for _, c := range visitor.Cookies(s.url) {
			names = append(names, c.Name)
		}
		equal(t, tt.name+": cookies", strings.Join(names, " "), "session")
		visitor.Close()
	}
}
