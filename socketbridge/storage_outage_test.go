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

// While Redis is unavailable, every request and event is answered: with an error by
// default, or from the last confirmed state if OutageGrace is set. Sockets stay
// connected, and everything works again when Redis does.
func TestOutage_RequestsAndEventsAreAnswered(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		grace time.Duration
		f     fibersession.Freshness
		away  func(*redistest.Server)
		back  func(*redistest.Server)
	}{
		"killed, refuse":  {0, fibersession.Strict, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"killed, tracked": {0, fibersession.Tracked, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"killed, grace":   {time.Hour, fibersession.Strict, (*redistest.Server).Kill, (*redistest.Server).Restart},
		"hangs, refuse":   {0, fibersession.Strict, (*redistest.Server).Pause, (*redistest.Server).Resume},
		"hangs, grace":    {time.Hour, fibersession.Strict, (*redistest.Server).Pause, (*redistest.Server).Resume},
		"hangs, tracked":  {time.Hour, fibersession.Tracked, (*redistest.Server).Pause, (*redistest.Server).Resume},
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
			s.waitForTracking()
			equal(t, "count before the outage", call(t, tab, "incr"), "2")

			tt.away(server)
			if tt.grace == 0 {
				// Tracked serves sessions until it knows that the feed is late.
				waitFor(t, "events to be refused", func() bool {
					return strings.Contains(call(t, tab, "count"), "session_unavailable")
				})
				if body, status, err := a.try("GET", "/count"); status != fiber.StatusServiceUnavailable || err != nil {
					t.Errorf("a request got status %d, body %s and error %v, want 503", status, body, err)
				}
			} else {
				equal(t, "count over the socket", call(t, tab, "count"), "2")
				equal(t, "count over HTTP", a.get("/count"), "2")
			}
			if got := call(t, tab, "incr"); !strings.Contains(got, `"error"`) {
				t.Errorf("an event that writes was answered with %s, want an error", got)
			}
			if body, status, err := a.try("POST", "/incr"); status != fiber.StatusServiceUnavailable || err != nil {
				t.Errorf("a request that writes got status %d, body %s and error %v, want 503", status, body, err)
			}
			if tab.Waiting("disconnect") != 0 {
				t.Error("the socket was disconnected during the outage")
			}

			tt.back(server)
			// Redis may execute commands that it received while it hung: 2 may have become 3 or 4.
			waitFor(t, "events to be handled again", func() bool { return !strings.Contains(call(t, tab, "incr"), "error") })
			equal(t, "count over HTTP", a.get("/count"), call(t, tab, "count"))
			if tab.Waiting("disconnect") != 0 {
				t.Error("the socket was disconnected when Redis came back")
			}
		})
	}
}
