package engineio_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/cors"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// hostileOrigins must be refused at http://shop.example, which has crossSiteConfig. The rules
// are tested in origin_internal_test.go. Here they are tested with every kind of request.
var hostileOrigins = []string{
	"https://evil.example",
	"http://evil.example",
	"https://shop.example", // another scheme (CVE-2025-47909)
	"http://shop.example:8080",
	"http://shop.example:0",
	"http://shop.example:080",
	"http://shop.example:80:80",
	"http://shop.example.", // a trailing dot
	"http://www.shop.example",
	"http://evilshop.example", // the same suffix (CVE-2022-42975)
	"http://shop.example.evil.example",
	"http://shop.example/",
	"http://shop.example/path",
	"http://shop.example@evil.example",
	"http://shop.example:80@evil.example",
	"http://evil.example#http://shop.example",
	"http://evil.example?http://shop.example",
	`http://evil.example\.shop.example`,
	"http://evil.example%2f.shop.example",
	"http://shop.example, http://evil.example",
	"http://shop.example http://evil.example",
	"http://shop.exаmple", // with a Cyrillic letter
	"null",
	"NULL",
	"",
	"*",
	"shop.example",
	"//shop.example",
	"http:/shop.example",
	"http://",
	"file://",
	"about:blank",
	"data:text/html,x",
	"blob:http://shop.example/1",
	"https://app.example.com.evil.example",
	"https://evilapp.example.com",
	"https://x.app.example.com",
	"http://app.example.com",
	"https://app.example.com:8443",
	"https://xn--pp-xia.example.com",
	"https://example.org",
	"https://.example.org",
	"https://*.example.org",
	"https://a.b.example.org",
	"https://evilexample.org",
	"https://a.example.org.evil.example",
	"https://evil.example/.example.org",
	"http://a.example.org",
	"https://a.example.org:444",
	"http://localhost:5174",
	"http://127.0.0.1:5173",
	"http://[::1]:5173",
	"https://asked.example.evil.example",
}

// allowedOrigins must be allowed there.
var allowedOrigins = []string{
	"http://shop.example",
	"http://shop.example:80",
	"https://app.example.com",
	"https://a.example.org",
	"http://localhost:5173",
	"https://asked.example",
}

func crossSiteConfig(asked func(origin string)) engineio.Config {
	return engineio.Config{
		AllowOrigins: []string{"https://app.example.com", "https://*.example.org", "http://localhost:5173"},
		AllowOriginFunc: func(origin string, _ *fiber.Ctx) bool {
			asked(origin)
			return origin == "https://asked.example"
		},
	}
}

// TestB9_HostileOrigins sends each hostile origin with each kind of request. None may reach
// the acceptor, read the response, or disturb the connection that it names. (D12, rows 1 and 3
// of docs/security.md)
func TestB9_HostileOrigins(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]bool{}
	cfg := crossSiteConfig(func(origin string) {
		mu.Lock()
		defer mu.Unlock()
		asked[origin] = true
	})
	recorder := echoRecorder()
	var s *site
	s = open(t, recorder, cfg, siteOptions{before: func(app *fiber.App) {
		app.Get("/ws", func(c *fiber.Ctx) error { return s.engine.Plain(recorder)(c) })
	}})
	kinds := requestKinds(s)
	for _, origin := range hostileOrigins {
		p := s.openPoll("Host", "shop.example")
		before := len(recorder.All())
		for _, k := range kinds {
			a := k.send(p.sid, "Origin: "+origin)
			if a.status != 403 || a.code() != 4 {
				t.Errorf("%s, %q: response is %d %s", k.name, origin, a.status, a.body)
			}
			if h := a.header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
				t.Errorf("%s, %q: the headers are %v", k.name, origin, h)
			}
		}
		if n := len(recorder.All()) - before; n > 0 {
			t.Errorf("%q: %d connections reached the acceptor", origin, n)
		}
		if a := p.post("4still here"); a.status != 200 {
			t.Errorf("%q disturbed a connection: %d %s", origin, a.status, a.body)
		}
	}
	for _, k := range kinds { // one bad header is enough for a refusal
		p := s.openPoll("Host", "shop.example")
		for _, headers := range []string{
			"Origin: http://shop.example\r\nOrigin: https://evil.example",
			"Origin: http://shop.example\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site",
			"Sec-Fetch-Site: cross-site",
			"Sec-Fetch-Site: same-site",
		} {
			if a := k.send(p.sid, headers); a.status != 403 {
				t.Errorf("%s, %q: response is %d %s", k.name, headers, a.status, a.body)
			}
		}
	}
	for _, origin := range allowedOrigins {
		for _, k := range kinds {
			p := s.openPoll("Host", "shop.example")
			a := k.send(p.sid, "Origin: "+origin)
			if a.status != 200 && a.status != 101 {
				t.Errorf("%s, %q: response is %d %s", k.name, origin, a.status, a.body)
			}
			want, credentials := origin, "true"
			if strings.HasPrefix(origin, "http://shop.example") {
				want, credentials = "", "" // the site's own pages need no CORS headers
			}
			if h := a.header; h.Get("Access-Control-Allow-Origin") != want || h.Get("Access-Control-Allow-Credentials") != credentials || h.Get("Vary") != "Origin" {
				t.Errorf("%s, %q: the headers are %v", k.name, origin, h)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for origin := range asked {
		if origin == "null" || slices.Contains(allowedOrigins[:5], origin) {
			t.Errorf("AllowOriginFunc was called for %q", origin)
		}
	}
	if !asked["https://evil.example"] || !asked["https://app.example.com:8443"] || !asked["https://asked.example"] {
		t.Errorf("AllowOriginFunc was called for %v", asked)
	}
}

// requestKind is a kind of request that a page can cause.
type requestKind struct {
	name string
	send func(sid, headers string) answer
}

func requestKinds(s *site) []requestKind {
	const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
	to := func(method, target, more, body string) func(sid, headers string) answer {
		return func(sid, headers string) answer {
			if more != "" {
				headers += "\r\n" + more
			}
			return s.rawRequest(method, strings.ReplaceAll(target, "SID", sid), headers, body)
		}
	}
	poll := to("GET", "/socket.io/?"+polling+"&sid=SID", "", "")
	post := to("POST", "/socket.io/?"+polling+"&sid=SID", "Content-Type: text/plain", "4x")
	return []requestKind{
		{"handshake", to("GET", "/socket.io/?"+polling, "", "")},
		{"poll", func(sid, headers string) answer { // makes sure that the poll returns at once
			s.do("POST", polling+"&sid="+sid, "4x", "Host", "shop.example")
			return poll(sid, headers)
		}},
		{"post", post},
		{"websocket", to("GET", "/socket.io/?"+websocket, upgrade, "")},
		{"upgrade", to("GET", "/socket.io/?"+websocket+"&sid=SID", upgrade, "")},
		{"plain websocket", to("GET", "/ws", upgrade, "")},
	}
}

// rawRequest sends a request to shop.example with unmodified headers. http.Client would
// correct or refuse some of them.
func (s *site) rawRequest(method, target, headers, body string) answer {
	s.t.Helper()
	nc := s.dial()
	defer nc.Close()
	_, err := fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n%s\r\n\r\n%s", method, target, len(body), headers, body)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		s.t.Fatalf("%s %s, %q: %v", method, target, headers, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if res.StatusCode != 101 {
		b, err := io.ReadAll(res.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		a.body = string(b)
	}
	return a
}

// TestB9_Preflight: only preflight requests of allowed origins get CORS headers.
func TestB9_Preflight(t *testing.T) {
	t.Parallel()
	cfg := crossSiteConfig(func(string) {})
	cfg.AllowHeaders = []string{"Content-Type", "X-Token"}
	s := open(t, echoRecorder(), cfg)
	for _, origin := range slices.Concat(allowedOrigins, hostileOrigins) {
		a := s.rawRequest("OPTIONS", "/socket.io/?"+polling, "Origin: "+origin+"\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-token", "")
		want := map[string]string{"Vary": "Origin"}
		status := 403
		switch {
		case !slices.Contains(allowedOrigins, origin):
		case strings.HasPrefix(origin, "http://shop.example"):
			status = 204
		default:
			status = 204
			want["Access-Control-Allow-Origin"] = origin
			want["Access-Control-Allow-Credentials"] = "true"
			want["Access-Control-Allow-Methods"] = "GET, POST"
			want["Access-Control-Allow-Headers"] = "Content-Type, X-Token"
			want["Access-Control-Max-Age"] = "600"
		}
		if a.status != status {
			t.Errorf("%q: response is %d %s", origin, a.status, a.body)
		}
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") && want[name] == "" {
				t.Errorf("%q: %s is %q", origin, name, a.header.Get(name))
			}
		}
		for name, value := range want {
			if got := a.header.Get(name); got != value {
				t.Errorf("%q: %s is %q, want %q", origin, name, got, value)
			}
		}
	}
}

// A CORS middleware of the app does not change who may connect: its headers are removed, and
// it does not make AllowAnyOrigin accept cookies.
func TestB9_BesideACORSMiddleware(t *testing.T) {
	t.Parallel()
	mount := func(app *fiber.App) {
		app.Use(cors.New(cors.Config{AllowOriginsFunc: func(string) bool { return true }, AllowCredentials: true}))
	}
	listed := open(t, echoRecorder(), engineio.Config{AllowOrigins: []string{"https://app.example.com"}}, siteOptions{before: mount})
	public := open(t, echoRecorder(), engineio.Config{AllowAnyOrigin: true}, siteOptions{before: mount})
	for _, tt := range []struct {
		site                 *site
		origin               string
		status               int
		allowed, credentials string
	}{
		{listed, "https://evil.example", 403, "", ""},
		{listed, "https://app.example.com", 200, "https://app.example.com", "true"},
		{public, "https://evil.example", 200, "*", ""},
	} {
		a := tt.site.do("GET", polling, "", "Origin", tt.origin)
		if a.status != tt.status || a.header.Get("Access-Control-Allow-Origin") != tt.allowed || a.header.Get("Access-Control-Allow-Credentials") != tt.credentials {
			t.Errorf("%s: %d %v", tt.origin, a.status, a.header)
		}
	}
}

// TestB9_LogSaysWhichSetting: the log names the origin that was refused and the setting that
// refused it.
func TestB9_LogSaysWhichSetting(t *testing.T) {
	t.Parallel()
	no := func(string, *fiber.Ctx) bool { return false }
	tests := []struct {
		name    string
		cfg     engineio.Config
		headers string
		want    []string
	}{
		{"not listed", engineio.Config{}, "Origin: https://app.example", []string{"origin=https://app.example", "site=http://shop.example", "setting=AllowOrigins", "list it in AllowOrigins"}},
		{"refused by the function", engineio.Config{AllowOriginFunc: no}, "Origin: https://app.example", []string{"origin=https://app.example", "setting=AllowOriginFunc"}},
		{"the site's own by https", engineio.Config{}, "Origin: https://shop.example", []string{"origin=https://shop.example", "X-Forwarded-Proto", "TrustedProxies"}},
		{"null", engineio.Config{}, "Origin: null", []string{"origin=null", "setting=AllowOrigins", "sandboxed"}},
		{"no origin at all", engineio.Config{}, "Origin: x", []string{"origin=x", `setting=""`}},
		{"a link", engineio.Config{}, "Sec-Fetch-Site: cross-site", []string{`origin=""`, "a link, an image or a form"}},
		{"two", engineio.Config{}, "Origin: https://a.example\r\nOrigin: https://b.example", []string{`origin="https://a.example, https://b.example"`, "two headers"}},
		{"nothing", engineio.Config{RequireOrigin: true}, "X: y", []string{"setting=RequireOrigin"}},
		{"a long origin", engineio.Config{}, "Origin: https://" + strings.Repeat("a", 3000), []string{`origin="https://` + strings.Repeat("a", 120) + ` and 2880 more bytes"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoRecorder(), tt.cfg)
			for range 20 { // the same request again
				if a := s.rawRequest("GET", "/socket.io/?"+polling, tt.headers, ""); a.status != 403 {
					t.Fatalf("response is %d %s", a.status, a.body)
				}
			}
			lines := refusalLines(s)
			if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") {
				t.Fatalf("log lines are %q", lines)
			}
			for _, want := range tt.want {
				if !strings.Contains(lines[0], want) {
					t.Errorf("%q is not in %s", want, lines[0])
				}
			}
		})
	}
	t.Run("a flood of origins", func(t *testing.T) {
		t.Parallel()
		s := open(t, echoRecorder(), engineio.Config{})
		for i := range 200 {
			s.rawRequest("GET", "/socket.io/?"+polling, fmt.Sprintf("Origin: https://evil%d.example", i), "")
		}
		if n := len(refusalLines(s)); n != 10 {
			t.Errorf("%d refusals were logged, want 10", n)
		}
	})
}

func refusalLines(s *site) []string {
	var lines []string
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "request refused because of its origin") {
			lines = append(lines, line)
		}
	}
	return lines
}

// AllowOriginFunc may keep its argument. If it panics, nothing of the request is left in the
// server.
func TestB9_AllowOriginFunc(t *testing.T) {
	t.Parallel()
	var kept []string
	s := open(t, echoRecorder(), engineio.Config{AllowOriginFunc: func(origin string, c *fiber.Ctx) bool {
		if origin == "https://panic.example" {
			panic("of the app")
		}
		kept = append(kept, origin)
		return c.Query("tenant") == "one"
	}}, siteOptions{before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = fiber.ErrTeapot
				}
			}()
			return c.Next()
		})
	}})
	if a := s.rawRequest("GET", "/socket.io/?"+polling+"&tenant=one", "Origin: HTTPS://First.example:443", ""); a.status != 200 {
		t.Errorf("tenant one: %d %s", a.status, a.body)
	}
	if a := s.rawRequest("GET", "/socket.io/?"+polling+"&tenant=two", "Origin: https://other.example", ""); a.status != 403 {
		t.Errorf("tenant two: %d %s", a.status, a.body)
	}
	if want := []string{"https://first.example", "https://other.example"}; !slices.Equal(kept, want) {
		t.Errorf("the function was called for %q, want %q", kept, want)
	}
	before := s.engine.Stats()
	before.Notices = nil
	if a := s.rawRequest("GET", "/socket.io/?"+polling, "Origin: https://panic.example", ""); a.status != 403 {
		t.Errorf("a panic: %d %s", a.status, a.body)
	}
	after := s.engine.Stats()
	if after.Notices = nil; !reflect.DeepEqual(after, before) {
		t.Errorf("a panic left %+v, want %+v", after, before)
	}
}
