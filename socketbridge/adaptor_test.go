package socketbridge_test

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// serveWithNetHTTP serves a site's app with net/http, over HTTP/2 if secure.
func (s *site) serveWithNetHTTP(secure bool) *httptest.Server {
	s.t.Helper()
	server := httptest.NewUnstartedServer(adaptor.FiberApp(s.app))
	server.EnableHTTP2 = secure
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	s.t.Cleanup(func() {
		shutdown(s.t, s.io) // ends the polls, for which Close waits
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

// TestS5_NetHTTPAdaptor: behind Fiber's adaptor for net/http, clients connect by polling. A
// WebSocket is refused with 400, and the clients that began with one fall back.
func TestS5_NetHTTPAdaptor(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var log testlog.Log
	s := newSite(t, options{log: slog.New(slog.NewTextHandler(&log, nil))}).counter()
	s.app.Get("/plain", s.io.WebSocket())
	server := s.serveWithNetHTTP(false)
	for name, o := range map[string]nodetest.Options{
		"official, polling":            {Transports: []string{"polling"}},
		"official, by its default":     {},
		"official 4.0, by its default": {Version: "4.0"},
		"ours, by its default":         {Version: "own"},
	} {
		t.Run(name, func(t *testing.T) {
			c := n.Connect(t, server.URL, o)
			equal(t, "answer", call(t, c, "incr"), "1")
			equal(t, "answer", call(t, c, "incr"), "2")
			equal(t, "transport", c.State().Transport, "polling")
			c.Close()
		})
	}
	const upgrade = "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	_, body := get(t, server.Client(), server.URL+"/socket.io/?EIO=4&transport=polling")
	var open struct {
		SID      string
		Upgrades []string
	}
	if err := json.Unmarshal([]byte(body[1:]), &open); err != nil || len(open.Upgrades) != 0 {
		t.Errorf("the open packet is %s, want no upgrades", body)
	}
	for name, path := range map[string]string{
		"handshake": "/socket.io/?EIO=4&transport=websocket",
		"upgrade":   "/socket.io/?EIO=4&transport=websocket&sid=" + open.SID,
		"plain":     "/plain",
	} {
		res := rawRequest(t, strings.TrimPrefix(server.URL, "http://"), strings.Replace(upgrade, "%s", path, 1))
		if res.StatusCode != 400 {
			t.Errorf("%s: got status %d, want 400", name, res.StatusCode)
		}
	}
	if got := strings.Count(log.String(), "WebSockets are refused with 400"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, log.String())
	}
	if st := s.io.Stats(); st.Engine.WebSockets != 0 {
		t.Errorf("%d WebSockets are counted, want none", st.Engine.WebSockets)
	}
}

// TestS5_HTTP2Polling: a front end that speaks HTTP/2 and cannot be upgraded serves polling.
func TestS5_HTTP2Polling(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{}).counter()
	server := s.serveWithNetHTTP(true)
	client := server.Client()
	url := server.URL + "/socket.io/?EIO=4&transport="
	res, body := get(t, client, url+"polling")
	if res.ProtoMajor != 2 || res.StatusCode != 200 {
		t.Fatalf("got %s over HTTP/%d", res.Status, res.ProtoMajor)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(body[1:]), &open); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, client, url+"websocket"); !strings.Contains(body, `"code":3`) {
		t.Errorf("a WebSocket by HTTP/2 got %s, want code 3", body)
	}
	poll := url + "polling&sid=" + open.SID
	for _, packet := range []string{"40", `420["incr"]`} {
		res, err := client.Post(poll, "text/plain", strings.NewReader(packet))
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("posting %s: %v, %v", packet, res, err)
		}
		_ = res.Body.Close()
		_, body = get(t, client, poll)
	}
	equal(t, "answer", body, "430[1]")
}

// TestS5_AppTest: an app's own tests can use polling through app.Test. A WebSocket, which
// app.Test cannot read, gets 400.
func TestS5_AppTest(t *testing.T) {
	t.Parallel()
	sessions := fibersession.New(fibersession.Config{Logger: silent})
	t.Cleanup(func() { _ = sessions.Close() })
	io_ := socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: silent})
	io_.On("echo", func(p *socketbridge.Packet) error { return p.Ack("here") })
	app := fiber.New()
	app.Use(sessions.Handler())
	app.Use(io_.Handler())
	do := func(method, target, body string, headers ...string) (*http.Response, string) {
		t.Helper()
		req := httptest.NewRequest(method, target, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := app.Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(text)
	}
	const url = "/socket.io/?EIO=4&transport="
	res, body := do("GET", url+"polling", "")
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(body[1:]), &open); err != nil {
		t.Fatal(err)
	}
	poll := url + "polling&sid=" + open.SID
	cookie := strings.Split(res.Header.Get("Set-Cookie"), ";")[0]
	for _, packet := range []string{"40", `420["echo"]`} {
		if res, body := do("POST", poll, packet, "Content-Type", "text/plain", "Cookie", cookie); res.StatusCode != 200 {
			t.Fatalf("posting %s: %d %s", packet, res.StatusCode, body)
		}
		_, body = do("GET", poll, "", "Cookie", cookie)
	}
	equal(t, "answer", body, `430["here"]`)
	res, _ = do("GET", url+"websocket", "", "Upgrade", "websocket", "Connection", "Upgrade",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13")
	if res.StatusCode != 400 {
		t.Errorf("a WebSocket got %d %v, want 400", res.StatusCode, res.Header)
	}
	shutdown(t, io_)
}

// get returns a response and its body.
func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// rawRequest sends a request as it is written and returns the response's head.
func rawRequest(t *testing.T, addr, request string) *http.Response {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}
