package fibersession

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// dress gives a cookie what the session's cookie was set with, by whichever program:
// one with another path or domain would stand beside the old one and not replace it.
// It takes away no protection that this store's own cookies have. A nil wire, of
// a store without Config.Express, leaves c as it is.
func (w *expressWire) dress(c *fasthttp.Cookie) {
	if w == nil {
		return
	}
	var path, domain string
	var secure, partitioned bool
	for name, v := range map[string]any{"path": &path, "domain": &domain, "secure": &secure, "partitioned": &partitioned} {
		_ = json.Unmarshal(w.cookie[name], v) // what is missing or odd counts as not set
	}
	if path == "" || !only(path, isAttributeByte) {
		path = "/"
	}
	if !only(domain, isAttributeByte) {
		domain = ""
	}
	c.SetPartitioned(partitioned) // first: it also sets the path
	c.SetPath(path)
	c.SetDomain(domain)
	c.SetSecure(c.Secure() || secure)
	if mode, ok := sameSiteMode(w.cookie["sameSite"]); ok {
		c.SetSameSite(mode)
	}
}

// sameSiteMode reads the option sameSite of express-session.
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

// age is how long the browser is to keep the cookie: for the session's maxAge, or (0)
// until it closes.
func (l *express) age(m meta) time.Duration {
	idle := m.idle
	if idle == 0 { // not stored yet
		idle = l.idleOf(m.wire)
	}
	if _, ok := maxAge(m.wire.cookie); !ok && idle == l.idle {
		return 0
	}
	return min(idle, maxCookieAge)
}

// roll renews the cookie in the browser when the session's idle limit has moved in
// this request: a cookie of Express ends with the idle limit that it was set with.
func (s *Session) roll(h *Handle) error {
	l, ok := s.store.layout.(*express)
	cur, err := h.current()
	if !ok || err != nil || cur.fresh() || l.age(cur.meta) == 0 {
		return nil
	}
	s.mu.Lock()
	moved := s.phase == phaseOpen && cur.expiry.After(s.began)
	s.mu.Unlock()
	if !moved {
		return nil
	}
	return s.sendID(true)
}
