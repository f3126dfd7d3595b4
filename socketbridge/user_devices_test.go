package socketbridge_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

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
			attacker := s.agent()
			attacker.setCookie("session", id)
			equal(t, "user over HTTP with an old cookie", attacker.get("/who"), "")
			equal(t, "user of a socket with an old cookie", call(t, attacker.connect(n, "/", nodetest.Options{}), "whoami"), `""`)
		}
		equal(t, "user of another session's socket", call(t, ofBob, "whoami"), `"bob"`)

		tab, other := bob.connect(n, "/", always), s.loggedIn("bob").connect(n, "/", always)
		bob.post("/destroy")
		waitForLogout(t, "bob's browser", ofBob, tab)
		equal(t, "user in bob's other browser", call(t, other, "whoami"), `"bob"`)
	})
}
