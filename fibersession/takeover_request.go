// How requests present old IDs, and what responses do with them.

package fibersession

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// oldCookie is the default name of the cookie of Fiber's middleware/session.
const oldCookie = builtinCookie

// oldSources returns where requests carry old IDs: the places in which Fiber's middleware
// looks with the same KeyLookup. It returns none if a response could not carry the new ID.
func (s *Store) oldSources() (all []idSource) {
	add := func(kind Source, name string) {
		src := idSource{kind: kind, name: name}
		if !slices.ContainsFunc(all, func(o idSource) bool { return o.kind == kind && o.name == name }) && s.answerTo(&src) != nil {
			all = append(all, src)
		}
	}
	for i := range s.sources {
		switch src := &s.sources[i]; {
		case src.kind == SourceCustom:
		case src.name == "":
			add(SourceCookie, oldCookie)
		default:
			if src.kind == SourceURLQuery {
				add(SourceCookie, src.name) // Fiber sets this cookie, and reads it first
			}
			add(src.kind, src.name)
		}
	}
	return all
}

// answerTo returns where a response carries the new ID for an old one that came in old, or
// nil: in the same header, and otherwise in a cookie.
func (s *Store) answerTo(old *idSource) *idSource {
	for i := range s.sources {
		src := &s.sources[i]
		if src.kind == SourceHeader && old.kind == SourceHeader && src.name == old.name {
			return src
		}
		if src.kind == SourceCookie && old.kind != SourceHeader {
			return src
		}
	}
	return nil
}

// presentedOldID is an old ID in a request.
type presentedOldID struct {
	id     string
	source *idSource // where the request carried it
	secure bool      // the request came over https: see Session.secure
}

// side returns what Store.accepts asks of an ID.
func (p presentedOldID) side() *presentedID {
	return &presentedID{inCookie: p.source.kind == SourceCookie, secure: p.secure}
}

// read returns the old ID that a request presents; its id is "" if there is none. It does
// not alias the request.
func (t *takeovers) read(r *fasthttp.RequestCtx, secure bool) presentedOldID {
	for i := range t.sources {
		src := &t.sources[i]
		if id, _, err := t.store.readSource(src, r, nil, secure); err == nil && t.isOldID(id) {
			return presentedOldID{id, src, secure}
		}
	}
	return presentedOldID{}
}

// isOldID reports whether id has the syntax of an old ID. Nothing else reaches the storage as
// a key, and no key of this package's own has that syntax. t may be nil.
func (t *takeovers) isOldID(id string) bool {
	switch {
	case t == nil:
		return false
	case t.store.ownIDs:
		return isUUIDv4(id)
	}
	return t.store.validID(id) && !strings.HasPrefix(id, t.store.Config.Prefix)
}

// isUUIDv4 reports whether id is a random UUID in lower case (RFC 9562, section 5.4), as
// Fiber's utils.UUIDv4 makes them.
func isUUIDv4(id string) bool {
	if len(id) != 36 || id[14] != '4' || strings.IndexByte("89ab", id[19]) < 0 {
		return false
	}
	for i := range len(id) {
		hex := '0' <= id[i] && id[i] <= '9' || 'a' <= id[i] && id[i] <= 'f'
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash && id[i] != '-' || !dash && !hex {
			return false
		}
	}
	return true
}

// takeOver returns the old login that the request presents. It returns ErrNotFound if there
// is none, or if the response can no longer carry the new ID.
func (s *Session) takeOver() (*oldLogin, error) {
	t := s.store.takeovers
	if t.isOver() {
		return nil, ErrNotFound
	}
	s.mu.Lock()
	var old presentedOldID
	if s.phase == phaseOpen && !s.upgraded() {
		old = t.read(s.request, s.secure)
	}
	s.mu.Unlock()
	if old.id == "" {
		return nil, ErrNotFound
	}
	got, err := t.take(old, s.client)
	if err != nil {
		return nil, err
	}
	// Another request may have taken the login over, on the other of https and plain http.
	if cur, _ := got.st.resolve().current(); cur != nil && !s.store.accepts(old.side(), &cur.meta) {
		s.store.reportCrossed(old.side())
		s.store.table.release(got.st)
		return nil, ErrNotFound
	}
	return got, nil
}

// answerTakeover makes the response carry the new ID and remove the old cookie. Every request
// that presents the old ID does so, not only the one that took the login over: that one's
// response may be lost. But no response carries an ID that another request made since, as at
// a login. The caller holds s.mu.
func (s *Session) answerTakeover(old *oldLogin) {
	st := old.st.resolve()
	cur, _ := st.current()
	if s.phase != phaseOpen || s.upgraded() || st.place().id != old.newID {
		return
	}
	to := s.store.answerTo(old.source)
	p := *s.presented.Load()
	p.source = to // for what else this response says about the ID
	s.presented.Store(&p)
	s.writeID(to, old.newID, &cur.meta)
	if old.source.kind == SourceCookie && s.store.sourceName(to, s.secure) != old.source.name {
		s.setCookie(old.source.name, "", nil, removeCookie)
	}
}

// usedOldID is an old ID that led to a session on this node.
type usedOldID struct {
	old fingerprint // of the old ID
	as  fingerprint // of the ID that the session had then
}

// rememberOldID records that a client with this old ID has the session.
func (s *state) rememberOldID(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usedOldID = &usedOldID{old: fingerprintOf(id), as: s.at.owner}
}

// ownsByOldID reports whether a request carries the old ID that h's session was taken over
// from, and the session still has the ID that it got then. A client that keeps no cookies
// sends the old one with every request of its connection.
func (s *Store) ownsByOldID(c *fiber.Ctx, h *Handle) bool {
	if s.takeovers.isOver() {
		return false
	}
	old := s.takeovers.read(c.Context(), s.isSecure(c))
	st := h.state.resolve()
	st.mu.Lock()
	defer st.mu.Unlock()
	if old.id == "" || !s.accepts(old.side(), &st.cur.meta) {
		return false
	}
	used := st.usedOldID
	return used != nil && used.as == st.at.owner && used.old == fingerprintOf(old.id)
}
