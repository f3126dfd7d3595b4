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
// cannot carry the ID, as when it comes in the URL. The caller holds s.mu.
func (s *Session) writeID(src *idSource, id string, m *meta) {
	switch {
	case src == nil:
	case src.kind == SourceHeader:
		s.request.Request.Header.Set(src.name, id) // as in Fiber: later handlers read it
		s.request.Response.Header.Set(src.name, id)
	case !s.store.accepts(&presentedID{inCookie: true, secure: s.secure}, m):
		// The ID came in another way than a cookie. The next request's cookie would not be
		// accepted, and on plain http it would show the ID of a session of https.
	default:
		name, value := s.store.sourceName(src, s.secure), id
		if format := s.store.Config.Cookie.Format; format != nil {
			value = format.Value(name, id)
		}
		s.setCookie(name, value, m.original, max(s.store.layout.cookieAge(m, time.Now()), 0))
	}
}

// removeID makes the browser delete the cookie, and takes the ID out of the request and of
// the response's header. The caller holds s.mu.
func (s *Session) removeID(src *idSource, m *meta) {
	switch {
	case src == nil:
	case src.kind == SourceHeader:
		s.request.Request.Header.Del(src.name)
		s.request.Response.Header.Del(src.name)
	default:
		name := s.store.sourceName(src, s.secure)
		s.request.Request.Header.DelCookie(name) // as in Fiber: later handlers do not see it
		s.setCookie(name, "", m.original, removeCookie)
	}
}

func (s *Session) setCookie(name, value string, original *originalValue, age time.Duration) {
	c := s.newCookie(name, value)
	defer fasthttp.ReleaseCookie(c)
	s.store.layout.setCookieAttributes(c, original)
	switch {
	case age == removeCookie:
		c.SetExpire(fasthttp.CookieExpireDelete)
	case age > 0:
		c.SetMaxAge(int((age + time.Second - 1) / time.Second))
	}
	addSetCookie(&s.request.Response.Header, c)
	s.store.warnOfPlainCookie(s.request, c)
}

// newCookie returns a cookie with the configured attributes, to be released.
func (s *Session) newCookie(name, value string) *fasthttp.Cookie {
	config := &s.store.Config
	c := fasthttp.AcquireCookie()
	c.SetKey(name)
	c.SetValue(value)
	c.SetPartitioned(config.CookiePartitioned) // before SetPath, because it also sets the path
	c.SetPath(config.CookiePath)
	c.SetDomain(config.CookieDomain)
	c.SetHTTPOnly(true)
	c.SetSecure(s.secure)
	c.SetSameSite(fasthttp.CookieSameSite(s.store.sameSite))
	return c
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
