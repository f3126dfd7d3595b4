package main

import (
	"fmt"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

func init() {
	// Fiber forbids the use of a session after Save.
	addAlone("use-after-save", "POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("n", 1)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(sess.ID() != "", sess.Get("n"), sess.Keys()))
		})
		return store
	})
	// In Fiber, the second Save panics and keeps a lock, so nothing more is asked of the app.
	addAlone("save-twice-at-once", "unseen POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("n", 1)
			if err := sess.Save(); err != nil {
				return err
			}
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString("saved twice")
		})
		return store
	})
}
