package fibersession

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/sitehost"
)

// Ticket returns a ticket for the session of a request: a secret of 43 characters. A page
// or an app that sends no cookie can use it to connect once as this session, on any node,
// within Config.Timeouts.Ticket (see Redeem). Ticket saves unsaved changes of the request
// first. It returns ErrTicketSession if the session was never saved.
//
// The ticket is bound to the origin of the page that will use it: the given origin, such as
// "https://app.example.com", or else the origin of the request (see OriginOf). It returns
// ErrTicketOrigin if that is not an origin. The ticket is also bound to the session's
// current ID: it becomes invalid when the ID changes, as at a login. Send it only to the
// page itself, with "Cache-Control: no-store".
func (s *Store) Ticket(c *fiber.Ctx, origin ...string) (string, error) {
	s.start()
	from := OriginOf(c)
	if len(origin) > 0 {
		from = origin[0]
	}
	from, ok := canonicalOrigin(from)
	if !ok {
		return "", ErrTicketOrigin
	}
	sess, err := s.Get(c)
	if err != nil {
		return "", err
	}
	if sess.Changed() {
		if err := sess.Save(); err != nil {
			return "", err
		}
	}
	h := sess.Detach()
	defer h.Release()
	return h.ticket(c.UserContext(), from)
}

// Ticket returns a ticket for the session, as Store.Ticket does for a request's. origin is the
// origin of the page that will use it, such as "https://app.example.com", or "null" for pages
// without one. It returns ErrTicketOrigin if that is not an origin, and ErrTicketSession if the
// session was never saved.
func (h *Handle) Ticket(ctx context.Context, origin string) (string, error) {
	from, ok := canonicalOrigin(origin)
	if !ok {
		return "", ErrTicketOrigin
	}
	return h.ticket(ctx, from)
}

// ticket is Ticket for an origin in canonical form.
func (h *Handle) ticket(ctx context.Context, origin string) (string, error) {
	if err := h.Err(); err != nil {
		return "", err
	}
	id := h.ID()
	if h.Fresh() || id == "" {
		return "", ErrTicketSession
	}
	return h.store.issueToken(ctx, ticketToken, oneTimeToken{id: id, bound: []byte(origin)})
}

// Redeem uses up a ticket and returns a handle of its session. origin is the origin of the
// page that presents the ticket. If the ticket is not valid, the error is ErrTicket and
// says why: ErrTicketUnknown, ErrTicketUsed, ErrTicketExpired, ErrTicketOrigin or
// ErrTicketSession. Do not tell the client which: that would only help an attacker. A wrong
// origin uses the ticket up too. Release the handle when it is no longer needed.
func (s *Store) Redeem(ctx context.Context, ticket, origin string) (*Handle, error) {
	s.start()
	t, err := s.redeemToken(ctx, ticketToken, ticket)
	if err != nil {
		return nil, err
	}
	if from, ok := canonicalOrigin(origin); !ok || from != string(t.bound) {
		return nil, ErrTicketOrigin
	}
	h, err := s.GetByID(ctx, t.id)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrTicketSession
	}
	return h, err
}

// CookieTicket returns a ticket with which the session's browser fetches its new cookie
// after Handle.Regenerate changed the ID (see RedeemCookie). Only a browser that still has
// one of the session's former IDs on this node can use it. Send it over the socket alone.
// It returns ErrTicketSession if the ID did not change on this node.
func (h *Handle) CookieTicket(ctx context.Context) (string, error) {
	if _, err := h.current(); err != nil {
		return "", err
	}
	st := h.state.resolve()
	st.mu.Lock()
	id, former := st.at.id, st.formerIDs
	st.mu.Unlock()
	if id == "" || len(former) == 0 {
		return "", ErrTicketSession // there is no new ID, or this node does not know it
	}
	bound := make([]byte, 0, len(former)*len(fingerprint{}))
	for _, f := range former {
		bound = append(bound, f[:]...)
	}
	return h.store.issueToken(ctx, cookieToken, oneTimeToken{id: id, bound: bound})
}

// RedeemCookie uses up a CookieTicket. The response carries the session's new cookie, and
// the request's session becomes that session. The request must present a former ID of the
// session, so that an attacker cannot plant a session of their choosing in someone else's
// browser; otherwise it returns ErrTicketBrowser. Its other errors are those of Redeem.
func (s *Store) RedeemCookie(c *fiber.Ctx, ticket string) error {
	s.start()
	p := s.presentedIDOf(c)
	t, err := s.redeemToken(c.UserContext(), cookieToken, ticket)
	if err != nil {
		return err
	}
	if !s.validID(p.id) || !containsFingerprint(t.bound, fingerprintOf(p.id)) {
		return ErrTicketBrowser
	}
	st, err := s.acquire(c.UserContext(), t.id)
	if errors.Is(err, ErrNotFound) {
		return ErrTicketSession
	}
	if err != nil {
		return err
	}
	if cur, _ := st.resolve().current(); !s.accepts(&p, &cur.meta) {
		s.table.release(st)
		return ErrTicketBrowser
	}
	sess := s.sessionOf(c.Context())
	if sess == nil {
		sess = s.newRequestSession(c)
	}
	return sess.replace(st, t.id, p.source)
}

// containsFingerprint reports whether f is one of the concatenated fingerprints. It
// compares in constant time.
func containsFingerprint(all []byte, f fingerprint) bool {
	found := 0
	for ; len(all) >= len(f); all = all[len(f):] {
		found |= subtle.ConstantTimeCompare(all[:len(f)], f[:])
	}
	return found == 1
}

// maxFormerIDs is how many of a session's former IDs a state remembers.
const maxFormerIDs = 8

// remember keeps fingerprints of former IDs of the session. The caller holds s.mu.
func (s *state) remember(former ...fingerprint) {
	s.formerIDs = append(s.formerIDs[:len(s.formerIDs):len(s.formerIDs)], former...)
	if extra := len(s.formerIDs) - maxFormerIDs; extra > 0 {
		s.formerIDs = s.formerIDs[extra:]
	}
}

// OriginOf returns the origin of the page that sent a request: its Origin header or, if it
// has none, the site's own origin. Browsers omit the header when they get something from
// the same origin. Other clients usually do not send it.
func OriginOf(c *fiber.Ctx) string {
	if o := c.Get(fiber.HeaderOrigin); o != "" {
		return strings.Clone(o)
	}
	host, _ := sitehost.Of(c)
	return c.Protocol() + "://" + host
}

// canonicalOrigin returns an origin (RFC 6454, section 6.2) in lower case and without its
// scheme's default port. ok is false if s is not an origin. The origin of a file is "null",
// for which some browsers send "file://" with WebSockets.
func canonicalOrigin(s string) (origin string, ok bool) {
	if s == "null" || s == "file://" {
		return "null", true
	}
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || len(s) > 512 || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(s) {
		return "", false
	}
	host := u.Host
	switch u.Scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host, true
}
