// Whether a request's cookies are Secure, and what follows from that.

package fibersession

import (
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// isSecure reports whether a request's cookies are Secure: if Fiber takes the request for
// https, because of TLS or of a proxy that it trusts, or if a setting makes all cookies
// Secure. It is decided once per request, when the request's Session is made.
func (s *Store) isSecure(c *fiber.Ctx) bool {
	if sess := s.sessionOf(c.Context()); sess != nil {
		return sess.secure
	}
	if s.alwaysSecure {
		s.warnOfDroppedCookie(c)
		return true
	}
	secure := c.Secure()
	if !secure {
		s.warnOfUntrustedProxy(c)
	}
	return secure
}

// configureSecure settles whether all cookies are Secure. Browsers drop a cookie that is not
// Secure if it has Partitioned, SameSite=None or a prefix in its name. Such a cookie is
// therefore Secure on plain http too, which keeps it only if a proxy terminates TLS without
// saying so.
func (s *Store) configureSecure() {
	switch c := &s.Config; {
	case c.CookieSecure:
	case c.CookiePartitioned:
		s.secureReason = "CookiePartitioned is set"
	case s.sameSite == int(fasthttp.CookieSameSiteNoneMode):
		s.secureReason = "CookieSameSite is None"
	default:
		for _, src := range s.sources {
			if src.kind == SourceCookie && hasSecurePrefix(src.name) {
				s.secureReason = "KeyLookup names the cookie " + src.name
				break
			}
		}
	}
	s.alwaysSecure = s.Config.CookieSecure || s.secureReason != ""
}

// begunPlain reports whether a session that begins in a request is marked as one of plain
// http.
func (s *Store) begunPlain(secure bool) cookieFlags {
	if secure || !s.layout.keepsCookieFlags() {
		return 0
	}
	return cookiePlain
}

// accepts reports whether a request may use the session whose ID it presents. A cookie of
// plain http can be read and set by anyone on the network path. So it gives no access to a
// session that began on https, and a cookie of an https request gives none to a session that
// began on plain http.
func (s *Store) accepts(p *presentedID, m *meta) bool {
	return !p.inCookie || !s.layout.keepsCookieFlags() || m.cookie.has(cookiePlain) != p.secure
}

// reportCrossed reports a session that accepts refused.
func (s *Store) reportCrossed(p *presentedID) {
	began, came := "https", "plain http"
	if p.secure {
		began, came = came, began
	}
	s.notices.Report(&cookieCrossedNotice, came, "began", began, "came", came)
}

// warnOfPlainCookie logs the first cookie that goes over plain http.
func (s *Store) warnOfPlainCookie(r *fasthttp.RequestCtx, c *fasthttp.Cookie) {
	switch {
	case c.Secure():
	case isThisMachine(r):
		s.notices.Report(&cookieLocalNotice, "")
	default:
		s.notices.Report(&cookiePlainHTTPNotice, "", "host", (*loggedHost)(r))
	}
}

// warnOfDroppedCookie logs the first request over plain http whose cookie is Secure because
// of a setting.
func (s *Store) warnOfDroppedCookie(c *fiber.Ctx) {
	if s.secureReason != "" && !c.Secure() {
		s.notices.Report(&cookieDroppedNotice, "", "because", s.secureReason, "host", (*loggedHost)(c.Context()))
	}
}

// warnOfUntrustedProxy logs a request that says that it came over https, but whose peer Fiber
// does not trust. The headers are those that Fiber reads.
func (s *Store) warnOfUntrustedProxy(c *fiber.Ctx) {
	if c.IsProxyTrusted() {
		return
	}
	for _, h := range [...]struct{ name, https string }{
		{fiber.HeaderXForwardedProto, "https"},
		{fiber.HeaderXForwardedProtocol, "https"},
		{fiber.HeaderXForwardedSsl, "on"},
		{fiber.HeaderXUrlScheme, "https"},
	} {
		value, _, _ := strings.Cut(c.Get(h.name), ",")
		if value != h.https {
			continue
		}
		s.notices.Report(&proxyUntrustedNotice, "", "header", h.name, "peer", c.Context().RemoteIP().String())
		return
	}
}

// isThisMachine reports whether a request came from a browser on this machine. The Host header
// alone does not tell: some proxies replace it with the name that they know the app by. A
// request that a proxy forwarded usually has a header that says so.
func isThisMachine(r *fasthttp.RequestCtx) bool {
	return r.RemoteIP().IsLoopback() && isLoopback(string(r.Request.Header.Host())) && !isForwarded(r)
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
	name := hostName(host)
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return ip.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostName returns the name in a Host header, without the port and in lower case.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// hostOf returns a request's Host header for a log.
func hostOf(r *fasthttp.RequestCtx) string {
	host := r.Request.Header.Host()
	return string(host[:min(len(host), 256)])
}
