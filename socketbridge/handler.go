package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
)

// Handler returns the server's HTTP handler. Mount it with app.Use, after the session
// middleware and any other middleware that must run for the handshake. It serves the
// engine's path ("/socket.io/") and, below it, the official client (socket.io.js,
// socket.io.min.js, socket.io.esm.min.js and socket.io.msgpack.min.js; see
// Config.DisableServeClient), the server's own client (see ScriptURL), tickets (see
// TicketHandler) and cookie renewal (see CookieURL). It passes all other
// requests to the next handler.
func (s *Server) Handler() fiber.Handler {
	engine, ticket, cookie := s.engine.Handler(), s.TicketHandler(), s.cookieHandler()
	return func(c *fiber.Ctx) error {
		name, below := strings.CutPrefix(c.Path(), s.engine.Path())
		if below {
			served, err := serveScript(c, name)
			if !served && !s.cfg.DisableServeClient {
				served, err = serveOfficial(c, name)
			}
			if served {
				s.boundScript(c)
				return err
			}
		}
		if below && s.closing.Load() && len(c.Context().QueryArgs().Peek("sid")) == 0 {
			s.notices.Report(&shutdownRefusedNotice, "", "remote", s.engine.RemoteIP(c))
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

// boundScript bounds how long a client may take nothing of a script, and closes the connection
// of a request whose end is ambiguous.
func (s *Server) boundScript(c *fiber.Ctx) {
	if httpbody.Ambiguous(&c.Request().Header) || httpbody.Unread(c.Request()) {
		c.Context().SetConnectionClose()
	}
	httpbody.Bound(c.Context(), s.cfg.Engine.Timeouts.Write)
}

// LimitBodies bounds the memory of request bodies, for all routes of an app. Call it once for
// each app that listens, after fiber.New and before Listen. Without it, the server logs a
// warning. See engineio.Server.LimitBodies.
func (s *Server) LimitBodies(app *fiber.App) { s.engine.LimitBodies(app) }
