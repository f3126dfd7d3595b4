package main

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

func init() {
	// "Remember me" lets the session live for a month. The second page saves the session and
	// does not say again how long it lives.
	add("remember-me", `
		POST /login?remember=1
		GET /me
		use other
		POST /login
		GET /me`, buildRemember)
	add("remember-me-later-save", `
		POST /login?remember=1
		POST /theme`, buildRemember)
}

func buildRemember(app *fiber.App, e env) *session.Store {
	store := session.New(session.Config{Storage: e.storage(), Expiration: 2 * time.Hour})
	addMe(app, store)
	app.Post("/login", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Regenerate(); err != nil {
			return err
		}
		sess.Set("user", "alice")
		if c.Query("remember") == "1" {
			sess.SetExpiry(30 * 24 * time.Hour)
		}
		return sess.Save()
	})
	app.Post("/theme", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("theme", "dark")
		return sess.Save()
	})
	return store
}
