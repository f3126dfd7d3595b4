package socketbridge_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
)

// TestS5_PythonClients: Debian's Python clients send the headers of their user, and so the
// cookie, with the handshake alone. They have the session over every transport, and the log is
// silent.
func TestS5_PythonClients(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import socketio, aiohttp, requests, websocket").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("python3-socketio is not installed: %s", out)
		}
		t.Skipf("python3-socketio is not installed: %s", out)
	}
	const calls = `
import asyncio, sys, socketio
kind, url, cookie, transports = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(",")
o = dict(headers={"Cookie": cookie}, transports=transports, wait_timeout=20)
def sync():
    c = socketio.Client(reconnection=False)
    c.connect(url, **o)
    print(c.call("incr", timeout=20), c.call("incr", timeout=20), c.transport())
    c.disconnect()
async def many():
    c = socketio.AsyncClient(reconnection=False)
    await c.connect(url, **o)
    print(await c.call("incr", timeout=20), await c.call("incr", timeout=20), c.transport())
    await c.disconnect()
sync() if kind == "sync" else asyncio.run(many())
`
	for _, kind := range []string{"sync", "asyncio"} {
		for _, transports := range []string{"polling", "websocket", "polling,websocket"} {
			t.Run(kind+" "+transports, func(t *testing.T) {
				t.Parallel()
				var log testlog.Log
				s := newSite(t, options{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}).counter().serve()
				a := s.agent()
				a.post("/incr")
				var stderr strings.Builder
				cmd := exec.Command(python, "-c", calls, kind, s.url, a.cookie(), transports)
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v: %s\nserver: %s", err, stderr.String(), log.String())
				}
				transport := transports[strings.LastIndexByte(transports, ',')+1:]
				equal(t, "answers and transport", strings.TrimSpace(string(out)), "2 3 "+transport)
				equal(t, "count over HTTP", a.get("/count"), "3")
				if strings.Contains(log.String(), "refused") {
					t.Errorf("the log has %s", log.String())
				}
			})
		}
	}
}

// TestS5_CookielessPolls: which requests are admitted by the connection's ID alone, and what
// the log says of the others.
func TestS5_CookielessPolls(t *testing.T) {
	t.Parallel()
	const agent, browser = "python-requests/2.28", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
	type headers = map[string]string
	tests := []struct {
		name         string
		proxy        string // fiber.Config.ProxyHeader
		open, poll   headers
		sendsSession bool // an earlier request has presented the session
		admitted     bool
		log          string
	}{
		{name: "the same program", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent}, admitted: true},
		{name: "the same program, with a proxy's cookie", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent, "Cookie": "visitor=1"}, admitted: true},
		{name: "the same program behind a proxy", proxy: "X-Forwarded-For", open: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.1:1000"}, poll: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.1:2000"}, admitted: true},
		{name: "another address", proxy: "X-Forwarded-For", open: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.1"}, poll: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.2"}, log: "carries no session"},
		{name: "a proxy that is not configured", open: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.1"}, poll: headers{"User-Agent": agent, "X-Forwarded-For": "192.0.2.1"}, log: "carries no session"},
		{name: "another program", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": "curl/8"}, log: "carries no session"},
		{name: "a program that sends its session", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent}, sendsSession: true, log: "carries no session"},
		{name: "a browser", open: headers{"User-Agent": browser}, poll: headers{"User-Agent": browser}, log: "carries no session"},
		{name: "a browser's page", open: headers{"Origin": "SITE"}, poll: headers{}, log: "carries no session"},
		{name: "a browser's fetch", open: headers{"Sec-Fetch-Site": "same-origin"}, poll: headers{}, log: "carries no session"},
		{name: "a poll from a page", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent, "Origin": "SITE"}, log: "carries no session"},
		{name: "another session", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent, "Cookie": "BOB"}, log: "carries another session"},
		{name: "an invented session", open: headers{"User-Agent": agent}, poll: headers{"User-Agent": agent, "Cookie": "session=x"}, log: "carries another session"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log testlog.Log
			s := newSite(t, options{fiber: fiber.Config{ProxyHeader: tt.proxy}, log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}).counter().serve()
			ann, bob := s.agent(), s.agent()
			ann.post("/incr")
			bob.post("/incr")
			request := func(method, query, body string, h headers, cookie string) (int, string) {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if cookie != "" {
					req.Header.Set("Cookie", cookie)
				}
				req.Header.Set("Content-Type", "text/plain")
				for k, v := range h {
					req.Header.Set(k, strings.NewReplacer("SITE", s.url, "BOB", bob.cookie()).Replace(v))
				}
				res, err := ann.plain().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = res.Body.Close() }()
				text, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				return res.StatusCode, string(text)
			}
			_, open := request("GET", "", "", tt.open, ann.cookie())
			_, rest, _ := strings.Cut(open, `"sid":"`)
			sid, _, _ := strings.Cut(rest, `"`)
			if tt.sendsSession {
				if status, body := request("POST", "&sid="+sid, "40", tt.open, ann.cookie()); status != 200 {
					t.Fatalf("with the session: %d %s", status, body)
				}
			}
			for range 3 {
				status, body := request("POST", "&sid="+sid, `40/never,`, tt.poll, "")
				if got := fmt.Sprint(status, " ", body); tt.admitted != (status == 200) || !tt.admitted && got != `400 {"code":1,"message":"Session ID unknown"}` {
					t.Errorf("got %s, want it to be admitted: %v", got, tt.admitted)
				}
			}
			want := 0
			if !tt.admitted {
				want = 1
			}
			if n := strings.Count(log.String(), "a polling request or upgrade was refused"); n != want || want > 0 && !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log has %d refusals, want %d with %q: %s", n, want, tt.log, log.String())
			}
			if strings.Contains(log.String(), sid) || strings.Contains(log.String(), ann.sessionID()) {
				t.Error("the log has an ID")
			}
		})
	}
}

// plain returns an HTTP client without the agent's cookies.
func (a *agent) plain() *http.Client { return &http.Client{Transport: a.http.Transport} }
