package engineio

import (
	"strings"

	"github.com/gofiber/fiber/v2"
)

// corsHeaders sets the CORS headers of responses.
type corsHeaders struct {
	allowHeaders string
}

func newCORSHeaders(cfg Config) corsHeaders {
	return corsHeaders{allowHeaders: strings.Join(cfg.AllowHeaders, ", ")}
}

// set sets the headers that let a page read the response. It removes those of a CORS
// middleware of the app, because only the server's own policy applies here.
func (h corsHeaders) set(c *fiber.Ctx, access originAccess) {
	c.Vary(fiber.HeaderOrigin)
	c.Response().Header.Del(fiber.HeaderAccessControlAllowOrigin)
	c.Response().Header.Del(fiber.HeaderAccessControlAllowCredentials)
	switch access {
	case crossOrigin:
		c.Set(fiber.HeaderAccessControlAllowOrigin, c.Get(fiber.HeaderOrigin))
		c.Set(fiber.HeaderAccessControlAllowCredentials, "true")
	case anyOrigin:
		c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	}
}

// preflight answers an OPTIONS request. Such a request is not part of the protocol.
func (h corsHeaders) preflight(c *fiber.Ctx, access originAccess) error {
	if access == crossOrigin || access == anyOrigin {
		c.Set(fiber.HeaderAccessControlAllowMethods, "GET, POST")
		c.Set(fiber.HeaderAccessControlAllowHeaders, h.allowHeaders)
		c.Set(fiber.HeaderAccessControlMaxAge, "600")
	}
	c.Set(fiber.HeaderAllow, "GET, POST, OPTIONS")
	return c.SendStatus(fiber.StatusNoContent)
}

type cookiesIgnored struct{}

// ignoreCookies removes the cookies from a request that any page could have sent.
func ignoreCookies(c *fiber.Ctx) {
	c.Request().Header.DelAllCookies()
	c.Locals(cookiesIgnored{}, true)
}

// CookiesIgnored reports whether the cookies of a request to this server must not be
// trusted, because any page could have sent it: Config.AllowAnyOrigin is set, or the origin
// is "null" and Config.AllowOrigins lists that. The server has then removed the cookies from
// the request, but a middleware that ran earlier may have read them.
func CookiesIgnored(c *fiber.Ctx) bool {
	ignored, _ := c.Locals(cookiesIgnored{}).(bool)
	return ignored
}
