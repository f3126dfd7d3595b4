package socketbridge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// While Redis is away every request and every event has an answer: refused by default,
// from what was last confirmed with a grace. Sockets stay, and all goes on by itself.
func TestOutage_RequestsAndEventsAreAnswered(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		grace time.Duration
		f     fibersession.Freshness
		away  func(*redistest.Server)
		back  func(*redistest.Server)
	}{
		"killed, refuse":        {0, fibersession.Strict, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"killed, tracked":       {0, fibersession.Tracked, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"killed, grace":         {time.Hour, fibersession.Strict, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"stands still, refuse":  {0, fibersession.Strict, (*redistest.Server).Pause, (*redistest.Server).Resume},
		"stands still, grace":   {time.Hour, fibersession.Strict, (*redistest.Server).Pause, (*redistest.Server).Resume},
		"stands still, tracked": {time.Hour, fibersession.Tracked, (*redistest.Server).Pause, (*redistest.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			s := newSite(t, options{
				storage:  server.URL(),
				sessions: fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: tt.grace}, Freshness: tt.f, Timeouts: fibersession.Timeouts{Storage: 2 * time.Second}},
				bridge:   socketbridge.Config{Mode: socketbridge.SessionPerPacket},
			}).counter().serve()
			a := s.agent()
			a.post("/incr")
			tab := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			s.tracked()
			equal(t, "before", call(t, tab, "incr"), "2")

			tt.away(server)
			if tt.grace == 0 {
				// Tracked answers until the feed is known to be late, and then refuses too.
				until(t, "events are refused", func() bool {
					return strings.Contains(call(t, tab, "count"), "session_unavailable")
				})
				if body, status, err := a.try("GET", "/count"); status != fiber.StatusServiceUnavailable || err != nil {
					t.Errorf("a request: %d %s %v", status, body, err)
				}
			} else {
				equal(t, "an event that reads", call(t, tab, "count"), "2")
				equal(t, "a request that reads", a.get("/count"), "2")
			}
			if got := call(t, tab, "incr"); !strings.Contains(got, `"error"`) {
				t.Errorf("an event that writes was answered with %s", got)
			}
			if body, status, err := a.try("POST", "/incr"); status != fiber.StatusServiceUnavailable || err != nil {
				t.Errorf("a request that writes: %d %s %v", status, body, err)
			}
			if tab.Waiting("disconnect") != 0 {
				t.Error("the socket was disconnected")
			}

			tt.back(server)
			// What Redis was sent while it stood still it may have done: then 2 is 3 or 4.
			until(t, "events are handled again", func() bool { return !strings.Contains(call(t, tab, "incr"), "error") })
			equal(t, "a request sees what the socket wrote", a.get("/count"), call(t, tab, "count"))
			if tab.Waiting("disconnect") != 0 {
				t.Error("the socket was disconnected when Redis came back")
			}
		})
	}
}
