// Package sitehost finds the host, with its port, that a browser used for a request.
package sitehost

import (
	"bytes"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
)

// Of returns the host that a request is for: its Host header. Fiber's c.Hostname is not used:
// with Fiber's defaults it returns an X-Forwarded-Host from any client, and the host of an
// absolute URI in the request line. X-Forwarded-Host counts only from a proxy that
// fiber.Config names (EnableTrustedProxyCheck, TrustedProxies).
//
// ok is false if the request line has an absolute URI with another host than the header. A
// proxy in front may have checked only one of the two (RFC 9112, section 3.2.2).
//
// The host shares the request's memory.
func Of(c *fiber.Ctx) (host string, ok bool) {
	header := c.Request().Header.Host()
	ok = bytes.EqualFold(header, c.Request().URI().Host())
	if c.App().Config().EnableTrustedProxyCheck && c.IsProxyTrusted() && len(c.Request().Header.Peek(fiber.HeaderXForwardedHost)) > 0 {
		return c.Hostname(), ok
	}
	return utils.UnsafeString(header), ok
}
