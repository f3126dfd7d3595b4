package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/session"
)

const csrfScript = `
	GET /form > token
	GET /form > token
	POST /send _csrf=$token
	POST /send _csrf=wrong
	POST /send
	GET /form > token
	POST /login _csrf=$token
	GET /me
	GET /form > token
	POST /send _csrf=$token
	POST /logout _csrf=$token
	GET /me
	GET /form > token
	POST /send _csrf=$token
	use other
	POST /send _csrf=$token
	GET /form > token
	POST /login _csrf=$token
	GET /me`

// addForms adds a form, a login that changes the session's ID, and a logout.
func addForms(app *fiber.App, store *session.Store) {
	app.Get("/form", func(c *fiber.Ctx) error {
		token, _ := c.Locals("token").(string)
		return c.SendString(token)
	})
	app.Post("/send", func(c *fiber.Ctx) error { return c.SendString("sent") })
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
		if err := sess.Save(); err != nil {
			return err
		}
		return c.Redirect("/me", fiber.StatusSeeOther)
	})
	app.Post("/logout", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Destroy(); err != nil {
			return err
		}
		return c.Redirect("/me", fiber.StatusSeeOther)
	})
}

func init() {
	add("csrf-storage", csrfScript, func(app *fiber.App, e env) *session.Store {
		shared := e.storage()
		store := session.New(session.Config{Storage: shared})
		app.Use(csrf.New(csrf.Config{Storage: shared, KeyLookup: "form:_csrf", ContextKey: "token"}))
		addForms(app, store)
		return store
	})
}
