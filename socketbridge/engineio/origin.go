package engineio

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// originPolicy decides which pages may send requests. Browsers enforce nothing for
// WebSockets, and send simple POSTs and GETs without asking, so every request of
// every transport is judged here.
type originPolicy struct {
	allowed  map[string]struct{} // in canonical form
	patterns []originPattern
	ask      func(origin string, c *fiber.Ctx) bool
	any      bool
	require  bool
}

func newOriginPolicy(cfg Config) originPolicy {
	p := originPolicy{any: cfg.AllowAnyOrigin, require: cfg.RequireOrigin, ask: cfg.AllowOriginFunc, allowed: make(map[string]struct{})}
	for _, o := range cfg.AllowOrigins { // was checked
		if pattern, ok := parseOriginPattern(o); ok {
			p.patterns = append(p.patterns, pattern)
		} else if canonical, ok := parseOrigin(o); ok {
			p.allowed[canonical] = struct{}{}
		}
	}
	return p
}

// originRequest is what of a request says where it comes from.
type originRequest struct {
	Origins   []string // the values of all Origin headers
	FetchSite []string // of all Sec-Fetch-Site headers
	Scheme    string   // of the site, "http" or "https"
	Host      string   // of the site, with its port when it is not the scheme's own

	ctx *fiber.Ctx // for Config.AllowOriginFunc
}

// verdict is what a policy says to a request.
type verdict uint8

const (
	refused     verdict = iota
	sameOrigin          // the site's own page, or no browser
	crossOrigin         // a page of an allowed origin: it may read the answer
	anyOrigin           // whoever: without cookies
)

// cause is why a request was refused.
type cause uint8

const (
	notRefused    cause = iota
	notAllowed          // an origin that no setting allows
	notAnOrigin         // "null", or nothing that a browser would send
	twoOrigins          // two headers of one kind
	otherSite           // no Origin, and Sec-Fetch-Site of another site
	originMissing       // neither, and Config.RequireOrigin
)

// judge applies the policy: an Origin must be the site's own, with scheme, host
// and port, or an allowed one. A browser sends none with GETs to the same origin,
// but says Sec-Fetch-Site. Without both it is no browser, or one that predates
// Sec-Fetch-Site and was asked by a page of the same origin.
func (p *originPolicy) judge(r originRequest) (verdict, cause) {
	switch {
	case p.require && len(r.Origins) == 0 && len(r.FetchSite) == 0:
		return refused, originMissing
	case p.any:
		return anyOrigin, notRefused
	case len(r.Origins) > 1, len(r.FetchSite) > 1:
		return refused, twoOrigins
	case len(r.Origins) == 1:
		origin, ok := parseOrigin(r.Origins[0])
		if !ok {
			return refused, notAnOrigin
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
			return refused, otherSite
		}
	}
	return sameOrigin, notRefused
}

// allows asks the list, and then the application.
func (p *originPolicy) allows(origin string, c *fiber.Ctx) bool {
	if _, ok := p.allowed[origin]; ok {
		return true
	}
	for _, pattern := range p.patterns {
		if pattern.matches(origin) {
			return true
		}
	}
	return p.ask != nil && p.ask(serialOrigin(origin), c)
}

// parseOrigin checks the serialised form of an origin (RFC 6454, section 6.2) and
// returns it in canonical form: lower case, with the port of http and https
// written out. "null", names that are not in ASCII, and everything that follows a
// host and port are not accepted.
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

// serialOrigin returns an origin in canonical form as browsers write it: without the
// port that its scheme has anyhow.
func serialOrigin(canonical string) string {
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

// isHost takes names and addresses, IPv6 in brackets. It is as strict as a
// comparison needs it: no character that ends a host somewhere, or means a set.
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

// isToken tells a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
