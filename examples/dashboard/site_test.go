package main

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/nodetest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// start serves the program on a free port, over a database in memory, and returns
// its URL.
func start(t *testing.T, storageURL string) string {
	t.Helper()
	store, err := storage.Open(storageURL)
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDB(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	site, err := newSite(Config{}, store, db)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- site.app.Listener(ln) }() // received at the test's end
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, err := range []error{site.Shutdown(ctx), <-served, db.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return "http://" + ln.Addr().String()
}

const password = "correct horse battery"

// signUp signs somebody up in a tab, and waits for the dashboard.
func signUp(tab *nodetest.Page, site, login, name string) {
	tab.Goto(site + "/signup")
	tab.Fill("[name=name]", name)
	tab.Fill("[name=login]", login)
	tab.Fill("[name=password]", password)
	tab.Click("form#door button")
	tab.WaitText("#state", "connected")
}

func logIn(tab *nodetest.Page, site, login string) {
	tab.Goto(site + "/login")
	tab.Fill("[name=login]", login)
	tab.Fill("[name=password]", password)
	tab.Click("form#door button")
	tab.WaitText("#state", "connected")
}

// gone waits until nothing matches the selector.
func gone(t *testing.T, tab *nodetest.Page, selector string) {
	t.Helper()
	var left bool
	tab.Eval(`
		for (const end = Date.now() + 15000; Date.now() < end; await new Promise((ok) => setTimeout(ok, 20)))
			if (!document.querySelector(arg)) return false;
		return true;`, selector, &left)
	if left {
		t.Fatalf("%s is still there", selector)
	}
}

// quiet fails the test if a page had an error: a script's, or one of its policy.
func quiet(t *testing.T, tabs ...*nodetest.Page) {
	t.Helper()
	for _, tab := range tabs {
		for tab.Waiting("error") > 0 {
			t.Errorf("a page has the error %q", tab.MustNext("error"))
		}
	}
}

// TestD5_Dashboard is the demo of the mission, by two people with two tabs each.
func TestD5_Dashboard(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			url := "memory://"
			if store == "redis" {
				url = storagetest.Redis(t).URL()
			}
			site := start(t, url)
			n := nodetest.Start(t)
			browser := n.Browser(t)

			// Two people sign up, each in a browser of their own, and open a second tab. A
			// name is text, whatever it looks like.
			ada, bobs, carols := browser.Context, browser.NewContext(nil), browser.NewContext(nil)
			a1 := ada.Open(site)
			signUp(a1, site, "ada", "Ada <b>Lovelace</b>")
			a1.WaitText("#name", "Ada <b>Lovelace</b>")
			a2 := ada.Open(site)
			a2.WaitText("#name", "Ada <b>Lovelace</b>")
			b1 := bobs.Open(site)
			signUp(b1, site, "bob", "Bob Kahn")
			b2 := bobs.Open(site)
			b2.WaitText("#name", "Bob Kahn")
			c1 := carols.Open(site)
			signUp(c1, site, "carol", "Carol Shaw")

			// They become friends: the request and the answer arrive in all their tabs.
			a1.Fill("#who", "bob")
			a1.Click("#ask button")
			for _, tab := range []*nodetest.Page{b1, b2} {
				tab.WaitText("[data-login=ada]", "wants to be your friend")
			}
			a2.WaitText("[data-login=bob]", "no answer yet")
			b2.Click("[data-login=ada] button.primary")
			for _, tab := range []*nodetest.Page{a1, a2} {
				tab.WaitText("[data-login=bob]", "online")
			}
			b1.WaitText("[data-login=ada]", "online")

			// A comment notifies just the friend (D4), and the other tab.
			a1.Fill("#text", "Hello <i>Bob</i>")
			a1.Click("#say button")
			for _, tab := range []*nodetest.Page{a1, a2, b1, b2} {
				tab.WaitText("#comments", "Hello <i>Bob</i>")
			}
			b1.WaitText(".toast", "Hello <i>Bob</i>")
			c1.Fill("#text", "Nobody hears Carol")
			c1.Click("#say button")
			c1.WaitText("#comments", "Nobody hears Carol") // and what came before it, came
			if got := c1.Text("#comments"); strings.Contains(got, "Hello") {
				t.Errorf("a stranger hears %q", got)
			}
			if got := b1.Text("#comments") + a1.Text("#comments"); strings.Contains(got, "Carol") {
				t.Errorf("of a stranger is heard %q", got)
			}
			c1.Reload()
			c1.WaitText("#comments", "Nobody hears Carol")
			if got := c1.Text("#comments"); strings.Contains(got, "Hello") {
				t.Errorf("after loading again, a stranger hears %q", got)
			}
			quiet(t, a1, a2, b1, b2, c1)

			if dir := os.Getenv("SCREENSHOTS"); dir != "" && store == "memory" {
				screenshots(t, browser, a1, b1, site, dir)
			}

			// Offline, the name goes, and the friends learn of it; online, it is back.
			bobs.SetOffline(true)
			for _, tab := range []*nodetest.Page{b1, b2} {
				tab.WaitText("#state", "reconnecting")
				if got := tab.Text("#name"); got != "" {
					t.Errorf("offline, the name is %q", got)
				}
			}
			a1.WaitText("[data-login=bob]", "offline")
			a1.Fill("#text", "While Bob is away")
			a1.Click("#say button")
			a2.WaitText("#comments", "While Bob is away")
			bobs.SetOffline(false)
			for _, tab := range []*nodetest.Page{b1, b2} {
				tab.WaitText("#name", "Bob Kahn")
				tab.WaitText("#comments", "While Bob is away")
			}
			a1.WaitText("[data-login=bob]", "online")

			// Logging out in one tab ends the other, and nobody else's.
			b1.Click("#logout")
			b1.WaitText("#notice", "logged out")
			b2.WaitText("#notice", "logged out")
			logIn(b1, site, "bob")
			b1.WaitText("#name", "Bob Kahn")
			a1.WaitText("#state", "connected")

			// A second device: it is listed at once, and ended from the first.
			phone := browser.NewContext(map[string]any{"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1"})
			p1 := phone.Open(site)
			logIn(p1, site, "ada")
			for _, tab := range []*nodetest.Page{a1, a2} {
				tab.WaitText("#signedin", "Safari on iPhone")
			}
			a2.Click("#signedin button")
			p1.WaitText("#notice", "logged out")
			gone(t, a1, ".glyph.phone")
			a1.WaitText("#state", "connected")

			// Everywhere: from the phone, both tabs of the other device end.
			logIn(p1, site, "ada")
			p1.Click("#everywhere")
			for _, tab := range []*nodetest.Page{p1, a1, a2} {
				tab.WaitText("#notice", "logged out")
			}
			b1.WaitText("[data-login=ada]", "offline")
			b1.WaitText("#name", "Bob Kahn") // who is somebody else
			a1.Goto(site)
			if a1.Count("#name") != 0 {
				t.Error("the old cookie still opens the dashboard")
			}
		})
	}
}

// screenshots are looked at by people: phone and desktop, light and dark.
func screenshots(t *testing.T, browser *nodetest.Browser, ada, bob *nodetest.Page, site, dir string) {
	t.Helper()
	ada.Fill("#text", "The engine weaves algebraic patterns, just as the loom weaves flowers and leaves.")
	ada.Click("#say button")
	bob.WaitText("#comments", "algebraic")
	bob.Fill("#text", "Lunch at the lake on Saturday? Bring the small boat, and whoever wants to row it.")
	bob.Click("#say button")
	for i, who := range []struct{ login, name string }{{"grace", "Grace Hopper"}, {"katherine", "Katherine Johnson"}} {
		tab := browser.NewContext(nil).Open(site)
		signUp(tab, site, who.login, who.name)
		tab.Fill("#who", "ada")
		tab.Click("#ask button")
		ada.WaitText("[data-login="+who.login+"]", "wants")
		if i == 0 {
			ada.Click("[data-login=grace] button.primary")
			tab.WaitText("#comments", "algebraic")
		}
		defer tab.Close()
	}
	other := browser.NewContext(map[string]any{"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1"})
	logIn(other.Open(site), site, "ada")
	defer other.Close()
	for _, scheme := range []string{"light", "dark"} {
		for name, width := range map[string]int{"phone": 390, "desktop": 1280} {
			c := browser.NewContext(map[string]any{"colorScheme": scheme, "viewport": map[string]int{"width": width, "height": 844}})
			tab := c.Open(site + "/signup")
			tab.Screenshot(filepath.Join(dir, "door-"+name+"-"+scheme+".png"))
			logIn(tab, site, "ada")
			tab.WaitText("#comments", "Lunch")
			tab.WaitText("#ties", "online")
			tab.WaitText("#signedin", "this device")
			tab.Screenshot(filepath.Join(dir, "dashboard-"+name+"-"+scheme+".png"))
			c.SetOffline(true)
			tab.WaitText("#state", "reconnecting")
			tab.Screenshot(filepath.Join(dir, "offline-"+name+"-"+scheme+".png"))
			c.SetOffline(false)
			tab.WaitText("#state", "connected")
			c.Close()
		}
	}
}

var _ = []any{http.MethodGet, cookiejar.New, url.Parse, regexp.MustCompile}
