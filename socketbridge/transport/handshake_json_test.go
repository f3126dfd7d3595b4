package transport_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

func TestS2_HandshakeAsJSON(t *testing.T) {
	t.Parallel()
	h := &transport.Handshake{
		Time: time.Date(2026, 11, 7, 4, 5, 6, 7e6, time.FixedZone("", 3600)), Method: "GET", Path: "/socket.io/", Host: "example.com",
		RemoteIP: "192.0.2.1", Secure: true,
		Header: http.Header{
			"Origin": {"https://other.example"}, "User-Agent": {"test"}, "X-Many": {"a", "b"},
			"Cookie": {"SECRET"}, "Authorization": {"Bearer SECRET"}, "Proxy-Authorization": {"SECRET"},
			"X-Api-Key": {"SECRET"}, "X-Session-Id": {"SECRET"}, "X-Csrf-Token": {"SECRET"},
		},
		Query:   url.Values{"EIO": {"4"}, "transport": {"polling"}, "room": {"a b", "c"}, "access_token": {"SECRET"}, "ticket": {"SECRET"}, "sid": {"SECRET"}},
		Cookies: map[string]string{"session": "SECRET"},
		Locals:  map[string]any{"user": "SECRET"},
		Lifted:  struct{ ID string }{"SECRET"},
		Auth:    json.RawMessage(`{"name":"alice","token":"SECRET","pid":"SECRET","offset":"3","ticket":"SECRET","password":"SECRET","nested":{"z":1,"a":2}}`),
	}
	const want = `{"headers":{"host":"example.com","origin":"https://other.example","user-agent":"test","x-many":"a, b"},` +
		`"time":"Sat Nov 07 2026 03:05:06 GMT+0000 (Coordinated Universal Time)","address":"192.0.2.1","xdomain":true,"secure":true,` +
		`"issued":1794020706007,"url":"/socket.io/?EIO=4\u0026room=a+b\u0026room=c\u0026transport=polling",` +
		`"query":{"EIO":"4","room":["a b","c"],"transport":"polling"},"auth":{"name":"alice","nested":{"z":1,"a":2},"offset":"3"}}`
	for name, v := range map[string]any{"pointer": h, "value": *h} {
		text, err := json.Marshal(v)
		if err != nil || string(text) != want {
			t.Errorf("%s: error %v\ngot  %s\nwant %s", name, err, text, want)
		}
		if strings.Contains(string(text), "SECRET") {
			t.Errorf("%s: a secret is in %s", name, text)
		}
	}
	text, err := json.Marshal(&transport.Handshake{})
	if err != nil || !strings.Contains(string(text), `"headers":{}`) || !strings.Contains(string(text), `"auth":{}`) || !strings.Contains(string(text), `"query":{}`) {
		t.Errorf("an empty handshake is %s, error %v", text, err)
	}
}
