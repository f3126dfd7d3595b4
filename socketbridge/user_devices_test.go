package socketbridge_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// deviceList returns the devices of the agent's user.
func (a *agent) deviceList() (list []fibersession.Device) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.get("/devices")), &list); err != nil {
		a.t.Fatal(err)
	}
	return list
}

// currentDevice returns the ID of the agent's own device.
func (a *agent) currentDevice() string {
	a.t.Helper()
	for _, d := range a.deviceList() {
		if d.Current {
			return d.ID
		}
	}
	a.t.Fatal("the agent is not among its user's devices")
	return ""
}

// waitForLogout waits until the server has disconnected the sockets. A polling client that
// sends a request at that moment gets an error response and reports a transport error.
func waitForLogout(t testing.TB, who string, sockets ...*nodetest.Client) {
	t.Helper()
	for _, c := range sockets {
		switch got := c.MustNext(nodetest.Disconnected).String(); got {
		case `["io server disconnect"]`, `["transport error"]`:
		default:
			t.Errorf("%s: disconnect reason %s, want io server disconnect", who, got)
		}
	}
}

// N14: a user lists the logged-in devices, ends one of them, and ends all others. Their
// sockets are disconnected, and no others.
func TestN14_DevicesAreListedAndEnded(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, withUsers(url)).users().serve()
		phone, desk, tablet, bob := s.loggedIn("ann"), s.loggedIn("ann"), s.loggedIn("ann"), s.loggedIn("bob")
		open := func(a *agent) []*nodetest.Client {
			t.Helper()
			return []*nodetest.Client{
				a.connect(n, "/", nodetest.Options{}),
				a.connect(n, "/other", nodetest.Options{Transports: []string{"polling"}}),
			}
		}
		ofPhone, ofDesk, ofTablet, ofBob := open(phone), open(desk), open(tablet), open(bob)

		list := phone.deviceList()
		if len(list) != 3 {
			t.Fatalf("got %d devices, want 3", len(list))
		}
		for _, d := range list {
			if d.Address != "127.0.0.1" || d.UserAgent != "Go-http-client/1.1" || d.LastSeen.Before(d.Created) || d.ID == "" {
				t.Errorf("got device %+v, want an ID, address 127.0.0.1, the client's user agent and plausible times", d)
			}
		}
		if _, status, _ := bob.try("POST", "/end/"+phone.currentDevice()); status != 500 {
			t.Errorf("ending another user's device: got status %d, want 500", status)
		}
		desk.post("/end/" + phone.currentDevice())
		waitForLogout(t, "the phone", ofPhone...)
		equal(t, "number of other devices ended", desk.post("/end-others"), "1")
		waitForLogout(t, "the tablet", ofTablet...)
		if list := desk.deviceList(); len(list) != 1 || !list[0].Current {
			t.Errorf("got devices %+v, want the current one", list)
		}
		for who, sockets := range map[string][]*nodetest.Client{`"ann"`: ofDesk, `"bob"`: ofBob} {
			for _, c := range sockets {
				equal(t, "user of a remaining socket", call(t, c, "whoami"), who)
			}
		}
	})
}

// N3: logout everywhere. When EndAll for a user has returned, no socket of the user is
// connected, none reconnects, and the cookies are worthless. Destroy does the same for one
// session only.
func TestN3_LogOutEverywhere(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, withUsers(url)).users()
		s.app.Get("/who", func(c *fiber.Ctx) error { return c.SendString(fibersession.FromContext(c).User()) })
		s.app.Post("/destroy", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
		s.app.Post("/end-all-and-look", func(c *fiber.Ctx) error {
			if _, err := s.sessions.EndAll(c.UserContext(), "ann"); err != nil {
				return err
			}
			return c.JSON(s.io.User("ann").Online()) // as soon as EndAll has returned
		})
		s.serve()
		phone, desk, bob := s.loggedIn("ann"), s.loggedIn("ann"), s.loggedIn("bob")
		always := nodetest.Options{Reconnect: true}
		ofPhone := []*nodetest.Client{phone.connect(n, "/", always), phone.connect(n, "/other", always)}
		ofDesk := []*nodetest.Client{desk.connect(n, "/", always), desk.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})}
		ofBob := bob.connect(n, "/", always)
		cookies := []string{phone.sessionID(), desk.sessionID()}

		equal(t, "whether ann is online after EndAll", bob.post("/end-all-and-look"), "false")
		waitForLogout(t, "the phone", ofPhone...)
		waitForLogout(t, "the desk", ofDesk...)
		for _, id := range cookies {
			thief := s.agent()
			thief.setCookie("session", id)
			equal(t, "user over HTTP with an old cookie", thief.get("/who"), "")
			equal(t, "user of a socket with an old cookie", call(t, thief.connect(n, "/", nodetest.Options{}), "whoami"), `""`)
		}
		equal(t, "user of another session's socket", call(t, ofBob, "whoami"), `"user of another session's socket"`)

		tab, other := bob.connect(n, "/", always), s.loggedIn("bob").connect(n, "/", always)
		bob.post("/destroy")
		waitForLogout(t, "bob's browser", ofBob, tab)
		equal(t, "user in bob's other browser", call(t, other, "whoami"), `"bob"`)
	})
}

// N15: two apps with the same users and room names share a Redis without interfering.
func TestN15_TwoAppsSideBySide(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	url := redistest.Start(t).URL()
	app := func(prefix string) *site {
		o := withUsers(url)
		o.sessions.Prefix = prefix
		s := newSite(t, o).users()
		s.io.OnConnection(func(sock *socketbridge.Socket) { _ = sock.Join("lobby") })
		s.app.Post("/lobby", func(c *fiber.Ctx) error { return s.io.To("lobby").Emit("lobby", prefix) })
		s.app.Post("/reset", func(c *fiber.Ctx) error { return s.sessions.Reset() })
		return s.serve()
	}
	shop, blog := app("shop:"), app("blog:")
	customer, author := shop.loggedIn("ann"), blog.loggedIn("ann")
	inShop, inBlog := customer.connect(n, "/", nodetest.Options{}), author.connect(n, "/", nodetest.Options{})

	customer.post("/lobby")
	customer.post("/tell/ann")
	equal(t, "lobby event in the shop", inShop.MustNext("lobby").String(), `["shop:"]`)
	equal(t, "user event in the shop", inShop.MustNext("told").String(), `["ann"]`)
	customer.post("/end-all/ann")
	waitForLogout(t, "the shop", inShop)
	equal(t, "user in the blog", call(t, inBlog, "whoami"), `"ann"`)

	again := shop.loggedIn("ann")
	inShop = again.connect(n, "/", nodetest.Options{})
	again.post("/reset")
	inShop.Emit("whoami") // the next event finds no session
	waitForLogout(t, "the shop after its reset", inShop)
	equal(t, "user in the blog after the reset", call(t, inBlog, "whoami"), `"ann"`)
	if list := author.deviceList(); len(list) != 1 {
		t.Errorf("got devices %+v in the blog, want 1", list)
	}
	if got := inBlog.Waiting("lobby") + inBlog.Waiting("told"); got > 0 {
		t.Errorf("the blog got %d events of the shop, want 0", got)
	}
}

// Presence with real clients: a user goes online with the first socket and offline some
// time after the last one. Further tabs, devices, namespaces and page reloads are not
// reported.
func TestPresence(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, grace := range map[string]time.Duration{"short": 50 * time.Millisecond, "long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := withUsers("")
			o.bridge.Presence.Grace = grace
			s := newSite(t, o).users()
			told := make(events, 100)
			s.io.OnPresence(func(user string, online bool) { told.add("%s %v", user, online) })
			s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
			s.serve()
			phone, desk := s.loggedIn("ann"), s.loggedIn("ann")
			first := phone.connect(n, "/", nodetest.Options{})
			told.expect(t, "ann true")
			second, third := phone.connect(n, "/other", nodetest.Options{}), desk.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})
			first.Close()
			second.Close()
			guest := s.agent()
			guest.post("/visit")
			late := guest.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			guest.post("/login/bob") // without a reconnect
			told.expect(t, "bob true")
			if grace == time.Hour {
				third.Close()
				third = desk.connect(n, "/", nodetest.Options{}) // a page reload
				call(t, third, "whoami")
				guest.post("/login/cleo")
				told.expect(t, "cleo true")
				ctx := t.Context()
				if err := s.io.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				got := map[string]bool{<-told: true, <-told: true, <-told: true}
				if !got["ann false"] || !got["bob false"] || !got["cleo false"] || len(told) > 0 {
					t.Errorf("after Shutdown: got %v and %d more, want each user offline once", got, len(told))
				}
				return
			}
			third.Cut()
			told.expect(t, "ann false")
			guest.post("/logout") // the socket stays, without a user
			told.expect(t, "bob false")
			equal(t, "user after logout", call(t, late, "whoami"), `""`)
			if len(told) > 0 {
				t.Errorf("got another call %q, want none", <-told)
			}
		})
	}
}
