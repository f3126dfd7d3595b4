package engineio

import (
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// plainKey is the key of the Local that holds the acceptor of a plain WebSocket while its
// request passes through the middlewares of Use.
type plainKey struct{}

// Plain returns a handler for a route that serves plain WebSockets to a: each frame is one
// message, without Engine.IO packets around it. In all other respects its connections are
// like any other of the server: origins, limits, the middlewares of Use, the hooks Lift and
// Release, the order of calls, and Shutdown. The heartbeat consists of WebSocket ping
// frames, which browsers answer on their own. The close code tells the client how the
// connection ended: 1000 (for good), 1001 (the client may reconnect), or 1008 (refused, or
// closed for a violation of the rules).
//
// A request that does not ask for a WebSocket is answered with 426.
func (s *Server) Plain(a transport.Acceptor) fiber.Handler {
	return func(c *fiber.Ctx) error {
		s.warnMissingSettings(c)
		if _, refusal := s.admit(c); refusal != nil {
			return s.finish(c, sendError(c, refusal))
		}
		c.Locals(plainKey{}, a)
		return s.finish(c, s.middlewares.run(c, s.dispatch))
	}
}

// openPlain opens a plain connection.
func (s *Server) openPlain(c *fiber.Ctx, a transport.Acceptor) error {
	if !isWebSocketRequest(c) {
		c.Set(fiber.HeaderUpgrade, "websocket")
		return sendError(c, errNoUpgrade)
	}
	if s.refusesConnections() {
		return sendError(c, ErrShuttingDown)
	}
	key, bad := checkWebSocketRequest(c)
	if bad != nil {
		return sendError(c, bad)
	}
	conn, err := s.openConn(c, WebSocket)
	if err != nil {
		return sendError(c, toError(err))
	}
	conn.acceptor, conn.plain = a, true // not read before the hijack handler runs
	s.hijack(c, key, conn.serveWebSocket, conn.notOpened)
	return nil
}
