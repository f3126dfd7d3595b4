package fibersession

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Extractor says where requests carry the session's ID: Config.Extractor. The zero
// value is the default, a cookie. It applies to HTTP and to handshakes of sockets
// alike. An Extractor is a value that never changes.
type Extractor struct{ ways []way }

// way is one way for an ID to travel.
type way struct {
	source Source
	name   string // "" for the cookie that is named by its attributes
	custom func(c *fiber.Ctx) (string, error)
}

// FromCookie takes the ID from a cookie; "" is the default's name (see
// Store.CookieName). Two cookies of the name with different values are none.
func FromCookie(name string) Extractor {
	return Extractor{[]way{{source: SourceCookie, name: name}}}
}

// FromHeader takes the ID from a request header. A response carries a new ID in a
// header of the same name. Scripts and logs can see it there; other sites cannot.
func FromHeader(name string) Extractor {
	return Extractor{[]way{{source: SourceHeader, name: name}}}
}

// FromQuery takes the ID from the URL, where logs, histories and other sites can
// see it. Responses do not carry it. A ticket (Store.Ticket) is the safer way when a
// client can send nothing but a URL.
func FromQuery(name string) Extractor {
	return Extractor{[]way{{source: SourceURLQuery, name: name}}}
}

// FromCustom takes the ID from wherever fn finds it in the request: a cookie of
// another program's form, a bearer token, a table of API keys. fn runs once a
// request, before the request's handlers, on its goroutine. "" or an error that is
// ErrNotFound says that the request carries none; any other error refuses the use of
// the session, as a failing store does. Responses do not carry the ID.
//
// Whatever fn returns is looked up as an ID: it must come from something that cannot
// be guessed or chosen by who sends it.
func FromCustom(fn func(c *fiber.Ctx) (id string, err error)) Extractor {
	return Extractor{[]way{{source: SourceCustom, custom: fn}}}
}

// Chain takes the ID from the first of several that has one, valid or not. A response
// carries a new ID where the request's came from, else in the first cookie or header.
func Chain(extractors ...Extractor) Extractor {
	var e Extractor
	for _, other := range extractors {
		e.ways = append(e.ways, other.ways...)
	}
	return e
}

// claim is what a request says its session is.
type claim struct {
	id    string // "" for none
	named bool   // it named something, an ID or not
	old   bool   // in a cookie whose form is out of date
	way   *way   // how a response carries the ID; nil: not at all
	err   error  // of a custom function
}

// claimed returns copies of what a request presents. c is nil only for stores
// without custom functions.
func (s *Store) claimed(r *fasthttp.RequestCtx, c *fiber.Ctx) claim {
	cl := claim{way: s.back}
	for i := range s.ways {
		w := &s.ways[i]
		value, err := s.read(w, r, c)
		if err != nil {
			return claim{named: true, err: fmt.Errorf("fibersession: Extractor: %w", err)}
		}
		if value == "" {
			continue
		}
		cl.named = true
		if w.source == SourceCookie && s.cfg.Cookie.Format != nil {
			var ok bool
			if value, cl.old, ok = s.cfg.Cookie.Format.ID(s.wayName(w, r), value); !ok {
				s.forged()
				continue
			}
		}
		cl.id = value
		if w.back() {
			cl.way = w
		}
		return cl
	}
	return cl
}

// claimOf is claimed, which is not asked twice in a request.
func (s *Store) claimOf(c *fiber.Ctx) claim {
	if f := s.front(c.Context()); f != nil {
		if cl := f.claim.Load(); cl != nil {
			return *cl
		}
	}
	return s.claimed(c.Context(), c)
}

// read returns a copy of what a request carries in one way, or "".
func (s *Store) read(w *way, r *fasthttp.RequestCtx, c *fiber.Ctx) (string, error) {
	switch w.source {
	case SourceHeader:
		return string(r.Request.Header.Peek(w.name)), nil
	case SourceURLQuery:
		return string(r.QueryArgs().Peek(w.name)), nil
	case SourceCustom:
		id, err := w.custom(c)
		if errors.Is(err, ErrNotFound) {
			return "", nil
		}
		return string([]byte(id)), err // it may be the request's memory
	}
	return theCookie(r, s.wayName(w, r)), nil
}

// theCookie returns a cookie's value. Two cookies of the name with different values
// are none: one of them is not ours, and nothing tells which.
func theCookie(r *fasthttp.RequestCtx, name string) string {
	var found string
	var seen, doubt bool
	for key, value := range r.Request.Header.Cookies() {
		if string(key) != name {
			continue
		}
		doubt = doubt || seen && string(value) != found
		found, seen = string(value), true
	}
	if doubt {
		return ""
	}
	return found
}

// back says whether a response can carry an ID in this way.
func (w *way) back() bool { return w.source == SourceCookie || w.source == SourceHeader }

// wayName is the name of the cookie, header or parameter.
func (s *Store) wayName(w *way, r *fasthttp.RequestCtx) string {
	if w.name == "" && w.source == SourceCookie {
		return s.cookieName(r)
	}
	return w.name
}

// hasWay says whether IDs may travel so.
func (s *Store) hasWay(source Source) bool {
	return slices.ContainsFunc(s.ways, func(w way) bool { return w.source == source })
}

// forged counts a cookie that is not of our making. A flood of them must not flood
// the log.
func (s *Store) forged() {
	s.stats.forged.Add(1)
	if s.warnForged.due() {
		s.log.Warn("fibersession: a session cookie with a wrong signature or form counts as none (made up, or signed with a secret that is not among Secrets); for a minute, more are only counted")
	}
}
