package engineio

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
)

// corsHeaders are the answers to pages of other origins.
type corsHeaders struct {
	allowHeaders string
}

// originOf collects what the policy judges. The scheme and the host are Fiber's:
// its trusted proxies apply.
func originOf(c *fiber.Ctx) originRequest {
	return originRequest{
		Origins:   headerValues(c, fiber.HeaderOrigin),
		FetchSite: headerValues(c, "Sec-Fetch-Site"),
		Scheme:    c.Protocol(),
		Host:      c.Hostname(),
		ctx:       c,
	}
}

func headerValues(c *fiber.Ctx, name string) []string {
	var values []string
	for _, v := range c.Request().Header.PeekAll(name) {
		values = append(values, utils.UnsafeString(v)) // used in this request only
	}
	return values
}

// set writes the headers that let a page read the answer. What a CORS middleware of
// the app has said before is taken back: here the judgement is ours.
func (h corsHeaders) set(c *fiber.Ctx, v verdict) {
	c.Vary(fiber.HeaderOrigin)
	c.Response().Header.Del(fiber.HeaderAccessControlAllowOrigin)
	c.Response().Header.Del(fiber.HeaderAccessControlAllowCredentials)
	switch v {
	case crossOrigin:
		c.Set(fiber.HeaderAccessControlAllowOrigin, c.Get(fiber.HeaderOrigin))
		c.Set(fiber.HeaderAccessControlAllowCredentials, "true")
	case anyOrigin:
		c.Set(fiber.HeaderAccessControlAllowOrigin, "*")
	}
}

// preflight answers an OPTIONS request, which is no request of the protocol.
func (h corsHeaders) preflight(c *fiber.Ctx, v verdict) error {
	if v == crossOrigin || v == anyOrigin {
		c.Set(fiber.HeaderAccessControlAllowMethods, "GET, POST")
		c.Set(fiber.HeaderAccessControlAllowHeaders, h.allowHeaders)
		c.Set(fiber.HeaderAccessControlMaxAge, "600")
	}
	c.Set(fiber.HeaderAllow, "GET, POST, OPTIONS")
	return c.SendStatus(fiber.StatusNoContent)
}

func newCORSHeaders(cfg Config) corsHeaders {
	return corsHeaders{allowHeaders: strings.Join(cfg.AllowHeaders, ", ")}
}

type cookiesIgnored struct{}

// ignoreCookies takes the cookies from a request that any page may send.
func ignoreCookies(c *fiber.Ctx) {
	c.Request().Header.DelAllCookies()
	c.Locals(cookiesIgnored{}, true)
}

// CookiesIgnored reports whether the cookies of a request of this package must not
// be believed, because Config.AllowAnyOrigin lets any page send it. The request
// then has none; but a middleware that ran before may have read them.
func CookiesIgnored(c *fiber.Ctx) bool {
	ignored, _ := c.Locals(cookiesIgnored{}).(bool)
	return ignored
}
