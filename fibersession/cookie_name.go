package fibersession

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// The default names of the cookie. The prefixes make browsers refuse the cookie unless an
// https page of exactly this host (__Host-) or of this site (__Secure-) sets it.
const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"

	plainCookie  = "session"
	hostCookie   = hostPrefix + plainCookie
	secureCookie = securePrefix + plainCookie

	builtinCookie = "session_id" // with Config.Builtin
)

// CookieNameOf returns the name of the session cookie for this request. It is the name in
// Config.KeyLookup or the first one in Config.Extractor. If they name none, it is
// "__Host-session", or "__Secure-session" with CookieDomain or CookiePath, on https; and
// "session" on plain http, as Fiber's c.Secure reports it. With Builtin it is "session_id",
// with Express "connect.sid". It is "" if IDs do not come in cookies.
func (s *Store) CookieNameOf(c *fiber.Ctx) string {
	s.start()
	for i := range s.sources {
		if s.sources[i].kind == SourceCookie {
			return s.sourceName(&s.sources[i], s.isSecure(c))
		}
	}
	return ""
}

// IsSessionCookie reports whether a cookie of this name can carry a session's ID to this
// store, on https or on plain http, or the old ID of a session that is taken over (see
// OldLogins). Code that copies a request's cookies leaves such cookies out.
func (s *Store) IsSessionCookie(name string) bool {
	s.start()
	carries := func(src idSource) bool {
		return src.kind == SourceCookie && (name == s.sourceName(&src, true) || !s.alwaysSecure && name == s.sourceName(&src, false))
	}
	return slices.ContainsFunc(s.sources, carries) || !s.takeovers.isOver() && slices.ContainsFunc(s.takeovers.sources, carries)
}

// IsSessionHeader reports whether a request header of this name can carry a session's ID to
// this store. Code that copies a request's headers leaves it out.
func (s *Store) IsSessionHeader(name string) bool { return s.carries(SourceHeader, name) }

// IsSessionQuery reports whether a URL parameter of this name can carry a session's ID to
// this store. Code that copies a request's URL leaves it out.
func (s *Store) IsSessionQuery(name string) bool { return s.carries(SourceURLQuery, name) }

func (s *Store) carries(kind Source, name string) bool {
	s.start()
	named := func(src idSource) bool {
		return src.kind == kind && (name == src.name || kind == SourceHeader && strings.EqualFold(name, src.name))
	}
	return slices.ContainsFunc(s.sources, named) || !s.takeovers.isOver() && slices.ContainsFunc(s.takeovers.sources, named)
}

// defaultCookieName returns the name of the cookie if no setting names it.
func (s *Store) defaultCookieName(secure bool) string {
	switch {
	case !secure:
		return plainCookie
	case s.Config.CookieDomain != "" || s.Config.CookiePath != "/":
		return secureCookie
	default:
		return hostCookie
	}
}

// hasSecurePrefix reports whether browsers refuse a cookie of this name that is not Secure.
func hasSecurePrefix(name string) bool {
	return hasPrefixFold(name, hostPrefix) || hasPrefixFold(name, securePrefix)
}

// hasPrefixFold is strings.HasPrefix without regard to case, as browsers compare the
// prefixes of cookies (RFC 6265bis, section 4.1.3).
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
