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

// elsewhere serves a page with the official client on a port of its own, and returns
// the port. By which name a browser comes there decides what origin the page is of.
func elsewhere(t *testing.T, secure *tls.Config) (port string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	app.Get("/official.js", func(c *fiber.Ctx) error { return c.Type("js").Send(script) })
	app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	ln := listenOn(t, secure)
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // received at the test's end
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

func listenOn(t *testing.T, secure *tls.Config) net.Listener {
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

// selfSigned is a certificate that browsers take when they are told to.
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

// attempt is how a page of another origin fared.
type attempt struct {
	Error     string
	Transport string
	Count     int
}

// try connects a page's official client, as the how-to for another origin says, and
// calls the counter.
func try(page *nodetest.Page, url string, transports []string) attempt {
	var got attempt
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

// crossSiteWays are the ways that a page may take, with the transport they end on.
var crossSiteWays = []struct {
	transports []string
	want       string
}{
	{[]string{"polling"}, "polling"},
	{[]string{"websocket"}, "websocket"},
	{[]string{"polling", "websocket"}, "websocket"},
}

// TestB9_AnotherOriginInTheBrowser: pages of another port, which is another origin of
// the same site, and of another site, each listed or not, over each transport.
func TestB9_AnotherOriginInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	port, stranger := elsewhere(t, nil), elsewhere(t, nil)
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
	browser.Open(s.url) // the browser has a session there, with a cookie that is SameSite=Lax

	count := 10
	for _, tt := range []struct {
		name, origin string
		allowed      bool
		cookie       bool // travels: it is the same site
	}{
		{"a port of the same host, listed", "http://127.0.0.1:" + port, true, true},
		{"a port of the same host, not listed", "http://127.0.0.1:" + stranger, false, true},
		{"a site that the wildcard lists", "http://app.localhost:" + port, true, false},
		{"a site that the function allows", "http://localhost:" + port, true, false},
		{"a site with a label too many", "http://a.b.localhost:" + port, false, false},
		{"a site of another port", "http://app.localhost:" + stranger, false, false},
	} {
		page := browser.Open(tt.origin)
		for _, way := range crossSiteWays {
			name := tt.name + ", " + strings.Join(way.transports, "+")
			got := try(page, s.url, way.transports)
			if !tt.allowed {
				if got.Error == "" {
					t.Errorf("%s: it is not refused: %+v", name, got)
				}
				continue
			}
			want := 1 // of a session of its own: no cookie came, and none is kept
			if tt.cookie {
				count++
				want = count
			}
			if got.Error != "" || got.Transport != way.want || got.Count != want {
				t.Errorf("%s: %+v, want %d over %s", name, got, want, way.want)
			}
		}
		for range page.Waiting("error") { // a request too many after the goodbye is none
			if text := page.MustNext("error"); tt.allowed && strings.Contains(text, "CORS") {
				t.Errorf("%s: %s", tt.name, text)
			}
		}
		page.Close()
	}
}

// TestB9_ForeignPagesReachNoHandler: whatever a page that is not listed makes the
// browser send is refused, with the session's cookie on it and even when the page knows
// the connection's ID; and the same from a listed page works. Two pages try: one of the
// same site, with whose requests every cookie travels, and one of another site, to
// which the session's cookie is open, as it is SameSite=None. (Row 2 of docs/security.md)
func TestB9_ForeignPagesReachNoHandler(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	secure := selfSigned(t)
	port, stranger := elsewhere(t, secure), elsewhere(t, secure)
	seen := &attacks{seen: map[string][]attack{}}
	s := newSite(t, options{
		sessions: fibersession.Config{CookieSameSite: "None"},
		bridge:   socketbridge.Config{Engine: engineio.Config{AllowOrigins: []string{"https://127.0.0.1:" + port}}},
		before:   func(app *fiber.App) { app.Use(seen.note) },
	}).counter()
	s.app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 10)
		return c.Type("html").SendString(`<!doctype html><script src="/official.js"></script>`)
	})
	s.app.Get("/official.js", func(c *fiber.Ctx) error {
		return c.SendFile(filepath.Join(nodetest.Dir(t), "node_modules", "socket.io-client", "dist", "socket.io.js"))
	})
	ln := listenOn(t, secure)
	s.url = "https://" + ln.Addr().String()
	go func() { _ = s.app.Listener(ln) }() // the site's end waits for it

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
		t.Errorf("the browser has %+v, of which scripts see %q", got, readable)
	}

	for _, attacker := range []struct {
		origin string
		window string                 // that forms are sent to
		cookie func(name string) bool // has to be there, or the attempt shows nothing
	}{
		{"https://127.0.0.1:" + stranger, "frame", func(string) bool { return true }},
		// Chromium blocks what it calls third-party cookies here, but for new windows.
		{"https://localhost:" + stranger, "_blank", func(name string) bool { return strings.HasPrefix(name, "form") }},
	} {
		var names []string
		page := browser.Open(attacker.origin)
		page.Eval(attackScript, map[string]string{"site": s.url, "sid": sid, "window": attacker.window, "by": attacker.origin}, &names)
		if len(names) != 15 {
			t.Fatalf("only %q were tried", names)
		}
		for _, name := range names {
			for _, a := range seen.of(t, name+" by "+attacker.origin) {
				switch {
				case a.status != 403:
					t.Errorf("%s by %s: %s was answered with %d", name, attacker.origin, a.method, a.status)
				case a.method != "OPTIONS" && !a.cookie && attacker.cookie(name):
					t.Errorf("%s by %s came without the cookie, and shows nothing", name, attacker.origin)
				}
			}
		}
	}
	if got := s.io.Stats().Connections; got != connections {
		t.Errorf("there are %d connections, not %d", got, connections)
	}
	var after struct {
		Connected bool
		Count     int
	}
	victim.Eval(`return { connected: socket.connected, count: await socket.emitWithAck("count") };`, nil, &after)
	if !after.Connected || after.Count != 11 {
		t.Errorf("the victim's socket: %+v", after)
	}

	friend := browser.Open("https://127.0.0.1:" + port)
	for i, way := range crossSiteWays {
		if got := try(friend, s.url, way.transports); got.Error != "" || got.Count != 12+i {
			t.Errorf("the listed page, over %s: %+v", way.want, got)
		}
	}
	victim.Eval(`socket.disconnect()`, nil, nil)
}

// attackScript makes requests in all ways that a page has, named in the query, and
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

// attacks notes the requests whose query names an attack.
type attacks struct {
	mu   sync.Mutex
	seen map[string][]attack
}

type attack struct {
	method string
	status int
	cookie bool
}

func (a *attacks) note(c *fiber.Ctx) error {
	name, cookie := strings.Clone(c.Query("attack")), c.Get("Cookie") != ""
	err := c.Next()
	if name != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[name] = append(a.seen[name], attack{strings.Clone(c.Method()), c.Response().StatusCode(), cookie})
	}
	return err
}

// of returns what was noted of an attack, and waits for it: a beacon takes its time.
func (a *attacks) of(t *testing.T, name string) []attack {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		got := slices.Clone(a.seen[name])
		a.mu.Unlock()
		if len(got) > 0 {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not arrive", name)
		}
	}
}
