package engineio

import "github.com/gofiber/fiber/v2"

// Guard returns a handler for what an app serves beside the sockets to the same
// pages: it passes on what comes from where connections may come from, answers
// preflights, and sets the headers that let such pages read the answer, and nobody
// keep it. Others get 403. See Config.AllowOrigins, and CookiesIgnored.
func (s *Server) Guard(next fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		from := s.judge(c)
		switch {
		case from == refused:
			return answer(c, ErrForbidden)
		case c.Method() == fiber.MethodOptions:
			return s.cors.preflight(c, from)
		}
		return next(c)
	}
}
