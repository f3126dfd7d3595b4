package fibersession

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// Ticket returns a ticket for the session of a request: a secret of 43 characters
// with which a page or an app that sends no cookie connects once, within
// Config.Timeouts.Ticket, as this session, on any node (see Redeem). Unsaved changes of the
// request are saved first. A session that was never saved has no tickets:
// ErrTicketSession.
//
// The ticket is bound to the origin of the page that will use it: that of the request
// (its Origin header, or the site's own), or the one given, such as
// "https://app.example.com"; and to the session's present ID, so that it dies when
// that changes at a login. Answer it with "Cache-Control: no-store", to nobody but the
// page itself.
func (s *Store) Ticket(c *fiber.Ctx, origin ...string) (string, error) {
	from := OriginOf(c)
	if len(origin) > 0 {
		from = origin[0]
	}
	from, ok := canonicalOrigin(from)
	if !ok {
		return "", ErrTicketOrigin
	}
	f, err := s.Get(c)
	if err != nil {
		return "", err
	}
	if f.Changed() {
		if err := f.Save(); err != nil {
			return "", err
		}
	}
	h := f.Detach()
	defer h.Release()
	if err := h.Err(); err != nil {
		return "", err
	}
	id := h.ID()
	if h.Fresh() || id == "" {
		return "", ErrTicketSession
	}
	return s.issue(c.UserContext(), voucherTicket, voucher{id: id, bound: []byte(from)})
}

// Redeem uses a ticket up and returns a handle of its session. Origin is that of the
// page that brings it. A ticket that does not count is an ErrTicket that says why:
// ErrTicketUnknown, ErrTicketUsed, ErrTicketExpired, ErrTicketOrigin or
// ErrTicketSession. Tell the client none of it: the difference helps only who guesses.
// It is used up even when the origin is the wrong one. Release the handle when it is
// no longer needed.
func (s *Store) Redeem(ctx context.Context, ticket, origin string) (*Handle, error) {
	v, err := s.redeem(ctx, voucherTicket, ticket)
	if err != nil {
		return nil, err
	}
	if from, ok := canonicalOrigin(origin); !ok || from != string(v.bound) {
		return nil, ErrTicketOrigin
	}
	h, err := s.GetByID(ctx, v.id)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrTicketSession
	}
	return h, err
}

// CookieTicket returns a ticket with which the browser of the session, after its ID
// changed by Handle.Regenerate, fetches its new cookie: see RedeemCookie. It is of use
// only to a browser that still has one of the IDs that the session had on this node,
// and only to who knows the ticket: send it over the socket alone.
func (h *Handle) CookieTicket(ctx context.Context) (string, error) {
	if _, err := h.current(); err != nil {
		return "", err
	}
	st := h.state.resolve()
	st.mu.Lock()
	id, former := st.at.id, st.formerIDs
	st.mu.Unlock()
	if id == "" || len(former) == 0 {
		return "", ErrTicketSession // nothing to hand out
	}
	bound := make([]byte, 0, len(former)*len(fingerprint{}))
	for _, f := range former {
		bound = append(bound, f[:]...)
	}
	return h.store.issue(ctx, voucherCookie, voucher{id: id, bound: bound})
}

// RedeemCookie uses a CookieTicket up: the response carries the session's new cookie,
// and the request's session is that one from now on. The request must come with the
// old cookie, so that nobody can have another's browser take over a session of his
// own choice; else it is ErrTicketBrowser. Otherwise it fails as Redeem does.
func (s *Store) RedeemCookie(c *fiber.Ctx, ticket string) error {
	cl := s.claimOf(c)
	v, err := s.redeem(c.UserContext(), voucherCookie, ticket)
	if err != nil {
		return err
	}
	if !s.validID(cl.id) || !holdsFingerprint(v.bound, fingerprintOf(cl.id)) {
		return ErrTicketBrowser
	}
	st, err := s.acquire(c.UserContext(), v.id)
	if errors.Is(err, ErrNotFound) {
		return ErrTicketSession
	}
	if err != nil {
		return err
	}
	f := s.front(c.Context())
	if f == nil {
		f = s.newFront(c)
	}
	return f.exchange(st, v.id, cl.way)
}

func holdsFingerprint(all []byte, f fingerprint) bool {
	found := 0
	for ; len(all) >= len(f); all = all[len(f):] {
		found |= subtle.ConstantTimeCompare(all[:len(f)], f[:])
	}
	return found == 1
}

// maxFormer is how many of a session's former IDs a state remembers.
const maxFormer = 8

// remember keeps the fingerprint of an ID that the session had. It is called with the
// state locked.
func (s *state) remember(former ...fingerprint) {
	s.formerIDs = append(s.formerIDs[:len(s.formerIDs):len(s.formerIDs)], former...)
	if extra := len(s.formerIDs) - maxFormer; extra > 0 {
		s.formerIDs = s.formerIDs[extra:]
	}
}

// OriginOf returns the origin of the page that sent a request, as its Origin header
// says, or the site's own when there is none: browsers leave it out when they get
// something from the same origin, and other clients always.
func OriginOf(c *fiber.Ctx) string {
	if o := c.Get(fiber.HeaderOrigin); o != "" {
		return strings.Clone(o)
	}
	return c.Protocol() + "://" + c.Hostname()
}

// canonicalOrigin returns an origin (RFC 6454, section 6.2) in lower case and without
// the port that its scheme has anyhow. "null" is none.
func canonicalOrigin(s string) (string, bool) {
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
