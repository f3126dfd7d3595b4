package sitehost_test

import (
	"bufio"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/sitehost"
)

// Row 1: the host that the Origin check compares with cannot be chosen by a header that any
// client can send.
func TestB9_HostOfTheSite(t *testing.T) {
	t.Parallel()
	trusting := fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"0.0.0.0"}} // the peer of a request without a connection
	other := fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"10.0.0.7"}}
	tests := []struct {
		name    string
		cfg     fiber.Config
		request string
		host    string
		ok      bool
	}{
		{"the Host header", fiber.Config{}, "GET / HTTP/1.1\r\nHost: a.example:81\r\n", "a.example:81", true},
		{"an address", fiber.Config{}, "GET / HTTP/1.1\r\nHost: [::1]:81\r\n", "[::1]:81", true},
		{"no host", fiber.Config{}, "GET / HTTP/1.0\r\n", "", true},
		{"X-Forwarded-Host with Fiber's defaults", fiber.Config{}, "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Host: evil.example\r\n", "a.example", true},
		{"X-Forwarded-Host of a proxy that is not trusted", other, "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Host: evil.example\r\n", "a.example", true},
		{"X-Forwarded-Host of a trusted proxy", trusting, "GET / HTTP/1.1\r\nHost: node\r\nX-Forwarded-Host: a.example\r\n", "a.example", true},
		{"a trusted proxy without it", trusting, "GET / HTTP/1.1\r\nHost: a.example\r\n", "a.example", true},
		{"the same absolute URI", fiber.Config{}, "GET http://A.example/ HTTP/1.1\r\nHost: a.Example\r\n", "a.Example", true},
		{"another absolute URI", fiber.Config{}, "GET http://evil.example/ HTTP/1.1\r\nHost: a.example\r\n", "a.example", false},
		{"another absolute URI of a trusted proxy", trusting, "GET http://evil.example/ HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Host: b.example\r\n", "b.example", false},
		{"another port", fiber.Config{}, "GET http://a.example:82/ HTTP/1.1\r\nHost: a.example\r\n", "a.example", false},
		{"a URI in the query", fiber.Config{}, "GET /?to=http://evil.example/ HTTP/1.1\r\nHost: a.example\r\n", "a.example", true},
		{"a URI in the path", fiber.Config{}, "GET /x//http://evil.example/ HTTP/1.1\r\nHost: a.example\r\n", "a.example", true},
		{"two slashes", fiber.Config{}, "GET //evil.example/ HTTP/1.1\r\nHost: a.example\r\n", "a.example", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := fiber.New(tt.cfg)
			ctx := &fasthttp.RequestCtx{}
			if err := ctx.Request.Read(bufio.NewReader(strings.NewReader(tt.request + "\r\n"))); err != nil {
				t.Fatal(err)
			}
			c := app.AcquireCtx(ctx)
			defer app.ReleaseCtx(c)
			if host, ok := sitehost.Of(c); host != tt.host || ok != tt.ok {
				t.Errorf("Of is %q, %v, want %q, %v; Fiber says %q", host, ok, tt.host, tt.ok, c.Hostname())
			}
		})
	}
}
