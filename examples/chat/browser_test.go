package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestMain is the program itself when startAll, in a test, starts nodes.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "-node" {
		main()
		return
	}
	os.Exit(m.Run())
}

// testWriter is where what is started prints to.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// newSetup is a setup on free ports.
func newSetup(t *testing.T, proxy, storage string, nodes int) setup {
	t.Helper()
	cfg := setup{Storage: storage, Proxy: proxy, Front: freeTestAddr(t), Out: testWriter{t}}
	for range nodes {
		cfg.Nodes = append(cfg.Nodes, freeTestAddr(t))
	}
	return cfg
}

// freeTestAddr is an address that is the test's own, also while nobody listens there.
func freeTestAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))
}

// start starts everything, as `go run ./examples/chat` does, on free ports.
func start(t *testing.T, proxy, storage string, nodes int) *all {
	t.Helper()
	a, err := startAll(context.Background(), newSetup(t, proxy, storage, nodes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// needProxy skips a test without the proxy, or fails it under CI.
func needProxy(t *testing.T, name string) {
	t.Helper()
	if _, path := findProxy(name); path == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing, and CI is set: .ci/deps installs it", name)
		}
		t.Skipf("%s is missing", name)
	}
}

// visitor is somebody without a browser.
type visitor struct {
	t    *testing.T
	site string
	http http.Client
}

func newVisitor(t *testing.T, site string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, site: site, http: http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second}}}
	t.Cleanup(v.http.CloseIdleConnections)
	return v
}

// do sends a request, with headers in pairs, and returns the answer with its body.
func (v *visitor) do(method, path, body string, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.site+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.site)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, string(text)
}

// enter signs in and returns the node that served the visitor.
func (v *visitor) enter(name string) (node string) {
	v.t.Helper()
	res, _ := v.do(http.MethodPost, "/login", "name="+url.QueryEscape(name))
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" {
		v.t.Fatalf("signing in as %s leads to %s with %s", name, res.Request.URL, res.Status)
	}
	return res.Header.Get("X-Node")
}

// cookie is the Cookie header of the visitor: the session's, and the proxy's.
func (v *visitor) cookie() string {
	at, _ := url.Parse(v.site)
	var all []string
	for _, c := range v.http.Jar.Cookies(at) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// window is a browser window of the visitor: it has the same cookies.
func (v *visitor) window(browser *nodetest.Browser) *nodetest.Context {
	at, _ := url.Parse(v.site)
	cookies := []map[string]any{}
	for _, c := range v.http.Jar.Cookies(at) {
		cookies = append(cookies, map[string]any{"name": c.Name, "value": c.Value, "domain": at.Hostname(), "path": "/",
			"expires": -1, "httpOnly": true, "secure": strings.HasPrefix(c.Name, "__"), "sameSite": "Lax"})
	}
	return browser.NewContext(map[string]any{"storageState": map[string]any{"cookies": cookies, "origins": []any{}}})
}

// visitorOfOther returns a visitor whom the proxy sends to another node.
func visitorOfOther(t *testing.T, site, node string) *visitor {
	t.Helper()
	for range 60 { // that all are sent to one of three by chance is as good as impossible
		v := newVisitor(t, site)
		if res, _ := v.do("GET", "/login", ""); res.Header.Get("X-Node") != node {
			return v
		}
	}
	t.Fatalf("the proxy sends everybody to %s", node)
	return nil
}

// enterPage signs in with a browser and returns the page, when it is connected, and
// the node that it is connected to.
func enterPage(site string, context *nodetest.Context, name string) (*nodetest.Page, string) {
	page := context.Open(site + "/login")
	page.Fill("#name", name)
	page.Click("#enter")
	page.WaitText("#state.on", " · ")
	return page, nodeOf(page)
}

func nodeOf(page *nodetest.Page) (node string) {
	page.Eval(`return document.getElementById("state").dataset.node`, nil, &node)
	return node
}

// say says something in the talk that a page shows, and waits until it is there.
func say(page *nodetest.Page, text string) {
	page.Fill("#text", text)
	page.Click("#say button:enabled")
	page.WaitText("#messages", text)
}

// TestChatOverThreeNodes has two people on two different nodes behind each proxy, in
// Chromium, and stops the node of one of them.
func TestChatOverThreeNodes(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	n.Browser(t) // one for both
	for _, proxy := range []string{"nginx", "haproxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			needProxy(t, proxy)
			browser := n.Browser(t)
			a := start(t, proxy, redistest.Start(t).URL(), 3)
			site := a.urls()[0]

			// Ada polls; Bob has a WebSocket, and another node than Ada.
			adaAtDoor := newVisitor(t, site)
			adas := adaAtDoor.enter("Ada")
			ada := adaAtDoor.window(browser).Open(site + "/?transport=polling")
			ada.WaitText("#state.on", adas+" · polling")
			bob, bobs := enterPage(site, visitorOfOther(t, site, adas).window(browser), "Bob")
			if bobs == adas {
				t.Fatalf("a visitor of another node is connected to %s", bobs)
			}
			bob.WaitText("#state", "websocket")
			for _, page := range []*nodetest.Page{ada, bob} {
				page.WaitText("#people [data-user=ada] .nodes", adas)
				page.WaitText("#people [data-user=bob] .nodes", bobs)
			}

			// What is said, and that somebody is about to.
			say(ada, "Hello from "+adas)
			bob.WaitText("#messages", "Hello from "+adas)
			bob.Fill("#text", "Hel")
			// He goes on: a notice is volatile, and dropped when its receiver is busy.
			bob.Eval(`window.goesOn = setInterval(() => document.querySelector("#text").dispatchEvent(new Event("input", { bubbles: true })), 500)`, nil, nil)
			ada.WaitText("#typing", "Bob is typing")
			bob.Eval(`clearInterval(window.goesOn)`, nil, nil)
			say(bob, "Hello from "+bobs)
			ada.WaitText("#messages", "Hello from "+bobs)
			var tells bool // that he goes on to speak, though he has just told that he was about to
			bob.Eval(`window.sent = []; const { send } = WebSocket.prototype;
				WebSocket.prototype.send = function (data) { window.sent.push(data); return send.call(this, data); }`, nil, nil)
			bob.Fill("#text", "And")
			if bob.Eval(`return window.sent.some((data) => data.startsWith('42["typing"'))`, nil, &tells); !tells {
				t.Error("who types again after a message does not tell it")
			}

			// A room of one's own, which the other one finds. Its last words are there for
			// who comes late.
			ada.Fill("#room", "gardens")
			ada.Click("#join button:enabled")
			ada.WaitText("#title", "gardens")
			say(ada, "Roses are in bloom")
			bob.WaitText("#others", "gardens")
			bob.Click("#others button:enabled")
			bob.WaitText("#title", "gardens")
			bob.WaitText("#messages", "Roses are in bloom")
			ada.WaitText("#people [data-user=bob] .nodes", bobs)

			// Just to Ada, wherever she is.
			bob.Click("#people [data-user=ada] button:enabled")
			bob.WaitText("#title", "Ada")
			say(bob, "Between us")
			ada.WaitText("#talks", "Bob")
			ada.Click("#talks button")
			ada.WaitText("#messages", "Between us")
			ada.Click("#rooms li:last-child button")
			ada.WaitText("#title", "gardens")

			// The official client, in each of its ways.
			eve := newVisitor(t, site)
			eves := eve.enter("Eve")
			for _, transports := range [][]string{{"polling"}, {"websocket"}, nil} {
				c := n.Connect(t, site, nodetest.Options{Cookie: eve.cookie(), Transports: transports})
				var hello struct{ Node string }
				if c.MustNext("hello").Bind(t, &hello); hello.Node != eves {
					t.Errorf("%v: connected to %s, and the page came from %s", transports, hello.Node, eves)
				}
				for range 5 {
					c.MustCall("list")
				}
				c.Close()
			}

			// Ada's node stops. She goes on at another one, with the same session.
			a.nodes[adas[1]-'1'].kill()
			ada.WaitText("#state:not([data-node="+adas+"]).on", "polling")
			ada.WaitText("#title", "gardens")
			ada.WaitText("#messages", "Roses are in bloom")
			say(ada, "Still here")
			bob.Click("#rooms li:last-child button")
			bob.WaitText("#messages", "Still here")
			bob.WaitText("#people [data-user=ada] .nodes", nodeOf(ada))

			if dir := os.Getenv("SCREENSHOTS"); dir != "" {
				screenshots(t, dir, proxy, site, browser, ada)
			}

			// Another device of Bob's logs him out everywhere.
			phone, _ := enterPage(site, browser.NewContext(map[string]any{"viewport": map[string]int{"width": 360, "height": 740}}), "bob")
			var wide bool
			if phone.Eval(`return document.documentElement.scrollWidth > innerWidth`, nil, &wide); wide {
				t.Error("the page is wider than a phone")
			}
			phone.Click("#open-side")
			phone.Click("#everywhere")
			phone.WaitText(".note", "logged out everywhere")
			bob.WaitText(".note", "logged out")
			ada.WaitText("#people:not(:has([data-user=bob]))", "Ada")
			refused := `Failed to load resource` // while the node ended, or a poll's cookie was old: the browser says so itself
			for _, page := range []*nodetest.Page{ada, bob} {
				for page.Waiting("error") > 0 {
					if text := page.MustNext("error"); !strings.Contains(text, refused) && !strings.Contains(text, "WebSocket connection") {
						t.Errorf("an error on a page: %s", text)
					}
				}
			}
		})
	}
}

// screenshots shows the page as it looks, at a desk and on a phone, by day and by night.
func screenshots(t *testing.T, dir, proxy, site string, browser *nodetest.Browser, ada *nodetest.Page) {
	ada.Fill("#text", "")
	ada.Screenshot(filepath.Join(dir, "chat-"+proxy+".png"))
	for _, look := range []struct {
		name   string
		width  int
		scheme string
	}{{"desk", 1280, "light"}, {"desk", 1280, "dark"}, {"phone", 360, "light"}, {"phone", 360, "dark"}} {
		context := browser.NewContext(map[string]any{"viewport": map[string]int{"width": look.width, "height": 740}, "colorScheme": look.scheme})
		file := filepath.Join(dir, "chat-"+proxy+"-"+look.name+"-"+look.scheme)
		door := context.Open(site + "/login")
		door.Screenshot(file + "-door.png")
		page, _ := enterPage(site, context, "Cleo Lind")
		page.WaitText("#messages", "Hello")
		if look.name == "desk" {
			page.WaitText("#people", "Bob")
		}
		say(page, "A longer message, to see how lines are broken where there are more words than fit into one.\nAnd a second line.")
		page.Screenshot(file + ".png")
		if look.name == "phone" {
			page.Click("#open-side")
			page.WaitText("#side", "lobby")
			page.Eval(`await new Promise((r) => setTimeout(r, 400))`, nil, nil)
			page.Screenshot(file + "-side.png")
		}
		context.Close()
	}
}
