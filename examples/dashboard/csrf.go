package main

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// csrfKey is the session value with the token that every form carries, so that another
// site cannot submit a form on a visitor's behalf. The token needs no cookie or storage of
// its own, ends with the session and is replaced at login. (Fiber's csrf middleware has its
// own cookie and store; it can share those of a session that uses Fiber's layout.)
//
// Sockets need no token: socketbridge rejects handshakes from other origins.
const csrfKey = "csrf"

// csrfToken returns the session's token and creates it if there is none.
func csrfToken(sess *fibersession.Session) string {
	token, _ := fibersession.Value[string](sess, csrfKey) // a value of another type is replaced
	if token == "" {
		token = rand.Text() // 130 bits
		if sess.Fresh() {
			sess.SetExpiry(anonymousIdle) // sessions that only saw the login form expire early
		}
		sess.Set(csrfKey, token)
	}
	return token
}

// checkCSRF accepts a form only with the token of its session. A wrong token is usually an
// old tab rather than an attack, so visitors who are not logged in get the form again.
func (s *server) checkCSRF(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	want, err := fibersession.Value[string](sess, csrfKey)
	if err != nil {
		return err
	}
	if want != "" && subtle.ConstantTimeCompare([]byte(c.FormValue("csrf")), []byte(want)) == 1 {
		return c.Next()
	}
	const expired = "This form has expired. Please try again."
	c.Status(fiber.StatusForbidden)
	if sess.User() != "" {
		return renderMessage(c, "Nothing was changed", expired)
	}
	form := "login"
	if c.Path() == "/signup" {
		form = "signup"
	}
	return s.renderForm(c, "auth", view{Form: form, Notice: expired})
}
