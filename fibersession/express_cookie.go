package fibersession

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// setCookieAttributes keeps the attributes that the session's cookie was first set with,
// by either program: a cookie with another path or domain would be stored next to the old
// one instead of replacing it. It never removes a protection that this store's own cookies
// have.
func (l *expressLayout) setCookieAttributes(c *fasthttp.Cookie, original *originalValue) {
	if original == nil {
		return
	}
	var path, domain string
	var secure, partitioned bool
	for name, v := range map[string]any{"path": &path, "domain": &domain, "secure": &secure, "partitioned": &partitioned} {
		_ = json.Unmarshal(original.cookie[name], v) // a missing or invalid attribute counts as not set
	}
	if path == "" || !only(path, isAttributeByte) {
		path = "/"
	}
	if !only(domain, isAttributeByte) {
		domain = ""
	}
	c.SetPartitioned(partitioned) // before SetPath, because it also sets the path
	c.SetPath(path)
	c.SetDomain(domain)
	c.SetSecure(c.Secure() || secure)
	if mode, ok := sameSiteMode(original.cookie["sameSite"]); ok {
		c.SetSameSite(mode)
	}
}

// cookieAge is the session's maxAge, or 0 if it has none.
func (l *expressLayout) cookieAge(m *meta, _ time.Time) time.Duration {
	if m.cookie.has(cookieDropped) {
		return 0
	}
	idle := m.idle
	if idle == 0 { // not stored yet
		idle = l.idleOf(m.original)
	}
	if _, ok := maxAge(m.original.cookie); !ok && idle == l.idle && !m.cookie.has(cookieKept) {
		return 0
	}
	return min(idle, maxCookieAge)
}

func (l *expressLayout) cookieEndsWhenIdle(m *meta) bool { return l.cookieAge(m, time.Time{}) != 0 }

// sameSiteMode decodes express-session's option sameSite.
func sameSiteMode(raw json.RawMessage) (fasthttp.CookieSameSite, bool) {
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "true", "strict":
		return fasthttp.CookieSameSiteStrictMode, true
	case "lax":
		return fasthttp.CookieSameSiteLaxMode, true
	case "none":
		return fasthttp.CookieSameSiteNoneMode, true
	}
	return 0, false
}

func sameSiteName(mode fasthttp.CookieSameSite) string {
	switch mode {
	case fasthttp.CookieSameSiteStrictMode:
		return "strict"
	case fasthttp.CookieSameSiteNoneMode:
		return "none"
	}
	return "lax"
}
