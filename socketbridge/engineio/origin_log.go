package engineio

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// logRefusedOrigin logs a request that the origin policy refused, and what to change if it
// should have been allowed. The browser tells the page only that the request failed.
func (s *Server) logRefusedOrigin(reason refusalReason, r originRequest) {
	origin := strings.Join(r.Origins, ", ")
	s.notices.Report(&originRefusedNotice, strconv.Itoa(int(reason))+" "+origin, "", originRefusal{s, reason, r},
		"origin", notice.Text(origin), "site", notice.Text(r.Scheme+"://"+r.Host))
}

// originRefusal is logged as the setting that refused a request, and what to do about it.
type originRefusal struct {
	server  *Server
	reason  refusalReason
	request originRequest
}

// LogValue implements slog.LogValuer.
func (o originRefusal) LogValue() slog.Value {
	setting, advice := o.server.originAdvice(o.reason, o.request)
	return slog.GroupValue(slog.String("cause", advice), slog.String("setting", setting))
}

// originAdvice returns the name of the setting that refused a request, or "" if no setting
// can allow it, and what to do about it.
func (s *Server) originAdvice(reason refusalReason, r originRequest) (setting, advice string) {
	switch reason {
	case originMissing:
		return "RequireOrigin", "it has neither an Origin nor a Sec-Fetch-Site header, and RequireOrigin is set"
	case duplicateHeader:
		return "", "it has two headers where a browser sends one; check the proxy in front of this server"
	case crossSiteFetch:
		return "", "it comes from a link, an image or a form on another site and has no Origin; no setting allows that"
	case opaqueOrigin:
		return "AllowOrigins", "its page is a file, a sandboxed frame or a webview without an origin; " +
			`list "null" in AllowOrigins to let such pages connect: cookies are then ignored, so that they need a ticket or a header`
	case invalidOrigin:
		return "", "its Origin is not one that browsers send; no setting allows that"
	}
	origin, _ := parseOrigin(r.Origins[0])
	if host := strings.TrimPrefix(origin, "https://"); host != origin && r.Scheme == "http" && host == r.Host+":443" {
		return "AllowOrigins", "it is this site's own origin over https, but this server sees the request as http; " +
			"have the proxy set X-Forwarded-Proto, and trust the proxy in fiber.Config (TrustedProxies)"
	}
	if r.forwardedHost() {
		return "AllowOrigins", "the page's origin is the host in X-Forwarded-Host, which counts only from a proxy that fiber.Config names " +
			"(EnableTrustedProxyCheck, TrustedProxies); have the proxy pass Host on, or name the proxy"
	}
	if s.cfg.AllowOriginFunc != nil {
		return "AllowOriginFunc", "AllowOriginFunc returned false for the page's origin, and AllowOrigins does not list it"
	}
	return "AllowOrigins", "the page's origin is not this site's own; " +
		"if its pages may act on behalf of their visitors, list it in AllowOrigins"
}

// forwardedHost reports whether the page's origin has the host that a proxy may have put into
// X-Forwarded-Host.
func (r originRequest) forwardedHost() bool {
	if r.ctx == nil {
		return false
	}
	host, _, _ := strings.Cut(r.ctx.Get(fiber.HeaderXForwardedHost), ",")
	_, page, _ := strings.Cut(r.Origins[0], "://")
	return host != "" && strings.EqualFold(page, strings.TrimSpace(host))
}
