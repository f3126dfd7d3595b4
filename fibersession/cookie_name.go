package fibersession

import (
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// The cookie's names when Config.KeyLookup gives none. The prefixes make browsers
// refuse such a cookie from any but an https page of this very host (__Host-) or
// site (__Secure-).
const (
	hostCookie   = "__Host-session"
	secureCookie = "__Secure-session"
	plainCookie  = "session"

	builtinCookie = "session_id" // with Config.Builtin
)

// CookieName returns the name of the session cookie for this request: that of
// Config.KeyLookup or the first of Config.Extractor, else "__Host-session"; "__Secure-session" with CookieDomain or
// CookiePath; "session" with Insecure, and on plain http to this very machine. It is
// "" when IDs do not come in cookies.
func (s *Store) CookieName(c *fiber.Ctx) string {
	for i := range s.ways {
		if s.ways[i].source == SourceCookie {
			return s.wayName(&s.ways[i], c.Context())
		}
	}
	return ""
}

// cookieName is the name of a session cookie that has none of its own.
func (s *Store) cookieName(r *fasthttp.RequestCtx) string {
	switch {
	case s.cfg.Builtin:
		return builtinCookie
	case s.cfg.Express != nil:
		return expressCookie
	case !s.secure(r):
		return plainCookie
	case s.cfg.CookieDomain != "" || s.cfg.CookiePath != "/":
		return secureCookie
	default:
		return hostCookie
	}
}

// secure says whether the request's cookies are for https only.
func (s *Store) secure(r *fasthttp.RequestCtx) bool {
	return !s.cfg.Cookie.Insecure && (s.cfg.CookieSecure || !plainLoopback(r))
}

// plainLoopback says whether a request came over plain http from a browser on this
// machine, where Secure cookies are not kept by all browsers. What a proxy passed on
// says so in a header, and is not from this machine.
func plainLoopback(r *fasthttp.RequestCtx) bool {
	return !r.IsTLS() && loopback(string(r.Request.Header.Host())) && !forwarded(r)
}

// plainElsewhere says whether a request came over plain http from another machine,
// where no browser keeps a Secure cookie: as far as it can be told, since a proxy may
// speak https without saying so.
func plainElsewhere(r *fasthttp.RequestCtx) bool {
	if r.IsTLS() || loopback(string(r.Request.Header.Host())) {
		return false
	}
	return !forwarded(r) || string(r.Request.Header.Peek("X-Forwarded-Proto")) == "http"
}

// forwarded says whether a proxy passed the request on.
func forwarded(r *fasthttp.RequestCtx) bool {
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via"} {
		if len(r.Request.Header.Peek(name)) > 0 {
			return true
		}
	}
	return false
}

// loopback says whether a Host header names this machine (RFC 6761, section 6.3).
func loopback(host string) bool {
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return ap.Addr().IsLoopback()
	}
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return ip.IsLoopback()
	}
	name = strings.ToLower(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
