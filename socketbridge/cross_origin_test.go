package socketbridge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// servePage serves a page with the official client on another port and returns the port.
// The host name that a browser uses decides the page's origin.
func servePage(t *testing.T, secure *tls.Config) (port string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 10 * time.Second}) // Chromium opens connections that it does not use
	app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	ln := listenTLS(t, secure)
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received at the end of the test
	t.Cleanup(func() {
		if err := app.ShutdownWithTimeout(20 * time.Second); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	_, port, err = net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func listenTLS(t *testing.T, secure *tls.Config) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	return ln
}

// selfSigned returns a self-signed certificate, for browsers that ignore certificate errors.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "*.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
}

// connectResult is the result of a connection from a page of another origin.
type connectResult struct {
	Error     string
	Transport string
	Count     int
}

// connectFromPage connects a page's official client as the guide for other origins says, and calls
// the counter.
func connectFromPage(page *nodetest.Page, url string, transports []string) connectResult {
	var got connectResult
	page.Eval(`
		const socket = io(arg.url, { transports: arg.transports, withCredentials: true, forceNew: true, reconnection: false });
		try {
			await new Promise((ok, no) => { socket.once("connect", ok); socket.once("connect_error", no); });
			if (arg.transports.length == 2 && socket.io.engine.transport.name != "websocket")
				await new Promise((ok) => socket.io.engine.once("upgrade", ok));
			const count = await socket.timeout(15000).emitWithAck("incr");
			return { transport: socket.io.engine.transport.name, count };
		} catch (error) {
			return { error: String(error) };
		} finally {
			socket.disconnect();
		}`, map[string]any{"url": url, "transports": transports}, &got)
	return got
}

// browserTransports are the transports that a page can use, with the one it ends up on.
var browserTransports = []struct {
	transports []string
	want       string
}{
	{[]string{"polling"}, "polling"},
	{[]string{"websocket"}, "websocket"},
	{[]string{"polling", "websocket"}, "websocket"},
}

// TestB9_AnotherOriginInTheBrowser connects pages of another port, which is another origin
// of the same site, and of another site, each listed or not, over each transport.
func TestB9_AnotherOriginInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	port, unlistedPort := servePage(t, nil), servePage(t, nil)
	s := newSite(t, options{bridge: socketbridge.Config{Engine: engineio.Config{
		AllowOrigins:    []string{"http://127.0.0.1:" + port, "http://*.localhost:" + port},
		AllowOriginFunc: func(origin string, _ *fiber.Ctx) bool { return origin == "http://localhost:"+port },
	}}}).counter()
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 10)
		return c.SendString("ok")
	})
	s.serve()
	browser := n.Browser(t)
	browser.Open(s.url) // gives the browser a session with a SameSite=Lax cookie

	count := 10
	for _, tt := range []struct {
		name, origin string
		allowed      bool
		cookie       bool // whether the cookie is sent, as it is the same site
	}{
		{"a port of the same host, listed", "http://127.0.0.1:" + port, true, true},
		{"a port of the same host, not listed", "http://127.0.0.1:" + unlistedPort, false, true},
		{"a site that the wildcard lists", "http://app.localhost:" + port, true, false},
		{"a site that the function allows", "http://localhost:" + port, true, false},
		{"a site with a label too many", "http://a.b.localhost:" + port, false, false},
		{"a site of another port", "http://app.localhost:" + unlistedPort, false, false},
	} {
		page := browser.Open(tt.origin)
		for _, way := range browserTransports {
			name := tt.name + ", " + strings.Join(way.transports, "+")
			got := connectFromPage(page, s.url, way.transports)
			if !tt.allowed {
				if got.Error == "" {
					t.Errorf("%s: got %+v, want the connection refused", name, got)
				}
				continue
			}
			want := 1 // of a new session: no cookie is sent or stored
			if tt.cookie {
				count++
				want = count
			}
			if got.Error != "" || got.Transport != way.want || got.Count != want {
				t.Errorf("%s: got %+v, want count %d over %s", name, got, want, way.want)
			}
		}
		for range page.Waiting("error") { // a request sent after the disconnect may fail
			if text := page.MustNext("error"); tt.allowed && strings.Contains(text, "CORS") {
				t.Errorf("%s: the page reports %s", tt.name, text)
			}
		}
		page.Close()
	}
}

// TestB9_ForeignPagesReachNoHandler checks that every kind of request from a page that is
// not listed is refused, even with the session's cookie and a known connection ID. The
// same requests from a listed page succeed. Two pages try: one of the same site, whose
// requests carry every cookie, and one of another site, whose requests carry the session's
// cookie because it is SameSite=None. (Row 2 of docs/security.md)
func TestB9_ForeignPagesReachNoHandler(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	secure := selfSigned(t)
	port, unlistedPort := servePage(t, secure), servePage(t, secure)
	seen := &attacks{seen: map[string][]attack{}}
	s := newSite(t, options{
		sessions: fibersession.Config{CookieSameSite: "None"},
		bridge:   socketbridge.Config{Engine: engineio.Config{AllowOrigins: []string{"https://127.0.0.1:" + port}}},
		before:   func(app *fiber.App) { app.Use(seen.record) },
	}).counter()
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 10)
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	s.app.Get("/official.js", func(c *fiber.Ctx) error {
		return c.SendFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	})
	ln := listenTLS(t, secure)
	s.url = "https://" + ln.Addr().String()
	go func() { _ = s.app.Listener(ln) }() // the shutdown of the site waits for it

	browser := n.Browser(t).NewContext(map[string]any{"ignoreHTTPSErrors": true})
	victim := browser.Open(s.url)
	var sid string
	victim.Eval(`
		window.socket = io({ transports: ["polling"] });
		await new Promise((ok, no) => { socket.once("connect", ok); socket.once("connect_error", no); });
		await socket.emitWithAck("incr");
		return socket.io.engine.id;`, nil, &sid)
	connections := s.io.Stats().Connections
	var readable string
	victim.Eval(`return document.cookie`, nil, &readable)
	if got := browser.Cookies(s.url); len(got) != 1 || got[0].Name != "__Host-session" || !got[0].HTTPOnly || !got[0].Secure || got[0].SameSite != "None" || readable != "" {
		t.Errorf("got cookies %+v and %q for scripts, want one Secure, HttpOnly, SameSite=None __Host-session and nothing for scripts", got, readable)
	}

	for _, attacker := range []struct {
		origin string
		window string                 // target of forms
		cookie func(name string) bool // reports whether the cookie must be sent, or the attempt shows nothing
	}{
		{"https://127.0.0.1:" + unlistedPort, "frame", func(string) bool { return true }},
		// Chromium blocks third-party cookies here, except in new windows.
		{"https://localhost:" + unlistedPort, "_blank", func(name string) bool { return strings.HasPrefix(name, "form") }},
	} {
		var names []string
		page := browser.Open(attacker.origin)
		page.Eval(attackScript, map[string]string{"site": s.url, "sid": sid, "window": attacker.window, "by": attacker.origin}, &names)
		if len(names) != 15 {
			t.Fatalf("got attempts %q, want 15", names)
		}
		for _, name := range names {
			for _, a := range seen.waitForRequests(t, name+" by "+attacker.origin) {
				switch {
				case a.status != 403:
					t.Errorf("%s by %s: %s got status %d, want 403", name, attacker.origin, a.method, a.status)
				case a.method != "OPTIONS" && !a.cookie && attacker.cookie(name):
					t.Errorf("%s by %s came without the cookie: the test shows nothing", name, attacker.origin)
				}
			}
		}
	}
	if got := s.io.Stats().Connections; got != connections {
		t.Errorf("got %d connections, want %d", got, connections)
	}
	var after struct {
		Connected bool
		Count     int
	}
	victim.Eval(`return { connected: socket.connected, count: await socket.emitWithAck("count") };`, nil, &after)
	if !after.Connected || after.Count != 11 {
		t.Errorf("the victim's socket: got %+v, want it connected with count 11", after)
	}

	listedPage := browser.Open("https://127.0.0.1:" + port)
	for i, way := range browserTransports {
		if got := connectFromPage(listedPage, s.url, way.transports); got.Error != "" || got.Count != 12+i {
			t.Errorf("the listed page over %s: got %+v, want count %d", way.want, got, 12+i)
		}
	}
	victim.Eval(`socket.disconnect()`, nil, nil)
}

// attackScript makes every kind of request that a page can make, named in the query, and
// returns the names.
const attackScript = `
	const names = [], engine = arg.site + "/socket.io/", ws = engine.replace("https", "wss");
	const url = (base, name, query) => { names.push(name); return base + "?" + query + "&attack=" + encodeURIComponent(name + " by " + arg.by); };
	const open = "EIO=4&transport=polling", poll = open + "&sid=" + arg.sid;
	const upgrade = "EIO=4&transport=websocket", take = upgrade + "&sid=" + arg.sid;
	const quiet = (promise) => promise.catch(() => {});
	const body = '42["incr"]';
	await quiet(fetch(url(engine, "nocors-post", poll), { method: "POST", mode: "no-cors", credentials: "include", body }));
	await quiet(fetch(url(engine, "nocors-get", poll), { mode: "no-cors", credentials: "include" }));
	await quiet(fetch(url(engine, "nocors-handshake", open), { mode: "no-cors", credentials: "include" }));
	await quiet(fetch(url(engine, "cors-post", poll), { method: "POST", credentials: "include", body }));
	await quiet(fetch(url(engine, "cors-get", poll), { credentials: "include" }));
	await quiet(fetch(url(engine, "preflight", poll), { method: "POST", credentials: "include", body, headers: { "X-Own": "1" } }));
	await quiet(fetch(url(engine + "ticket", "ticket", ""), { method: "POST", mode: "no-cors", credentials: "include" }));
	navigator.sendBeacon(url(engine, "beacon", poll), body);
	await new Promise((done) => Object.assign(new Image(), { onload: done, onerror: done, src: url(engine, "image", poll) }));
	const script = Object.assign(document.createElement("script"), { src: url(engine, "script", open) });
	await new Promise((done) => { script.onload = script.onerror = done; document.head.append(script); });
	for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
		const form = Object.assign(document.createElement("form"), {
			method: "post", enctype, target: arg.window, action: url(engine, "form " + enctype, poll) });
		form.append(Object.assign(document.createElement("input"), { name: '42["incr","', value: '"]' }));
		document.body.append(form);
		if (arg.window == "_blank") {
			form.submit();
			continue;
		}
		const frame = Object.assign(document.createElement("iframe"), { name: form.target = "frame" + names.length });
		document.body.append(frame);
		await new Promise((done) => { frame.onload = done; form.submit(); });
	}
	for (const [name, query] of [["websocket", upgrade], ["upgrade", take]])
		await new Promise((done) => { const socket = new WebSocket(url(ws, name, query)); socket.onopen = socket.onclose = done; });
	return names;`

// attacks records the requests whose query names an attack.
type attacks struct {
	mu   sync.Mutex
	seen map[string][]attack
}

type attack struct {
	method string
	status int
	cookie bool
}

func (a *attacks) record(c *fiber.Ctx) error {
	name, cookie := strings.Clone(c.Query("attack")), c.Get("Cookie") != ""
	err := c.Next()
	if name != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[name] = append(a.seen[name], attack{strings.Clone(c.Method()), c.Response().StatusCode(), cookie})
	}
	return err
}

// waitForRequests waits for the requests of an attack and returns them. A beacon arrives late.
func (a *attacks) waitForRequests(t *testing.T, name string) (got []attack) {
	t.Helper()
	waitFor(t, "the requests of "+name, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		got = slices.Clone(a.seen[name])
		return len(got) > 0
	})
	return got
}
