package contribws_test

import (
	"testing"

	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// TestB9_OriginsOfContribConnections: the route has the engine's origin policy, which is tested
// in package engineio. Listeners are not called for a refused connection.
func TestB9_OriginsOfContribConnections(t *testing.T) {
	t.Parallel()
	handled := make(events, 16)
	s := newSite(t, options{
		bridge: socketbridge.Config{Engine: engineio.Config{AllowOrigins: []string{"https://app.example.com", "https://*.example.org"}}},
		listeners: listeners{
			socketio.EventConnect: func(ep *socketio.EventPayload) { handled <- "connect " + ep.Kws.Params("room") },
		},
	})
	a := &browser{site: s}
	for _, headers := range [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "https://app.example.com.evil.example"},
		{"Origin", "http://app.example.com"},
		{"Origin", "https://a.b.example.org"},
		{"Origin", "null"},
		{"Origin", s.url, "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
	} {
		if c, err := a.tryDial(t.Context(), "/ws/refused", headers...); err == nil {
			t.Errorf("%q was allowed", headers)
			_ = c.ws.CloseNow()
		}
	}
	for _, origin := range []string{s.url, "https://app.example.com", "https://a.example.org"} {
		a.dial("/ws/allowed", "Origin", origin)
		handled.expect(t, "connect allowed") // and no listener was called before
	}
}
