package engineio

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/internal/sitehost"
)

// originPolicy decides which pages may send requests. Browsers do not restrict WebSockets,
// and they send simple POSTs and GETs without a preflight. So the policy is applied to every
// request of every transport.
type originPolicy struct {
	allowed   map[string]struct{} // in canonical form
	patterns  []originPattern
	allowFunc func(origin string, c *fiber.Ctx) bool
	any       bool
	opaque    bool // "null" is allowed
	require   bool
}

// newOriginPolicy returns the policy of cfg, which has been validated.
func newOriginPolicy(cfg Config) originPolicy {
	p := originPolicy{any: cfg.AllowAnyOrigin, require: cfg.RequireOrigin, allowFunc: cfg.AllowOriginFunc, allowed: make(map[string]struct{})}
	for _, o := range cfg.AllowOrigins {
		if o == nullOrigin {
			p.opaque = true
		} else if pattern, ok := parseOriginPattern(o); ok {
			p.patterns = append(p.patterns, pattern)
		} else if canonical, ok := parseOrigin(o); ok {
			p.allowed[canonical] = struct{}{}
		}
	}
	return p
}

// originRequest holds what a request says about its origin.
type originRequest struct {
	Origins   []string // the values of all Origin headers
	FetchSite []string // the values of all Sec-Fetch-Site headers
	Scheme    string   // of the site: "http" or "https"
	Host      string   // of the site, with the port unless it is the scheme's default

	ctx *fiber.Ctx // for Config.AllowOriginFunc
}

// newOriginRequest reads them from c. The scheme is the one that Fiber reports, so its trusted
// proxies apply.
func newOriginRequest(c *fiber.Ctx) originRequest {
	host, _ := sitehost.Of(c)
	return originRequest{
		Origins:   headerValues(c, fiber.HeaderOrigin),
		FetchSite: headerValues(c, "Sec-Fetch-Site"),
		Scheme:    c.Protocol(),
		Host:      host,
		ctx:       c,
	}
}

// headerValues returns the values of all headers with a name. They share the request's
// memory and are valid only while the request is handled.
func headerValues(c *fiber.Ctx, name string) []string {
	var values []string
	for _, v := range c.Request().Header.PeekAll(name) {
		values = append(values, utils.UnsafeString(v))
	}
	return values
}

// originAccess is what the policy grants to a request.
type originAccess uint8

const (
	refused     originAccess = iota
	sameOrigin               // one of the site's own pages, or not a browser
	crossOrigin              // a page of an allowed origin: it may read the response
	anyOrigin                // any page could have sent it: cookies are ignored
)

// refusalReason is why the policy refused a request.
type refusalReason uint8

const (
	notRefused      refusalReason = iota
	notAllowed                    // no setting allows the origin
	opaqueOrigin                  // "null", which is not allowed
	invalidOrigin                 // a value that browsers never send
	duplicateHeader               // two Origin or two Sec-Fetch-Site headers
	crossSiteFetch                // no Origin, and a Sec-Fetch-Site of another site
	originMissing                 // neither header, and Config.RequireOrigin is set
)

// checkOrigin applies the policy to a request and sets the CORS headers of the response.
func (s *Server) checkOrigin(c *fiber.Ctx) originAccess {
	r := newOriginRequest(c)
	access, reason := s.origins.check(r)
	s.cors.set(c, access)
	switch access {
	case refused:
		s.logRefusedOrigin(reason, r)
	case anyOrigin:
		ignoreCookies(c)
	}
	return access
}

// check applies the policy. An Origin must be an allowed one or the site's own, with the
// same scheme, host and port. Browsers send no Origin with a GET to the same origin, but
// they do send Sec-Fetch-Site. A request with neither header comes from a client that is
// not a browser, or from a same-origin page in a browser without Sec-Fetch-Site.
func (p *originPolicy) check(r originRequest) (originAccess, refusalReason) {
	switch {
	case p.require && len(r.Origins) == 0 && len(r.FetchSite) == 0:
		return refused, originMissing
	case p.any:
		return anyOrigin, notRefused
	case len(r.Origins) > 1, len(r.FetchSite) > 1:
		return refused, duplicateHeader
	case len(r.Origins) == 1 && isOpaqueOrigin(r.Origins[0]):
		if p.opaque {
			return anyOrigin, notRefused
		}
		return refused, opaqueOrigin
	case len(r.Origins) == 1:
		origin, ok := parseOrigin(r.Origins[0])
		if !ok {
			return refused, invalidOrigin
		}
		if site, ok := parseOrigin(r.Scheme + "://" + r.Host); ok && origin == site {
			return sameOrigin, notRefused
		}
		if p.allows(origin, r.ctx) {
			return crossOrigin, notRefused
		}
		return refused, notAllowed
	case len(r.FetchSite) == 1:
		if site := r.FetchSite[0]; site != "same-origin" && site != "none" {
			return refused, crossSiteFetch
		}
	}
	return sameOrigin, notRefused
}

// allows reports whether AllowOrigins or AllowOriginFunc allows an origin in canonical form.
func (p *originPolicy) allows(origin string, c *fiber.Ctx) bool {
	if _, ok := p.allowed[origin]; ok {
		return true
	}
	for _, pattern := range p.patterns {
		if pattern.matches(origin) {
			return true
		}
	}
	return p.allowFunc != nil && p.allowFunc(serializeOrigin(origin), c)
}

// containOriginFunc returns Config.AllowOriginFunc, but for its panics, which refuse the request.
// Without a middleware of the app that recovers, a panic in a handler ends the process.
func (s *Server) containOriginFunc(fn func(string, *fiber.Ctx) bool) func(string, *fiber.Ctx) bool {
	if fn == nil {
		return nil
	}
	return func(origin string, c *fiber.Ctx) (allowed bool) {
		defer func() {
			if v := recover(); v != nil {
				allowed = false
				s.notices.Report(&originFuncPanicNotice, "", notice.Panic(v)...)
			}
		}()
		return fn(origin, c)
	}
}

// nullOrigin is what browsers send for a page whose origin is opaque: a file, a sandboxed
// frame, a data: URL, or a redirect from another origin.
const nullOrigin = "null"

// isOpaqueOrigin reports whether an Origin header stands for an opaque origin. Chromium and
// Android's WebView send "file://" with the WebSockets of a file, and "null" with all else.
func isOpaqueOrigin(origin string) bool { return origin == nullOrigin || origin == "file://" }

// parseOrigin parses a serialized origin (RFC 6454, section 6.2) and returns it in canonical
// form: in lower case, and always with a port for http and https. It accepts neither "null",
// nor host names outside ASCII, nor anything after host and port.
func parseOrigin(s string) (string, bool) {
	scheme, host, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok || !isScheme(scheme) || len(s) > 512 {
		return "", false
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", false
		}
	}
	if !isHost(host) {
		return "", false
	}
	if port == "" {
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		}
	}
	return scheme + "://" + host + ":" + port, true
}

// serializeOrigin returns an origin in canonical form as browsers send it: without the
// scheme's default port.
func serializeOrigin(canonical string) string {
	i := strings.LastIndexByte(canonical, ':')
	switch port := canonical[i+1:]; {
	case port == "",
		port == "80" && strings.HasPrefix(canonical, "http://"),
		port == "443" && strings.HasPrefix(canonical, "https://"):
		return canonical[:i]
	}
	return canonical
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}

// isHost reports whether s is a host name or an address, with IPv6 in brackets. It refuses
// every character that could end the host in some parser, and wildcards.
func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdef:.") == ""
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return s != ""
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
