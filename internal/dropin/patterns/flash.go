package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addFlash adds /flash, which shows a message once.
func addFlash(app *fiber.App, store *session.Store) {
	app.Get("/flash", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		message, _ := sess.Get("flash").(string)
		if message == "" {
			return c.SendString("no message")
		}
		sess.Delete("flash")
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(message)
	})
}

func init() {
	add("flash", `
		GET /flash
		POST /send
		GET /flash
		GET /flash
		follow POST /send
		GET /flash
		POST /send
		POST /send
		GET /flash
		GET /flash`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addFlash(app, store)
		app.Post("/send", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("flash", "Sent.")
			if err := sess.Save(); err != nil {
				return err
			}
			return c.Redirect("/flash", fiber.StatusSeeOther)
		})
		return store
	})

	// A page that needs a login sends the visitor to the login page and, after it, back.
	add("redirects", `
		GET /orders?page=2
		GET /login
		POST /login
		GET /orders?page=2
		POST /logout
		follow GET /orders?page=3
		follow POST /login
		GET /orders?page=3`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Get("/orders", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if sess.Get("user") == nil {
				sess.Set("return_to", c.OriginalURL())
				if err := sess.Save(); err != nil {
					return err
				}
				return c.Redirect("/login")
			}
			return c.SendString("orders, page " + c.Query("page"))
		})
		app.Get("/login", func(c *fiber.Ctx) error { return c.SendString("please log in") })
		app.Post("/login", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			to, _ := sess.Get("return_to").(string)
			if to == "" {
				to = "/orders"
			}
			sess.Delete("return_to")
			if err := sess.Regenerate(); err != nil {
				return err
			}
			sess.Set("user", "alice")
			if err := sess.Save(); err != nil {
				return err
			}
			return c.Redirect(to, fiber.StatusSeeOther)
		})
		app.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := sess.Destroy(); err != nil {
				return err
			}
			return c.Redirect("/login")
		})
		return store
	})
}
