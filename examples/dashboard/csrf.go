package main

import (
	"crypto/rand"
	"crypto/subtle"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// A form carries a token that its session keeps, so that no other site can send
// it for a visitor. The token is a value of the session like any other: it needs no
// cookie and no storage beside it, ends with its session, and is another one after
// signing in. (Fiber's csrf middleware has a cookie and a store of its own; with the
// session's layout of Fiber, it can share that.)
//
// Sockets need none: the bridge takes no handshake from another origin.
const csrfKey = "csrf"

// formToken returns the token of a session, and gives it one when it has none.
func formToken(sess *fibersession.Session) string {
	token := fibersession.Value[string](sess, csrfKey)
	if token == "" {
		token = rand.Text() // 130 bits
		if sess.Fresh() {
			sess.SetExpiry(visitorIdle) // who only looks at the door is soon forgotten
		}
		sess.Set(csrfKey, token)
	}
	return token
}

// sameForm lets a form pass that this session was given. Another one is an old tab,
// far more often than an attack: who is not signed in gets the form anew.
func (s *site) sameForm(c *fiber.Ctx) error {
	sess := fibersession.FromContext(c)
	want := fibersession.Value[string](sess, csrfKey)
	if want != "" && subtle.ConstantTimeCompare([]byte(c.FormValue("csrf")), []byte(want)) == 1 {
		return c.Next()
	}
	const old = "This page had grown old. Please try again."
	c.Status(fiber.StatusForbidden)
	if sess.User() != "" {
		return message(c, "Not done.", old)
	}
	form := "login"
	if c.Path() == "/signup" {
		form = "signup"
	}
	return s.show(c, "door", view{Form: form, Notice: old})
}
