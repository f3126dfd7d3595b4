package fibersession

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Extractor says where requests carry the session ID (Config.Extractor). The zero value is
// the default, a cookie. It applies to HTTP requests and to handshakes of sockets. An
// Extractor is immutable.
type Extractor struct{ sources []idSource }

// idSource is one place where a request can carry an ID.
type idSource struct {
	kind   Source
	name   string // "" for the cookie whose name depends on the request
	custom func(c *fiber.Ctx) (string, error)
}

// FromCookie reads the ID from a cookie. An empty name means the default (see
// Store.CookieNameOf). Two cookies with the same name and different values count as no
// cookie.
func FromCookie(name string) Extractor {
	return Extractor{[]idSource{{kind: SourceCookie, name: name}}}
}

// FromHeader reads the ID from a request header. A response carries a new ID in a header of
// the same name. Scripts and logs can see the ID there; other sites cannot.
func FromHeader(name string) Extractor {
	return Extractor{[]idSource{{kind: SourceHeader, name: name}}}
}

// FromQuery reads the ID from a parameter of the URL, where logs, browser histories and
// other sites can see it. Responses do not carry it. If a client can send nothing but a
// URL, a ticket (Store.Ticket) is safer.
func FromQuery(name string) Extractor {
	return Extractor{[]idSource{{kind: SourceURLQuery, name: name}}}
}

// FromCustom reads the ID with fn, for example from a cookie in another program's format, a
// bearer token or a table of API keys. fn runs once per request, before the request's
// handlers and on its goroutine. If it returns "" or an error that is ErrNotFound, the
// request has no session. Any other error makes the session unusable, as a failing storage
// does. Responses do not carry the ID.
//
// Whatever fn returns is looked up as a session ID. It must come from a value that a
// client can neither guess nor choose.
func FromCustom(fn func(c *fiber.Ctx) (id string, err error)) Extractor {
	return Extractor{[]idSource{{kind: SourceCustom, custom: fn}}}
}

// Chain tries several extractors in order. The first one that finds a value wins, even if
// that value is no valid ID. A cookie whose signature is wrong counts as no value. A
// response carries a new ID where the request carried its ID, or else in the first cookie
// or header of the chain.
func Chain(extractors ...Extractor) Extractor {
	var e Extractor
	for _, other := range extractors {
		e.sources = append(e.sources, other.sources...)
	}
	return e
}

// presentedID is the session ID that a request presents.
type presentedID struct {
	id        string    // "" if there is none
	present   bool      // the request carries a value, valid or not
	oldFormat bool      // in a cookie whose format is outdated
	inCookie  bool      // the ID came in a cookie
	secure    bool      // of a request whose cookies are Secure
	source    *idSource // where the response carries an ID; nil if nowhere
	err       error     // of a custom function

	duplicates []*idSource // cookies that came twice with different values
}

// readPresentedID reads the ID that a request presents. The result does not alias the
// request. c may be nil if the store has no custom functions.
func (s *Store) readPresentedID(r *fasthttp.RequestCtx, c *fiber.Ctx, secure bool) presentedID {
	p := presentedID{source: s.responseSource, secure: secure}
	for i := range s.sources {
		src := &s.sources[i]
		value, twice, err := s.readSource(src, r, c, secure)
		if err != nil {
			return presentedID{present: true, secure: secure, err: fmt.Errorf("fibersession: Extractor: %w", err)}
		}
		if twice {
			p.duplicates = append(p.duplicates, src)
		}
		if value == "" {
			continue
		}
		p.present = true
		if src.kind == SourceCookie && s.Config.Cookie.Format != nil {
			var ok bool
			old := s.takeovers.isOldID(value)
			if value, p.oldFormat, ok = s.Config.Cookie.Format.ID(s.sourceName(src, secure), value); !ok {
				if !old {
					s.reportForged()
				}
				continue
			}
		}
		p.id, p.inCookie = value, src.kind == SourceCookie
		if src.inResponses() {
			p.source = src
		}
		return p
	}
	return p
}

// acquirePresented is acquire for the ID that a request presents.
func (s *Store) acquirePresented(ctx context.Context, p *presentedID) (*state, error) {
	st, err := s.acquire(ctx, p.id)
	if err != nil {
		return nil, err
	}
	if cur, _ := st.resolve().current(); !s.accepts(p, &cur.meta) {
		s.table.release(st)
		s.reportCrossed(p)
		return nil, ErrNotFound
	}
	return st, nil
}

// presentedIDOf is readPresentedID, but reads the request only once.
func (s *Store) presentedIDOf(c *fiber.Ctx) presentedID {
	if sess := s.sessionOf(c.Context()); sess != nil {
		if p := sess.presented.Load(); p != nil {
			return *p
		}
	}
	return s.readPresentedID(c.Context(), c, s.isSecure(c))
}

// readSource returns a copy of the value that a request carries in a source, or "". twice
// reports whether it carries two different cookies.
func (s *Store) readSource(src *idSource, r *fasthttp.RequestCtx, c *fiber.Ctx, secure bool) (value string, twice bool, err error) {
	switch src.kind {
	case SourceHeader:
		return string(r.Request.Header.Peek(src.name)), false, nil
	case SourceURLQuery:
		return string(r.QueryArgs().Peek(src.name)), false, nil
	case SourceCustom:
		id, err := src.custom(c)
		if errors.Is(err, ErrNotFound) {
			return "", false, nil
		}
		return string([]byte(id)), false, err // id may alias the request's memory
	}
	value, twice = uniqueCookie(r, s.sourceName(src, secure))
	return value, twice, nil
}

// uniqueCookie returns a cookie's value. If there are two with different values, it returns
// "" and true: one of them is not ours, and nothing says which.
func uniqueCookie(r *fasthttp.RequestCtx, name string) (value string, twice bool) {
	var found string
	var seen, ambiguous bool
	for key, value := range r.Request.Header.Cookies() {
		if string(key) != name {
			continue
		}
		ambiguous = ambiguous || seen && string(value) != found
		found, seen = string(value), true
	}
	if ambiguous {
		return "", true
	}
	return found, false
}

// inResponses reports whether a response can carry an ID in the same place.
func (src *idSource) inResponses() bool {
	return src.kind == SourceCookie || src.kind == SourceHeader
}

// sourceName returns the name of the cookie, header or parameter for a request whose cookies
// are Secure or not.
func (s *Store) sourceName(src *idSource, secure bool) string {
	if src.name == "" && src.kind == SourceCookie {
		return s.defaultCookieName(secure)
	}
	return src.name
}

// readsFrom reports whether IDs may come from a kind of source.
func (s *Store) readsFrom(kind Source) bool {
	return slices.ContainsFunc(s.sources, func(src idSource) bool { return src.kind == kind })
}

// reportForged reports a cookie that this store did not make.
func (s *Store) reportForged() {
	s.notices.Report(&cookieForgedNotice, "")
}
