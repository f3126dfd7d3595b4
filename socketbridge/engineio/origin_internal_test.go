package engineio

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

func TestParseOrigin(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://example.com", "https://example.com:443"},
		{"http://example.com", "http://example.com:80"},
		{"https://example.com:443", "https://example.com:443"},
		{"https://EXAMPLE.com", "https://example.com:443"},
		{"https://example.com:8443", "https://example.com:8443"},
		{"https://example.com.", "https://example.com.:443"},
		{"http://127.0.0.1:3000", "http://127.0.0.1:3000"},
		{"http://[::1]:3000", "http://[::1]:3000"},
		{"http://[::1]", "http://[::1]:80"},
		{"https://xn--mnchen-3ya.de", "https://xn--mnchen-3ya.de:443"},
		{"capacitor://localhost", "capacitor://localhost:"},
		{"chrome-extension://abcdef", "chrome-extension://abcdef:"},
		{"", ""},
		{"null", ""},
		{"*", ""},
		{"example.com", ""},
		{"//example.com", ""},
		{"https:/example.com", ""},
		{"https://", ""},
		{"https://*.example.com", ""},
		{"https://example.com/", ""},
		{"https://example.com/path", ""},
		{"https://example.com?x", ""},
		{"https://example.com#x", ""},
		{"https://user@example.com", ""},
		{"https://example.com\\.evil.com", ""},
		{"https://example.com https://evil.com", ""},
		{"https://example.com,https://evil.com", ""},
		{" https://example.com", ""},
		{"https://münchen.de", ""},
		{"https://example.com:0", ""},
		{"https://example.com:00443", ""},
		{"https://example.com:65536", ""},
		{"https://example.com:", ""},
		{"https://example.com:+1", ""},
		{"https://[::1", ""},
		{"https://[]", ""},
		{"https://[::1%25eth0]", ""},
		{"1https://example.com", ""},
		{"https://example.com\x00", ""},
		{"https://" + strings.Repeat("a", 600), ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, ok := parseOrigin(tt.in)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestOriginPolicy(t *testing.T) {
	closed := Config{}
	listed := Config{AllowOrigins: []string{"https://app.example.com", "http://localhost:5173", "capacitor://localhost"}}
	opaque := Config{AllowOrigins: []string{"null", "https://app.example.com"}}
	required := Config{RequireOrigin: true}
	anyone := Config{AllowAnyOrigin: true}
	wildcard := Config{AllowOrigins: []string{"https://*.example.org", "https://*.example.net:8443", "http://*.localhost:3000"}}
	asked := Config{AllowOrigins: []string{"https://app.example.com"}, AllowOriginFunc: func(origin string, _ *fiber.Ctx) bool {
		return origin == "https://asked.example" || origin == "http://asked.example:8080" || origin == "capacitor://asked"
	}}
	https := func(origin ...string) originRequest {
		return originRequest{Origins: origin, Scheme: "https", Host: "example.com"}
	}
	fetch := func(site ...string) originRequest {
		return originRequest{FetchSite: site, Scheme: "https", Host: "example.com"}
	}
	tests := []struct {
		name string
		cfg  Config
		req  originRequest
		want originAccess
	}{
		{"the site's own", closed, https("https://example.com"), sameOrigin},
		{"with the port written out", closed, https("https://example.com:443"), sameOrigin},
		{"in capitals", closed, https("https://EXAMPLE.com"), sameOrigin},
		{"the scheme of another", closed, https("http://example.com"), refused}, // CVE-2025-47909
		{"a port of another", closed, https("https://example.com:8443"), refused},
		{"a subdomain", closed, https("https://app.example.com"), refused},
		{"a name that ends alike (CVE-2022-42975)", closed, https("https://evilexample.com"), refused},
		{"a name that begins alike", closed, https("https://example.com.evil.com"), refused},
		{"a trailing dot", closed, https("https://example.com."), refused},
		{"null", closed, https("null"), refused},
		{"an empty header", closed, https(""), refused},
		{"two headers", closed, https("https://example.com", "https://example.com"), refused},
		{"two in one header", closed, https("https://example.com, https://evil.com"), refused},
		{"no URL", closed, https("example.com"), refused},
		{"with a path", closed, https("https://example.com/"), refused},
		{"with a user", closed, https("https://example.com@evil.com"), refused},
		{"not in ASCII", closed, https("https://exаmple.com"), refused}, // a Cyrillic letter
		{"a port of the site", closed, originRequest{Origins: []string{"http://localhost:3000"}, Scheme: "http", Host: "localhost:3000"}, sameOrigin},
		{"another port of the same host", closed, originRequest{Origins: []string{"http://localhost:3001"}, Scheme: "http", Host: "localhost:3000"}, refused},
		{"an IPv6 site", closed, originRequest{Origins: []string{"http://[::1]:3000"}, Scheme: "http", Host: "[::1]:3000"}, sameOrigin},
		{"a site without a name", closed, originRequest{Origins: []string{"http://x"}, Scheme: "http"}, refused},
		{"a site with a broken name", closed, originRequest{Origins: []string{"http://a/b"}, Scheme: "http", Host: "a/b"}, refused},

		{"no header: no browser", closed, https(), sameOrigin},
		{"fetch from the same origin", closed, fetch("same-origin"), sameOrigin},
		{"typed by the user", closed, fetch("none"), sameOrigin},
		{"fetch from the same site", closed, fetch("same-site"), refused},
		{"fetch from another site", closed, fetch("cross-site"), refused},
		{"fetch from somewhere new", closed, fetch("other"), refused},
		{"two fetch headers", closed, fetch("same-origin", "same-origin"), refused},
		{"the origin counts first", closed, originRequest{Origins: []string{"https://evil.com"}, FetchSite: []string{"same-origin"}, Scheme: "https", Host: "example.com"}, refused},

		{"listed", listed, https("https://app.example.com"), crossOrigin},
		{"listed, with its port", listed, https("https://app.example.com:443"), crossOrigin},
		{"listed, another scheme", listed, https("http://app.example.com"), refused},
		{"listed, another port", listed, https("https://app.example.com:8443"), refused},
		{"below what is listed", listed, https("https://x.app.example.com"), refused},
		{"listed with a port", listed, https("http://localhost:5173"), crossOrigin},
		{"an app's scheme", listed, https("capacitor://localhost"), crossOrigin},
		{"not listed", listed, https("https://evil.com"), refused},
		{"the site's own beside a list", listed, https("https://example.com"), sameOrigin},
		{"null beside a list", listed, https("null"), refused},
		{"null, listed", opaque, https("null"), anyOrigin},
		{"a file's WebSocket, listed as null", opaque, https("file://"), anyOrigin},
		{"a file's WebSocket", closed, https("file://"), refused},
		{"a file with a path", opaque, https("file:///etc"), refused},
		{"null twice", opaque, https("null", "null"), refused},
		{"null in capitals", opaque, https("NULL"), refused},
		{"the site's own beside null", opaque, https("https://example.com"), sameOrigin},
		{"listed beside null", opaque, https("https://app.example.com"), crossOrigin},
		{"another beside null", opaque, https("https://evil.com"), refused},

		{"required, and there", required, https("https://example.com"), sameOrigin},
		{"required, and Sec-Fetch-Site instead", required, fetch("same-origin"), sameOrigin},
		{"required, and not there", required, https(), refused},

		{"wildcard", wildcard, https("https://a.example.org"), crossOrigin},
		{"wildcard, with the port written out", wildcard, https("https://a.example.org:443"), crossOrigin},
		{"wildcard, in capitals", wildcard, https("https://A.Example.org"), crossOrigin},
		{"wildcard, a name in another alphabet", wildcard, https("https://xn--mnchen-3ya.example.org"), crossOrigin},
		{"wildcard with a port", wildcard, https("https://a.example.net:8443"), crossOrigin},
		{"wildcard of this machine", wildcard, https("http://a.localhost:3000"), crossOrigin},
		{"wildcard: not the name itself", wildcard, https("https://example.org"), refused},
		{"wildcard: not two labels", wildcard, https("https://a.b.example.org"), refused},
		{"wildcard: not an empty label", wildcard, https("https://.example.org"), refused},
		{"wildcard: not a name that ends alike (CVE-2022-42975)", wildcard, https("https://evilexample.org"), refused},
		{"wildcard: not a name that begins alike", wildcard, https("https://a.example.org.evil.com"), refused},
		{"wildcard: not with a trailing dot", wildcard, https("https://a.example.org."), refused},
		{"wildcard: not the scheme of another", wildcard, https("http://a.example.org"), refused},
		{"wildcard: not a port of another", wildcard, https("https://a.example.org:8443"), refused},
		{"wildcard: not the scheme's port for another", wildcard, https("https://a.example.net"), refused},
		{"wildcard: not a star", wildcard, https("https://*.example.org"), refused},
		{"wildcard: not a path that ends alike", wildcard, https("https://evil.com/.example.org"), refused},
		{"wildcard: not a user", wildcard, https("https://evil.com@a.example.org"), refused},

		{"asked", asked, https("https://asked.example"), crossOrigin},
		{"asked in the form of browsers", asked, https("https://ASKED.example:443"), crossOrigin},
		{"asked with its port", asked, https("http://asked.example:8080"), crossOrigin},
		{"asked, an app's scheme", asked, https("capacitor://asked"), crossOrigin},
		{"asked, and no", asked, https("https://evil.example"), refused},
		{"listed, and not asked", asked, https("https://app.example.com"), crossOrigin},

		{"any", anyone, https("https://evil.com"), anyOrigin},
		{"any, null", anyone, https("null"), anyOrigin},
		{"any, the site's own too", anyone, https("https://example.com"), anyOrigin},
		{"any, no header", anyone, https(), anyOrigin},
		{"any, cross-site", anyone, fetch("cross-site"), anyOrigin},
		{"any, but required", Config{AllowAnyOrigin: true, RequireOrigin: true}, https(), refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newOriginPolicy(tt.cfg)
			got, reason := p.check(tt.req)
			if got != tt.want || (reason == notRefused) != (got != refused) {
				t.Errorf("got %d (%d), want %d", got, reason, tt.want)
			}
		})
	}
}

// wild matches the origins that "https://*.wild.example" allows.
var wild = regexp.MustCompile(`^https://[a-z0-9_-]+\.wild\.example$`)

func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://example.com", "http://[::1]:1", "null", "a://b:1", "https://EXAMPLE.com:443", "https://a.wild.example", "https://a.b.wild.example:443"} {
		f.Add(s, "example.com")
	}
	f.Fuzz(func(t *testing.T, origin, host string) {
		canonical, ok := parseOrigin(origin)
		if ok {
			if again, ok := parseOrigin(strings.TrimSuffix(canonical, ":")); !ok || again != canonical {
				t.Fatalf("%q is %q, which is %q, %v", origin, canonical, again, ok)
			}
			if strings.ContainsAny(canonical, "*/@?#\\, \x00") != strings.Contains(canonical, "://") || strings.Count(canonical, "/") != 2 {
				t.Fatalf("%q is %q", origin, canonical)
			}
		}
		p := newOriginPolicy(Config{AllowOrigins: []string{"https://listed.example", "https://*.wild.example"}})
		v, _ := p.check(originRequest{Origins: []string{origin}, Scheme: "https", Host: host})
		switch v {
		case sameOrigin:
			if !strings.EqualFold(strings.TrimSuffix(origin, ":443"), "https://"+strings.TrimSuffix(host, ":443")) {
				t.Fatalf("%q is taken for the origin of the site %q", origin, host)
			}
		case crossOrigin:
			bare := strings.ToLower(strings.TrimSuffix(origin, ":443"))
			if bare != "https://listed.example" && !wild.MatchString(bare) {
				t.Fatalf("%q is taken for a listed origin", origin)
			}
		}
	})
}
