package engineio_test

import (
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// D12, rows 1 to 3: the origin of every request of every transport is checked. The rules are
// tested in origin_internal_test.go.
func TestD12_OriginOfEveryRequest(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{AllowOrigins: []string{"https://app.example.com"}})
	origins := []struct {
		name    string
		headers []string
		allowed bool
		cors    string
	}{
		{"none", nil, true, ""},
		{"the site's own", []string{"Origin", "http://" + s.addr}, true, ""},
		{"listed", []string{"Origin", "https://app.example.com"}, true, "https://app.example.com"},
		{"another", []string{"Origin", "https://evil.example"}, false, ""},
		{"null", []string{"Origin", "null"}, false, ""},
		{"cross-site", []string{"Sec-Fetch-Site", "cross-site"}, false, ""},
	}
	requests := []struct {
		name string
		send func(p *pollClient, headers []string) answer
	}{
		{"handshake", func(p *pollClient, h []string) answer { return s.do("GET", polling, "", h...) }},
		{"poll", func(p *pollClient, h []string) answer {
			if a := s.do("POST", p.query(), "4x"); a.status != 200 { // makes sure that the poll returns at once
				t.Fatal(a)
			}
			return s.do("GET", p.query(), "", h...)
		}},
		{"post", func(p *pollClient, h []string) answer { return s.do("POST", p.query(), "4x", h...) }},
		{"websocket", func(p *pollClient, h []string) answer {
			before := len(s.recorder.All())
			_, a := s.dialWS(websocket, h...)
			if a.status == 101 { // the acceptor is called after the response
				waitFor(t, func() bool { return len(s.recorder.All()) > before })
			}
			return a
		}},
		{"upgrade", func(p *pollClient, h []string) answer {
			_, a := s.dialWS(websocket+"&sid="+p.sid, h...)
			return a
		}},
	}
	for _, r := range requests {
		for _, o := range origins {
			t.Run(r.name+"/"+o.name, func(t *testing.T) {
				p := s.openPoll()
				before := len(s.recorder.All())
				a := r.send(p, o.headers)
				if ok := a.status == 200 || a.status == 101; ok != o.allowed || !ok && (a.status != 403 || a.code() != 4) {
					t.Errorf("response is %d %s", a.status, a.body)
				}
				if got := a.header.Get("Access-Control-Allow-Origin"); got != o.cors {
					t.Errorf("Access-Control-Allow-Origin is %q, want %q", got, o.cors)
				}
				if got := a.header.Get("Access-Control-Allow-Credentials"); (got == "true") != (o.cors != "") {
					t.Errorf("Access-Control-Allow-Credentials is %q", got)
				}
				if a.header.Get("Vary") != "Origin" {
					t.Errorf("Vary is %q", a.header.Get("Vary"))
				}
				if !o.allowed {
					if n := len(s.recorder.All()); n != before {
						t.Error("a refused request reached the acceptor")
					}
					if a := s.do("POST", p.query(), "4x"); a.status != 200 {
						t.Errorf("the connection was disturbed: %d %s", a.status, a.body)
					}
				}
			})
		}
	}
}

func TestCORS_Preflight(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{AllowOrigins: []string{"https://app.example.com"}, AllowHeaders: []string{"Content-Type", "X-Token"}})
	a := s.do("OPTIONS", polling, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
	want := map[string]string{
		"Access-Control-Allow-Origin":      "https://app.example.com",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods":     "GET, POST",
		"Access-Control-Allow-Headers":     "Content-Type, X-Token",
		"Access-Control-Max-Age":           "600",
		"Vary":                             "Origin",
	}
	for k, v := range want {
		if a.header.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, a.header.Get(k), v)
		}
	}
	if a.status != 204 {
		t.Errorf("the status is %d", a.status)
	}
	if a := s.do("OPTIONS", polling, "", "Origin", "http://"+s.addr); a.status != 204 || a.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("the site's own got %d with %v", a.status, a.header)
	}
}

// The site's own origin is taken from the headers of a trusted proxy.
func TestOrigin_BehindAProxy(t *testing.T) {
	t.Parallel()
	forwarded := []string{"Origin", "https://site.example", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "site.example"}
	trusted := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"127.0.0.1"}}})
	if a := trusted.do("GET", polling, "", forwarded...); a.status != 200 {
		t.Errorf("from a trusted proxy: %d %s", a.status, a.body)
	}
	untrusted := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"192.0.2.1"}}})
	if a := untrusted.do("GET", polling, "", forwarded...); a.status != 403 {
		t.Errorf("from an untrusted address: %d %s", a.status, a.body)
	}
}

// With AllowAnyOrigin, no page can act on behalf of its visitor.
func TestAllowAnyOrigin_IgnoresCookies(t *testing.T) {
	t.Parallel()
	var seen []string
	hooks := engineio.Hooks{Lift: func(c *fiber.Ctx) (any, error) {
		seen = append(seen, c.Cookies("session"), string(c.Request().Header.Peek("Cookie")))
		if !engineio.CookiesIgnored(c) {
			t.Error("CookiesIgnored is false in Lift")
		}
		return nil, nil
	}}
	recorder := echoRecorder()
	s := open(t, recorder, engineio.Config{AllowAnyOrigin: true}, siteOptions{hooks: hooks})
	p := s.openPoll("Origin", "https://evil.example", "Cookie", "session=secret")
	if strings.Join(seen, "") != "" {
		t.Errorf("Lift saw %q", seen)
	}
	if hs := s.nextConn().Conn.Handshake(); len(hs.Cookies) != 0 || hs.Header.Get("Cookie") != "" {
		t.Errorf("the handshake has cookies: %v", hs)
	}
	a := p.post("4x")
	if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("the headers are %v", a.header)
	}
	if !strings.Contains(s.log.String(), "AllowAnyOrigin") {
		t.Error("no warning was logged")
	}
	quiet := open(t, &transporttest.Recorder{}, engineio.Config{}, siteOptions{hooks: engineio.Hooks{Lift: func(c *fiber.Ctx) (any, error) {
		if engineio.CookiesIgnored(c) || c.Cookies("session") != "secret" {
			t.Error("cookies are ignored although AllowAnyOrigin is not set")
		}
		return nil, nil
	}}})
	quiet.openPoll("Cookie", "session=secret")
}
