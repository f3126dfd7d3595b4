package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"
)

// Handler returns the handler to mount with app.Use, after the session middleware
// and whatever else shall run for the handshake too. It serves the engine's path
// ("/socket.io/") and, below it, the client for pages (see ScriptURL), tickets (see
// TicketHandler) and new cookies (see CookieURL); all other requests go on to the
// next handler.
func (s *Server) Handler() fiber.Handler {
	engine, ticket, cookie := s.engine.Handler(), s.TicketHandler(), s.cookieHandler()
	return func(c *fiber.Ctx) error {
		name, below := strings.CutPrefix(c.Path(), s.engine.Path())
		if below {
			if served, err := serveScript(c, name); served {
				return err
			}
		}
		if below && s.closing.Load() && len(c.Context().QueryArgs().Peek("sid")) == 0 {
			c.Set(fiber.HeaderRetryAfter, "1")
			return c.SendStatus(fiber.StatusServiceUnavailable)
		}
		switch {
		case below && name == ticketPath:
			return ticket(c)
		case below && strings.HasPrefix(name, cookiePath):
			return cookie(c)
		}
		return engine(c)
	}
}
