package socketbridge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// framings are bodies whose end two servers can see at different places. A second request
// follows, which must not be answered.
var framings = map[string]string{
	"a length and chunks":     "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and a length":     "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"chunks in HTTP/1.0":      "HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"identity":                "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
	"two lengths":             "HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
	"two equal lengths":       "HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
	"a list of lengths":       "HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab",
	"a negative length":       "HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	"a length with a sign":    "HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab",
	"a hexadecimal length":    "HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab",
	"chunks twice":            "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked and identity":    "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
	"gzip, chunked":           "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunked, identity":       "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"an unknown coding":       "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\nab",
	"a space before a colon":  "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\nab",
	"two hosts":               "HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"a tab before the coding": "HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
}

const pipelined = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n"

// exchange sends bytes on a connection of its own, and reads until the server closes. It
// returns the statuses of the responses.
func exchange(t *testing.T, s *site, send string) (statuses []int) {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(nc, send)
	for r := bufio.NewReader(nc); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Errorf("%.200q: the connection stays open", send)
			}
			return statuses
		}
		_, _ = io.Copy(io.Discard, res.Body)
		statuses = append(statuses, res.StatusCode)
	}
}

// Row 65: a request whose end is ambiguous ends its connection, on each path that the server
// answers and, with LimitBodies, on those of the app.
func TestAmbiguousRequestsEndTheConnection(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	behind := func(app *fiber.App, sessions, sockets fiber.Handler) {
		app.Use(sessions, sockets)
		app.All("/app", func(c *fiber.Ctx) error { return c.SendString("the app") })
		app.Get("/second", func(c *fiber.Ctx) error { return c.SendString("second") })
	}
	limited := newSite(t, options{mount: behind, log: slog.New(slog.NewTextHandler(&log, nil))})
	limited.app.All("/plain", limited.io.Of("/").WebSocket())
	limited.serve()
	unlimited := newSite(t, options{mount: behind, noLimits: true})
	unlimited.app.All("/plain", unlimited.io.Of("/").WebSocket())
	unlimited.serve()
	paths := []string{
		"POST /socket.io/?EIO=4&transport=polling", "GET /socket.io/?EIO=4&transport=polling", "POST /socket.io/ticket", "POST /socket.io/cookie/abc",
		"GET /socket.io/fiberbridge.mjs", "GET /socket.io/socket.io.js", "POST /plain", "POST /app",
	}
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			for _, path := range paths {
				if got := exchange(t, limited, path+" "+framing+pipelined); len(got) != 1 || got[0] != 400 {
					t.Errorf("%s: the responses are %v", path, got)
				}
				answered := path == "POST /app" || strings.HasSuffix(path, "js") // fasthttp refuses the other framings
				if got := exchange(t, unlimited, path+" "+framing+pipelined); len(got) != 1 || got[0] != 400 && !answered {
					t.Errorf("%s, without LimitBodies: the responses are %v", path, got)
				}
			}
		})
	}
	second := strings.Replace(pipelined, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)
	// The same connection serves both of two ordinary requests.
	ok := "POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" + second
	if got := exchange(t, limited, ok); fmt.Sprint(got) != "[200 200]" {
		t.Errorf("two ordinary requests: %v", got)
	}
	if n := limited.io.Stats().Engine.Notices["ambiguous_request"]; n == 0 || !strings.Contains(log.String(), "notice=ambiguous_request") {
		t.Errorf("counted %d, and the log is\n%s", n, &log)
	}
}

// Row 66: a request whose line and Host header name two hosts is refused, and X-Forwarded-Host
// does not make another site's origin the site's own.
func TestB9_HostsThatContradict(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newSite(t, options{log: slog.New(slog.NewTextHandler(&log, nil))}).serve()
	host := strings.TrimPrefix(s.url, "http://")
	const query = "/socket.io/?EIO=4&transport=polling"
	for name, tt := range map[string]struct {
		request string
		want    int
	}{
		"the site":                           {"GET " + query + " HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" + host + "\r\n", 200},
		"an absolute URI of the site":        {"GET http://" + host + query + " HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" + host + "\r\n", 200},
		"an absolute URI of another":         {"GET http://evil.example" + query + " HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://evil.example\r\n", 400},
		"an absolute URI of another, ticket": {"POST http://evil.example/socket.io/ticket HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n", 400},
		"X-Forwarded-Host":                   {"GET " + query + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: shop.example\r\nOrigin: http://shop.example\r\n", 403},
		"X-Forwarded-Host, ticket":           {"POST /socket.io/ticket HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: shop.example\r\nOrigin: http://shop.example\r\nContent-Length: 0\r\n", 403},
		"X-Forwarded-Host, own origin":       {"GET " + query + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: evil.example\r\nOrigin: http://" + host + "\r\n", 200},
	} {
		if got := exchange(t, s, tt.request+"Connection: close\r\n\r\n"); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: the responses are %v, want %d", name, got, tt.want)
		}
	}
	for _, want := range []string{"name different hosts", "X-Forwarded-Host, which counts only from a proxy", "notice=ambiguous_request"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
}
