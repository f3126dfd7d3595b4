package main

import (
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// rejectToken answers a form with a wrong token. That is usually an old tab rather than an attack,
// so visitors who are not logged in get the form again.
func (s *server) rejectToken(c *fiber.Ctx, _ error) error {
	const expired = "This form has expired. Please try again."
	c.Status(fiber.StatusForbidden)
	if fibersession.FromContext(c).User() != "" {
		return renderMessage(c, "Nothing was changed", expired)
	}
	form := "login"
	if c.Path() == "/signup" {
		form = "signup"
	}
	return s.renderForm(c, "auth", view{Form: form, Notice: expired})
}
