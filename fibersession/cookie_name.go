package fibersession

import (
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// The default names of the cookie. The prefixes make browsers refuse the cookie unless an
// https page of exactly this host (__Host-) or of this site (__Secure-) sets it.
const (
	hostCookie   = "__Host-session"
	secureCookie = "__Secure-session"
	plainCookie  = "session"

	builtinCookie = "session_id" // with Config.Builtin
)

// CookieNameOf returns the name of the session cookie for this request. It is the name in
// Config.KeyLookup or the first one in Config.Extractor. If they name none, it is
// "__Host-session"; "__Secure-session" with CookieDomain or CookiePath; and "session" with
// Cookie.Insecure, or over plain http to a loopback address. With Builtin it is
// "session_id", with Express "connect.sid". It is "" if IDs do not come in cookies.
func (s *Store) CookieNameOf(c *fiber.Ctx) string {
	s.start()
	for i := range s.sources {
		if s.sources[i].kind == SourceCookie {
			return s.sourceName(&s.sources[i], c.Context())
		}
	}
	return ""
}

// defaultCookieName returns the name of the cookie for a request if no setting names it.
func (s *Store) defaultCookieName(r *fasthttp.RequestCtx) string {
	switch {
	case !s.secure(r):
		return plainCookie
	case s.Config.CookieDomain != "" || s.Config.CookiePath != "/":
		return secureCookie
	default:
		return hostCookie
	}
}

// secure reports whether the request's cookies are Secure.
func (s *Store) secure(r *fasthttp.RequestCtx) bool {
	return !s.Config.Cookie.Insecure && (s.Config.CookieSecure || !plainLoopback(r))
}

// plainLoopback reports whether a request came over plain http from a browser on this
// machine, where not all browsers keep Secure cookies. A request that a proxy forwarded
// has a header that says so, and did not come from this machine.
func plainLoopback(r *fasthttp.RequestCtx) bool {
	return !r.IsTLS() && isLoopback(string(r.Request.Header.Host())) && !isForwarded(r)
}

// plainElsewhere reports whether a request came over plain http from another machine, where
// browsers drop Secure cookies. It may be wrong if a proxy that speaks https does not say
// so.
func plainElsewhere(r *fasthttp.RequestCtx) bool {
	if r.IsTLS() || isLoopback(string(r.Request.Header.Host())) {
		return false
	}
	return !isForwarded(r) || string(r.Request.Header.Peek("X-Forwarded-Proto")) == "http"
}

// isForwarded reports whether a proxy forwarded the request.
func isForwarded(r *fasthttp.RequestCtx) bool {
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via"} {
		if len(r.Request.Header.Peek(name)) > 0 {
			return true
		}
	}
	return false
}

// isLoopback reports whether a Host header names this machine (RFC 6761, section 6.3).
func isLoopback(host string) bool {
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
