package main

import (
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addLarge adds an app that stores a lot in one session.
func addLarge(name string, fill func(*session.Session)) {
	add("large-"+name, "POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Get("/size", func(c *fiber.Ctx) error { return nil })
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			fill(sess)
			if err := sess.Save(); err != nil {
				return c.Status(fiber.StatusInternalServerError).SendString("not saved")
			}
			return c.SendString("saved")
		})
		return store
	})
}

func init() {
	addLarge("value-ok", func(sess *session.Session) { sess.Set("text", strings.Repeat("x", 30_000)) })
	addLarge("value", func(sess *session.Session) { sess.Set("text", strings.Repeat("x", 100_000)) })
	addLarge("keys-ok", func(sess *session.Session) {
		for i := range 100 {
			sess.Set(fmt.Sprintf("key%03d", i), i)
		}
	})
	addLarge("keys", func(sess *session.Session) {
		for i := range 200 {
			sess.Set(fmt.Sprintf("key%03d", i), i)
		}
	})
	addLarge("key", func(sess *session.Session) { sess.Set(strings.Repeat("k", 300), 1) })
}
