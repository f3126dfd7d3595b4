package engineio

import (
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// plainKey is where a request for a plain WebSocket keeps its acceptor on its way
// through the middlewares of Use.
type plainKey struct{}

// Plain returns a handler for a route of the app that gives plain WebSockets to a:
// each frame is one message, without Engine.IO's packets around it. All else is as
// for any connection of the server: origins, limits, the middlewares of Use, Lift
// and Dropped, the order of what is called, Shutdown. The heartbeat is that of
// WebSocket: ping frames, which browsers answer by themselves. Close tells why by
// the close code: 1000 (ended for good), 1001 (come back), 1008 (refused, or broke
// the rules).
//
// A request that is no WebSocket upgrade is answered with 426.
func (s *Server) Plain(a transport.Acceptor) fiber.Handler {
	return func(c *fiber.Ctx) error {
		s.warn(c)
		if s.judge(c) == refused {
			return answer(c, ErrForbidden)
		}
		c.Locals(plainKey{}, a)
		return s.chain.run(c, s.dispatch)
	}
}

// openPlain opens a plain connection.
func (s *Server) openPlain(c *fiber.Ctx, a transport.Acceptor) error {
	if !isUpgrade(c) {
		c.Set(fiber.HeaderUpgrade, "websocket")
		return answer(c, errNoUpgrade)
	}
	if s.isClosing() {
		return answer(c, errShuttingDown)
	}
	key, bad := checkUpgrade(c)
	if bad != nil {
		return answer(c, bad)
	}
	conn, err := s.open(c, WebSocket)
	if err != nil {
		return answer(c, refusal(err))
	}
	conn.acceptor, conn.plain = a, true // nobody looks before the hijack handler runs
	s.hijack(c, key, conn.serveWebSocket, func() { conn.end(transport.TransportError, errNotCarried) })
	return nil
}
