package socketbridge_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS2_HandshakeIsThatOfNode emits the handshake to the official client, as apps on Node
// do, and compares its fields with those of Node. No secret is in it, wherever the session's
// ID comes from.
func TestS2_HandshakeIsThatOfNode(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		source                fibersession.Extractor
		cookie, header, query string
	}{
		"cookie": {source: fibersession.FromCookie("visitor"), cookie: "SECRET"},
		"header": {source: fibersession.FromHeader("X-Visitor"), header: "SECRET"},
		"query":  {source: fibersession.FromQuery("visitor"), query: "SECRET"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, options{sessions: fibersession.Config{Extractor: tt.source}}).serve()
			s.io.On("handshake", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().Handshake()) })
			c := n.Connect(t, s.url, nodetest.Options{
				Cookie: "visitor=" + tt.cookie,
				Header: map[string]string{"X-Visitor": tt.header, "Authorization": "Bearer SECRET", "X-App": "shop"},
				Query:  map[string]string{"visitor": tt.query, "tab": "3"},
				Auth:   map[string]any{"name": "alice", "token": "SECRET"},
			})
			defer c.Close()
			text := call(t, c, "handshake")
			var h struct {
				Headers, Query, Auth map[string]any
			}
			var fields map[string]any
			if err := json.Unmarshal([]byte(text), &h); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(text), &fields); err != nil {
				t.Fatal(err)
			}
			got := slices.Sorted(maps.Keys(fields))
			if want := []string{"address", "auth", "headers", "issued", "query", "secure", "time", "url", "xdomain"}; !slices.Equal(got, want) {
				t.Errorf("the fields are %v, want %v", got, want)
			}
			if h.Headers["x-app"] != "shop" || h.Query["tab"] != "3" || h.Query["EIO"] != "4" || h.Auth["name"] != "alice" {
				t.Errorf("got %s", text)
			}
			if strings.Contains(text, "SECRET") {
				t.Errorf("a secret is in %s", text)
			}
		})
	}
}
