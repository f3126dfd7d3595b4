package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Names below the engine's path of what is answered to a POST of a page.
const (
	ticketPath = "ticket"
	cookiePath = "cookie/"
)

// CookieEvent is the event with which Socket.SendCookie sends a URL to the page.
const CookieEvent = "fiberbridge:cookie"

// Ticket returns a ticket for the session of a request, with which a page or an app
// that sends no cookie joins a namespace once: in Socket.IO's auth option, as
// {ticket: "…"}. See fibersession.Store.Ticket for what it is
// bound to. ErrNoSession without Config.Sessions.
func (s *Server) Ticket(c *fiber.Ctx, origin ...string) (string, error) {
	if s.cfg.Sessions == nil || engineio.CookiesIgnored(c) {
		return "", ErrNoSession
	}
	return s.cfg.Sessions.Ticket(c, origin...)
}

// TicketHandler returns a handler that answers a page's POST with {"ticket":"…"}, for
// the page's own origin. Handler serves one at "/socket.io/ticket" (with the engine's
// path); mount another where something else is to run before it, such as a limiter.
// It answers 403 to pages that may not connect, and 401 with the code session_missing
// to a visitor who has no stored session.
func (s *Server) TicketHandler() fiber.Handler {
	return s.engine.Guard(func(c *fiber.Ctx) error {
		if c.Method() != fiber.MethodPost {
			c.Set(fiber.HeaderAllow, "POST, OPTIONS")
			return c.SendStatus(fiber.StatusMethodNotAllowed)
		}
		ticket, err := s.Ticket(c)
		if errors.Is(err, fibersession.ErrTicketSession) {
			err = ErrNoSession // there is none yet: no ticket is at fault
		}
		if err != nil {
			return s.answerTicketError(c, "no ticket was issued", err)
		}
		return c.JSON(map[string]string{"ticket": ticket})
	})
}

// CookieURL returns a URL, a path of this site, from which the browser of a session
// whose ID was changed by a handle (fibersession.Handle.Regenerate) fetches its new
// cookie, by a POST with its old one, once and soon (TicketTTL). Give it to the
// browser over its socket only; Socket.SendCookie does.
func (s *Server) CookieURL(ctx context.Context, h *fibersession.Handle) (string, error) {
	if s.cfg.Sessions == nil {
		return "", ErrNoSession
	}
	ticket, err := h.CookieTicket(ctx)
	if err != nil {
		return "", err
	}
	return s.engine.Path() + cookiePath + ticket, nil
}

// SendCookie sends the page of the socket a URL (CookieURL) to fetch its new cookie
// from, after Handle.Regenerate. The page's script does that when it hears
// CookieEvent: connectWithSession, or followCookie with the official client.
func (s *Socket) SendCookie(ctx context.Context) error {
	if s.session == nil {
		return ErrNoSession
	}
	url, err := s.server().CookieURL(ctx, s.session)
	if err != nil {
		return err
	}
	return s.Emit(CookieEvent, url)
}

// cookieHandler answers the fetch of a CookieURL.
func (s *Server) cookieHandler() fiber.Handler {
	return s.engine.Guard(func(c *fiber.Ctx) error {
		if c.Method() != fiber.MethodPost {
			c.Set(fiber.HeaderAllow, "POST, OPTIONS")
			return c.SendStatus(fiber.StatusMethodNotAllowed)
		}
		if s.cfg.Sessions == nil || engineio.CookiesIgnored(c) {
			return s.answerTicketError(c, "no cookie was given", ErrNoSession)
		}
		ticket := strings.TrimPrefix(c.Path(), s.engine.Path()+cookiePath)
		if err := s.cfg.Sessions.RedeemCookie(c, ticket); err != nil {
			return s.answerTicketError(c, "no cookie was given", err)
		}
		return c.SendStatus(fiber.StatusNoContent)
	})
}

// answerTicketError tells the page a stable code, and the log why.
func (s *Server) answerTicketError(c *fiber.Ctx, msg string, err error) error {
	s.log.Info("socketbridge: "+msg, "error", err, "remote", c.IP())
	status, e := fiber.StatusForbidden, public(err)
	switch {
	case errors.Is(err, ErrNoSession):
		status, e = fiber.StatusUnauthorized, &EventError{Code: CodeSessionMissing, Message: "there is no session"}
	case errors.Is(err, fibersession.ErrSessionGone):
		status = fiber.StatusUnauthorized
	case errors.Is(err, fibersession.ErrUnavailable), errors.Is(err, fibersession.ErrUnknownOutcome):
		status = fiber.StatusServiceUnavailable
	case e == nil:
		status, e = fiber.StatusInternalServerError, &EventError{Code: CodeInternal, Message: "internal error"}
	}
	return c.Status(status).JSON(e)
}

// ticket returns what the client gave as its ticket. Whatever it gave counts as one,
// so that a page whose ticket failed is refused and not somebody else.
func (s *Socket) ticket() (ticket string, given bool) {
	if len(s.auth) == 0 {
		return "", false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.auth, &fields); err != nil {
		return "", false // it was checked to be an object
	}
	raw, given := fields[ticketField]
	if !given || string(raw) == "null" {
		return "", false
	}
	if json.Unmarshal(raw, &ticket) != nil {
		ticket = ""
	}
	return ticket, true
}

// redeem gives the socket the session that a ticket is for, in place of the
// connection's. The handle is the socket's own, and ends with it.
func (s *Socket) redeem(ticket string) error {
	srv := s.server()
	h, err := srv.cfg.Sessions.Redeem(s.Context(), ticket, handshakeOrigin(s.Handshake()))
	if err != nil {
		return err
	}
	l := &lifted{handle: h, epoch: h.Epoch()}
	if name := h.Pseudonym("count"); s.client.lifted == nil || s.client.lifted.name != name {
		if !srv.perSession.add(name, srv.cfg.Limits.MaxConnsPerSession) {
			h.Release()
			return errTooManySockets
		}
		l.name = name
	}
	s.ticketed, s.session = l, h
	return nil
}

// handshakeOrigin is the origin of the page that opened a connection; a request
// without one counts as the site's own page. See fibersession.OriginOf.
func handshakeOrigin(hs *transport.Handshake) string {
	if o := hs.Header.Get(fiber.HeaderOrigin); o != "" {
		return o
	}
	if hs.Secure {
		return "https://" + hs.Host
	}
	return "http://" + hs.Host
}

// errTooManySockets refuses a ticket's socket as MaxConnsPerSession does a connection.
var errTooManySockets = &EventError{Code: CodeTooMany, Message: "too many connections of this session"}
