package socketbridge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// While Redis is away every request and every event has an answer: refused by default,
// from what was last confirmed with a grace. Sockets stay, and all goes on by itself.
func TestOutage_RequestsAndEventsAreAnswered(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		grace time.Duration
		f     fibersession.Freshness
		away  func(*storagetest.RedisServer)
		back  func(*storagetest.RedisServer)
	}{
		"killed, refuse":        {0, fibersession.Strict, (*storagetest.RedisServer).Kill, (*storagetest.RedisServer).Restart},
		"killed, tracked":       {0, fibersession.Tracked, (*storagetest.RedisServer).Kill, (*storagetest.RedisServer).Restart},
		"killed, grace":         {time.Hour, fibersession.Strict, (*storagetest.RedisServer).Kill, (*storagetest.RedisServer).Restart},
		"stands still, refuse":  {0, fibersession.Strict, (*storagetest.RedisServer).Pause, (*storagetest.RedisServer).Resume},
		"stands still, grace":   {time.Hour, fibersession.Strict, (*storagetest.RedisServer).Pause, (*storagetest.RedisServer).Resume},
		"stands still, tracked": {time.Hour, fibersession.Tracked, (*storagetest.RedisServer).Pause, (*storagetest.RedisServer).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := storagetest.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
			s := newSite(t, options{
				storage:  server.URL(),
				sessions: fibersession.Config{OutageGrace: tt.grace, Freshness: tt.f, StorageTimeout: 2 * time.Second},
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
