package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	webclient "github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// clientScript is the name under the engine's path where the small ES-module
// client is served.
const clientScript = "fiberbridge.mjs"

// Handler returns the handler to mount with app.Use, after the session middleware
// and whatever else shall run for the handshake too. It serves the engine's path
// ("/socket.io/") and, below it, the ES-module client (fiberbridge.mjs); all
// other requests go on to the next handler.
func (s *Server) Handler() fiber.Handler {
	engine, script := s.engine.Handler(), s.engine.Path()+clientScript
	return func(c *fiber.Ctx) error {
		path := c.Path()
		if path == script {
			return serveClient(c)
		}
		if s.closing.Load() && strings.HasPrefix(path, s.engine.Path()) && len(c.Context().QueryArgs().Peek("sid")) == 0 {
			c.Set(fiber.HeaderRetryAfter, "1")
			return c.SendStatus(fiber.StatusServiceUnavailable)
		}
		return engine(c)
	}
}

// serveClient answers with the script, which a browser may keep but must ask about
// again, so that it is never older than the server.
func serveClient(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodGet && c.Method() != fiber.MethodHead {
		c.Set(fiber.HeaderAllow, "GET, HEAD")
		return c.SendStatus(fiber.StatusMethodNotAllowed)
	}
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderETag, webclient.ETag)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	if c.Get(fiber.HeaderIfNoneMatch) == webclient.ETag {
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, "text/javascript; charset=utf-8")
	return c.Send(webclient.Script)
}
