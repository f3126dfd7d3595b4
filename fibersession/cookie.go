package fibersession

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// maxCookieAge is the longest that browsers keep a cookie (RFC 6265bis, section 5.5).
const maxCookieAge = 400 * 24 * time.Hour

// writeID has the response carry the ID: as the cookie or, when IDs come in a
// header, in that header. There is nowhere to put an ID that comes in the URL.
func (s *Store) writeID(r *fasthttp.RequestCtx, w *way, id string, m meta) {
	switch {
	case w == nil:
	case w.source == SourceHeader:
		r.Response.Header.Set(w.name, id)
	default:
		name, value := s.wayName(w, r), id
		if s.cfg.Cookie.Format != nil {
			value = s.cfg.Cookie.Format.Value(name, id)
		}
		s.setCookie(r, name, value, m.wire, func(c *fasthttp.Cookie) {
			if age := s.cookieAge(m, time.Now()); age > 0 {
				c.SetMaxAge(int((age + time.Second - 1) / time.Second))
			}
		})
	}
}

// expireID has the browser forget the ID.
func (s *Store) expireID(r *fasthttp.RequestCtx, w *way, m meta) {
	switch {
	case w == nil:
	case w.source == SourceHeader:
		r.Response.Header.Del(w.name)
	default:
		s.setCookie(r, s.wayName(w, r), "", m.wire, func(c *fasthttp.Cookie) { c.SetExpire(fasthttp.CookieExpireDelete) })
	}
}

func (s *Store) setCookie(r *fasthttp.RequestCtx, name, value string, wire *expressWire, life func(*fasthttp.Cookie)) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath(s.cfg.CookiePath)
	c.SetDomain(s.cfg.CookieDomain)
	c.SetHTTPOnly(true)
	c.SetSecure(s.secure(r))
	c.SetSameSite(fasthttp.CookieSameSite(s.sameSite))
	wire.dress(c)
	life(c)
	r.Response.Header.SetCookie(c)
	switch {
	case !c.Secure() && !s.cfg.Cookie.Insecure:
		s.warnPlain.Do(func() {
			s.log.Info("fibersession: on plain http to this machine, session cookies are not Secure")
		})
	case c.Secure() && !s.cfg.CookieSecure && plainElsewhere(r):
		s.warnLost.Do(func() {
			s.log.Warn("fibersession: a Secure cookie was sent over plain http, where browsers do not keep it: each request of theirs begins a new session. "+
				"Serve over https (a proxy sets X-Forwarded-Proto), or set Insecure", "host", string(r.Request.Header.Host()))
		})
	}
}

// cookieAge is how long the browser is to keep the cookie: as long as the session
// can live at all. Its idle limit is the store's business: a socket can slide it and
// cannot send a cookie. 0 is until the browser closes.
func (s *Store) cookieAge(m meta, now time.Time) time.Duration {
	switch {
	case s.cfg.Express != nil:
		return s.layout.(*express).age(m)
	case s.cfg.CookieSessionOnly:
		return 0
	case !m.absolute.IsZero():
		return min(m.absolute.Sub(now), maxCookieAge)
	case s.cfg.Timeouts.Absolute > 0: // not stored yet
		return min(s.cfg.Timeouts.Absolute, maxCookieAge)
	default:
		return maxCookieAge
	}
}

// vary says that the response depends on the session.
func (s *Store) vary(r *fasthttp.RequestCtx) {
	if !s.hasWay(SourceCookie) {
		return
	}
	h := &r.Response.Header
	old := string(h.Peek(fasthttp.HeaderVary))
	for field := range strings.SplitSeq(old, ",") {
		if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, fasthttp.HeaderCookie) {
			return
		}
	}
	if old != "" {
		old += ", "
	}
	h.Set(fasthttp.HeaderVary, old+fasthttp.HeaderCookie)
}
