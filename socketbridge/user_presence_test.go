package socketbridge_test

import (
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

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
			calls := make(events, 100)
			s.io.OnPresence(func(user string, online bool) { calls.add("%s %v", user, online) })
			s.app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
			s.serve()
			phone, desk := s.loggedIn("ann"), s.loggedIn("ann")
			first := phone.connect(n, "/", nodetest.Options{})
			calls.expect(t, "ann true")
			second, third := phone.connect(n, "/other", nodetest.Options{}), desk.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})
			first.Close()
			second.Close()
			guest := s.agent()
			guest.post("/visit")
			late := guest.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			guest.post("/login/bob") // without a reconnect
			calls.expect(t, "bob true")
			if grace == time.Hour {
				third.Close()
				third = desk.connect(n, "/", nodetest.Options{}) // a page reload
				call(t, third, "whoami")
				guest.post("/login/cleo")
				calls.expect(t, "cleo true")
				ctx := t.Context()
				if err := s.io.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				got := map[string]bool{<-calls: true, <-calls: true, <-calls: true}
				if !got["ann false"] || !got["bob false"] || !got["cleo false"] || len(calls) > 0 {
					t.Errorf("after Shutdown: got %v and %d more, want each user offline once", got, len(calls))
				}
				return
			}
			third.Cut()
			calls.expect(t, "ann false")
			guest.post("/logout") // the socket stays, without a user
			calls.expect(t, "bob false")
			equal(t, "user after logout", call(t, late, "whoami"), `""`)
			if len(calls) > 0 {
				t.Errorf("got another call %q, want none", <-calls)
			}
		})
	}
}
