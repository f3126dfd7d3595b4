package engineio

import (
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/sitehost"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/httpbody"
)

// admit makes the checks that all requests have in common: that no other server could read
// them differently, and the origin policy. It sets the headers that all responses have.
func (s *Server) admit(c *fiber.Ctx) (originAccess, *Error) {
	c.Status(fiber.StatusOK) // Fiber's filesystem sets 404 before it calls the next handler
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
	if cause := ambiguity(c); cause != "" {
		c.Context().SetConnectionClose()
		s.notices.Report(&ambiguousNotice, cause, "cause", cause)
		return refused, errAmbiguousRequest
	}
	access := s.checkOrigin(c)
	if access == refused {
		return refused, ErrForbidden
	}
	return access, nil
}

// ambiguity returns what a proxy in front could have read differently, or "".
func ambiguity(c *fiber.Ctx) string {
	if httpbody.Ambiguous(&c.Request().Header) {
		return errAmbiguous.Error()
	}
	if _, ok := sitehost.Of(c); !ok {
		return "its request line and its Host header name different hosts"
	}
	return ""
}

// Guard returns a handler for a route that an app serves, besides the sockets, to the same
// pages. It applies the server's origin policy: requests that may not connect get 403,
// preflight requests are answered, and for all others next runs. Responses have the CORS
// headers that let allowed pages read them, and must not be cached. See
// Config.AllowOrigins and CookiesIgnored.
func (s *Server) Guard(next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		access, refusal := s.admit(c)
		switch {
		case refusal != nil:
			return s.finish(c, sendError(c, refusal))
		case c.Method() == fiber.MethodOptions:
			return s.finish(c, s.cors.preflight(c, access))
		}
		return s.finish(c, next(c))
	}
}
