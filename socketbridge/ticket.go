package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Paths of the POST endpoints, below the engine's path.
const (
	ticketPath = "ticket"
	cookiePath = "cookie/"
)

// CookieEvent is the name of the event by which Socket.SendCookie sends a URL to the
// page.
const CookieEvent = "fiberbridge:cookie"

// Ticket returns a ticket for the session of a request. A page or an app that cannot send
// the cookie presents it, as {ticket: "…"} in Socket.IO's auth option, to join one
// namespace once. fibersession.Store.Ticket describes what the ticket is bound to, its
// lifetime and its errors. Ticket returns ErrNoSession without Config.Sessions, and for a
// request that names its session only in cookies that are ignored (engineio.CookiesIgnored).
func (s *Server) Ticket(c *fiber.Ctx, origin ...string) (string, error) {
	if s.cfg.Sessions == nil {
		return "", ErrNoSession
	}
	if !engineio.CookiesIgnored(c) {
		return s.cfg.Sessions.Ticket(c, origin...)
	}
	h, err := s.cfg.Sessions.LiftWithoutCookies(c)
	if errors.Is(err, fibersession.ErrNotFound) {
		return "", ErrNoSession
	}
	if err != nil {
		return "", err
	}
	defer h.Release()
	if len(origin) == 0 {
		origin = []string{fibersession.OriginOf(c)}
	}
	return h.Ticket(c.UserContext(), origin[0])
}

// TicketHandler returns a handler that answers a page's POST with {"ticket":"…"}. The
// ticket is bound to the page's origin. Handler already serves one at "/socket.io/ticket"
// (below the engine's path); mount another if a middleware, such as a limiter, must run
// first. The handler answers 403 to pages that may not connect, and 401 with the code
// session_missing to visitors without a stored session.
func (s *Server) TicketHandler() fiber.Handler {
	return s.engine.Guard(func(c *fiber.Ctx) error {
		if c.Method() != fiber.MethodPost {
			c.Set(fiber.HeaderAllow, "POST, OPTIONS")
			return c.SendStatus(fiber.StatusMethodNotAllowed)
		}
		ticket, err := s.Ticket(c)
		if errors.Is(err, fibersession.ErrTicketSession) {
			err = ErrNoSession // nothing is stored yet; the client sent no invalid ticket
		}
		if err != nil {
			return s.answerTicketError(c, &ticketRefusedNotice, err)
		}
		return c.JSON(map[string]string{"ticket": ticket})
	})
}

// CookieURL returns a URL from which a browser fetches its new cookie after
// fibersession.Handle.Regenerate has changed the session's ID. It is relative to the engine's
// path, "cookie/…", because only the page knows that path if a proxy changes it. The browser
// sends a POST with its old cookie. The URL works once and expires after
// fibersession.Config.Timeouts.Ticket. Send it only over the browser's own socket, as
// Socket.SendCookie does. CookieURL returns ErrNoSession without Config.Sessions.
func (s *Server) CookieURL(ctx context.Context, h *fibersession.Handle) (string, error) {
	if s.cfg.Sessions == nil {
		return "", ErrNoSession
	}
	ticket, err := h.CookieTicket(ctx)
	if err != nil {
		return "", err
	}
	return cookiePath + ticket, nil
}

// SendCookie makes the socket's page fetch its new cookie after
// fibersession.Handle.Regenerate. It emits CookieEvent with a CookieURL. The browser
// client handles the event: connectWithSession does, and so does followCookie with the
// official client. SendCookie returns ErrNoSession if the socket has no session.
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

// cookieHandler serves CookieURL.
func (s *Server) cookieHandler() fiber.Handler {
	return s.engine.Guard(func(c *fiber.Ctx) error {
		if c.Method() != fiber.MethodPost {
			c.Set(fiber.HeaderAllow, "POST, OPTIONS")
			return c.SendStatus(fiber.StatusMethodNotAllowed)
		}
		if s.cfg.Sessions == nil || engineio.CookiesIgnored(c) {
			return s.answerTicketError(c, &cookieRefusedNotice, ErrNoSession)
		}
		ticket := strings.TrimPrefix(c.Path(), s.engine.Path()+cookiePath)
		if err := s.cfg.Sessions.RedeemCookie(c, ticket); err != nil {
			return s.answerTicketError(c, &cookieRefusedNotice, err)
		}
		return c.SendStatus(fiber.StatusNoContent)
	})
}

// answerTicketError answers with a stable code and reports err.
func (s *Server) answerTicketError(c *fiber.Ctx, k *notice.Kind, err error) error {
	status, e := fiber.StatusForbidden, clientError(err)
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
	s.notices.Report(k, err.Error(), "error", err, "remote", s.engine.RemoteIP(c))
	return c.Status(status).JSON(e)
}

// ticket returns the ticket in the client's auth option. Any value counts as a ticket, so
// that a client with an invalid one is refused instead of joining as the visitor that its
// cookie names.
func (s *Socket) ticket() (ticket string, given bool) {
	if len(s.auth) == 0 {
		return "", false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(s.auth, &fields); err != nil {
		return "", false // unreachable: authPayload accepts objects only
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

// redeem redeems a ticket and gives the socket the ticket's session instead of the
// connection's. The socket owns the handle; finish releases it.
func (s *Socket) redeem(ctx context.Context, ticket string) error {
	srv := s.server()
	h, err := srv.cfg.Sessions.Redeem(ctx, ticket, handshakeOrigin(s.Handshake()))
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

// handshakeOrigin returns the origin of the page that opened a connection. A request
// without an Origin header counts as the site's own. See fibersession.OriginOf.
func handshakeOrigin(hs *transport.Handshake) string {
	if o := hs.Header.Get(fiber.HeaderOrigin); o != "" {
		return o
	}
	if hs.Secure {
		return "https://" + hs.Host
	}
	return "http://" + hs.Host
}

// errTooManySockets refuses the socket of a ticket if the ticket's session already has
// MaxConnsPerSession connections.
var errTooManySockets = &EventError{Code: CodeTooMany, Message: "too many connections of this session"}
