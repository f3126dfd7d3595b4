package engineio

import "github.com/gofiber/fiber/v2"

// Guard returns a handler for a route that an app serves, besides the sockets, to the same
// pages. It applies the server's origin policy: requests that may not connect get 403,
// preflight requests are answered, and for all others next runs. Responses have the CORS
// headers that let allowed pages read them, and must not be cached. See
// Config.AllowOrigins and CookiesIgnored.
func (s *Server) Guard(next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		access := s.checkOrigin(c)
		switch {
		case access == refused:
			return s.reportRefusal(c, sendError(c, ErrForbidden))
		case c.Method() == fiber.MethodOptions:
			return s.cors.preflight(c, access)
		}
		return next(c)
	}
}
