package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestD5_Dashboard plays through all features with two users, who have two tabs each, and
// a third user without friends.
func TestD5_Dashboard(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		playThrough(t, "memory://")
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		playThrough(t, redistest.Start(t).URL())
	})
}

func playThrough(t *testing.T, storageURL string) {
	site := start(t, storageURL)
	browser := nodetest.Start(t).Browser(t)

	// The users sign up in separate browsers and open a second tab. Markup in a name is
	// shown as text.
	ada, bob, carol := browser.Context, browser.NewContext(nil), browser.NewContext(nil)
	a1 := ada.Open(site)
	signUp(a1, site, "ada", "Ada <b>Lovelace</b>")
	a1.WaitText("#name", "Ada <b>Lovelace</b>")
	a2 := ada.Open(site)
	a2.WaitText("#name", "Ada <b>Lovelace</b>")
	b1 := bob.Open(site)
	signUp(b1, site, "bob", "Bob Kahn")
	b2 := bob.Open(site)
	b2.WaitText("#name", "Bob Kahn")
	c1 := carol.Open(site)
	signUp(c1, site, "carol", "Carol Shaw")

	// They become friends. The request and the answer arrive in all of their tabs.
	ask(a1, "bob")
	for _, tab := range []*nodetest.Page{b1, b2} {
		tab.WaitText("[data-login=ada]", "wants to be your friend")
		tab.WaitText(".toast", "wants to be your friend")
	}
	a2.WaitText("[data-login=bob]", "no answer yet")
	b2.Click("[data-login=ada] button.primary")
	for _, tab := range []*nodetest.Page{a1, a2} {
		tab.WaitText("[data-login=bob]", "online")
	}
	b1.WaitText("[data-login=ada]", "online")

	// A comment reaches the friend (D4) and the other tab, and no other user.
	say(a1, "Hello <i>Bob</i>")
	for _, tab := range []*nodetest.Page{a1, a2, b1, b2} {
		tab.WaitText("#comments", "Hello <i>Bob</i>")
	}
	b1.WaitText(".toast", "Hello <i>Bob</i>")
	say(c1, "Carol has no friends")
	c1.WaitText("#comments", "Carol has no friends") // everything sent before it has arrived too
	if got := c1.Text("#comments"); strings.Contains(got, "Hello") {
		t.Errorf("a user who is not a friend received %q", got)
	}
	if got := b1.Text("#comments") + a1.Text("#comments"); strings.Contains(got, "Carol") {
		t.Errorf("a comment of a user who is not a friend arrived: %q", got)
	}
	c1.Reload()
	c1.WaitText("#comments", "Carol has no friends")
	if got := c1.Text("#comments"); strings.Contains(got, "Hello") {
		t.Errorf("after a reload, a user who is not a friend received %q", got)
	}
	checkNoErrors(t, a1, a2, b1, b2, c1)

	// Offline, the page hides the name and friends are notified. Back online, the page shows
	// the name and the comments posted in the meantime.
	bob.SetOffline(true)
	for _, tab := range []*nodetest.Page{b1, b2} {
		tab.WaitText("#state", "reconnecting")
		if got := tab.Text("#name"); got != "" {
			t.Errorf("offline, the name is %q", got)
		}
		tab.WaitText("[data-login=ada]", "…")
	}
	a1.WaitText("[data-login=bob]", "offline")
	say(a1, "While Bob is away")
	a2.WaitText("#comments", "While Bob is away")
	bob.SetOffline(false)
	for _, tab := range []*nodetest.Page{b1, b2} {
		tab.WaitText("#name", "Bob Kahn")
		tab.WaitText("#comments", "While Bob is away")
	}
	a1.WaitText("[data-login=bob]", "online")

	// Logging out in one tab logs out the other one, and no other user's.
	b1.Click("#logout")
	b1.WaitText("#notice", "logged out")
	b2.WaitText("#notice", "logged out")
	logIn(b1, site, "bob")
	b1.WaitText("#name", "Bob Kahn")

	// A second device is listed at once and can be logged out from the first.
	p1 := browser.NewContext(map[string]any{"userAgent": iPhone}).Open(site)
	logIn(p1, site, "ada")
	for _, tab := range []*nodetest.Page{a1, a2} {
		tab.WaitText("#signedin", "Safari on iPhone")
	}
	a2.Click("#signedin button")
	p1.WaitText("#notice", "logged out")
	waitForNone(t, a1, ".glyph.phone")
	a1.WaitText("#name", "Ada")

	// Logging out everywhere from the phone ends both tabs of the other device.
	logIn(p1, site, "ada")
	p1.Click("#everywhere")
	for _, tab := range []*nodetest.Page{p1, a1, a2} {
		tab.WaitText("#notice", "logged out")
	}
	b1.WaitText("[data-login=ada]", "offline")
	b1.WaitText("#name", "Bob Kahn") // a different user stays logged in
	a1.Goto(site)
	if a1.Count("#name") != 0 {
		t.Error("the old cookie still opens the dashboard")
	}
}

// TestRestart restarts the program, as a deployment does. With sessions in Redis and a
// database on disk, the page reconnects on its own and is still logged in.
func TestRestart(t *testing.T) {
	t.Parallel()
	redis, database := redistest.Start(t).URL(), filepath.Join(t.TempDir(), "dashboard.db")
	first := listen(t).(*net.TCPListener)
	defer first.Close()
	port, err := first.File() // keeps the port reserved between the two runs
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	again := func() net.Listener {
		ln, err := net.FileListener(port)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	ln := again()
	site, stop := "http://"+ln.Addr().String(), serve(t, ln, redis, database)
	tab := nodetest.Start(t).Browser(t).Open(site)
	signUp(tab, site, "ada", "Ada Lovelace")
	say(tab, "Said before")
	tab.WaitText("#comments", "Said before")
	stop()
	tab.WaitText("#state", "reconnecting")
	if got := tab.Text("#name"); got != "" {
		t.Errorf("while the program is stopped, the name is %q", got)
	}
	defer serve(t, again(), redis, database)()
	tab.WaitText("#name", "Ada Lovelace")
	say(tab, "Said after")
	tab.WaitText("#comments", "Said after")
	tab.WaitText("#comments", "Said before")
}

// TestExpiry checks that the page learns of an expired session without sending anything.
func TestExpiry(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://", func(s *server) {
		s.app.Get("/soon", func(c *fiber.Ctx) error {
			fibersession.FromContext(c).SetExpiry(time.Second)
			return nil
		})
	})
	browser := nodetest.Start(t).Browser(t)
	tab := browser.Open(site)
	signUp(tab, site, "ada", "Ada Lovelace")
	tab.Eval(`await fetch("/soon")`, nil, nil)
	tab.WaitText("#notice", "inactive for too long")
}
