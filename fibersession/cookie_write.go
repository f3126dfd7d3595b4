package fibersession

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// maxCookieAge is the longest that browsers keep a cookie (RFC 6265bis, section 5.5).
const maxCookieAge = 400 * 24 * time.Hour

// removeCookie as the age of a cookie makes the browser delete it.
const removeCookie time.Duration = -1

// writeID adds the ID to the response, as a cookie or in a header. src is nil if responses
// cannot carry the ID, as when it comes in the URL.
func (s *Store) writeID(r *fasthttp.RequestCtx, src *idSource, id string, m meta) {
	switch {
	case src == nil:
	case src.kind == SourceHeader:
		r.Request.Header.Set(src.name, id) // as in Fiber: later handlers read it
		r.Response.Header.Set(src.name, id)
	default:
		name, value := s.sourceName(src, r), id
		if s.Config.Cookie.Format != nil {
			value = s.Config.Cookie.Format.Value(name, id)
		}
		s.setCookie(r, name, value, m.original, max(s.layout.cookieAge(m, time.Now()), 0))
	}
}

// removeID makes the browser delete the cookie, and takes the ID out of the request and of
// the response's header.
func (s *Store) removeID(r *fasthttp.RequestCtx, src *idSource, m meta) {
	switch {
	case src == nil:
	case src.kind == SourceHeader:
		r.Request.Header.Del(src.name)
		r.Response.Header.Del(src.name)
	default:
		name := s.sourceName(src, r)
		r.Request.Header.DelCookie(name) // as in Fiber: later handlers do not see it
		s.setCookie(r, name, "", m.original, removeCookie)
	}
}

func (s *Store) setCookie(r *fasthttp.RequestCtx, name, value string, original *originalValue, age time.Duration) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath(s.Config.CookiePath)
	c.SetDomain(s.Config.CookieDomain)
	c.SetHTTPOnly(true)
	c.SetSecure(s.secure(r))
	c.SetSameSite(fasthttp.CookieSameSite(s.sameSite))
	s.layout.setCookieAttributes(c, original)
	switch {
	case age == removeCookie:
		c.SetExpire(fasthttp.CookieExpireDelete)
	case age > 0:
		c.SetMaxAge(int((age + time.Second - 1) / time.Second))
	}
	r.Response.Header.SetCookie(c)
	switch {
	case !c.Secure() && !s.Config.Cookie.Insecure:
		s.warnPlain.Do(func() {
			s.log.Info("fibersession: on plain http to this machine, session cookies are not Secure")
		})
	case c.Secure() && !s.Config.CookieSecure && plainElsewhere(r):
		s.warnLost.Do(func() {
			s.log.Warn("fibersession: a Secure cookie was sent over plain http, where browsers drop it, so that every request begins a new session: "+
				"serve over https (a proxy must set X-Forwarded-Proto), or set Config.Cookie.Insecure", "host", string(r.Request.Header.Host()))
		})
	}
}

// addVary says that the response depends on the session cookie.
func (s *Store) addVary(r *fasthttp.RequestCtx) {
	if !s.readsFrom(SourceCookie) {
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
