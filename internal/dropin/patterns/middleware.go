package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addOwnMiddleware adds an app with a middleware of its own around all handlers: get the
// session, put it in the locals, run the handler, save.
func addOwnMiddleware(name, script string) {
	add("middleware-"+name, script, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Use(func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			c.Locals("session", sess)
			if err := c.Next(); err != nil {
				return err
			}
			return sess.Save()
		})
		local := func(c *fiber.Ctx) *session.Session { return c.Locals("session").(*session.Session) }
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString("welcome") })
		app.Get("/me", func(c *fiber.Ctx) error {
			if local(c).Get("user") == nil {
				return c.Status(fiber.StatusUnauthorized).SendString("who are you?")
			}
			return c.SendString("hello " + describe(local(c).Get("user")))
		})
		app.Post("/login", func(c *fiber.Ctx) error {
			local(c).Set("user", "alice")
			return c.Redirect("/me")
		})
		app.Post("/login-regenerate", func(c *fiber.Ctx) error {
			if err := local(c).Regenerate(); err != nil {
				return err
			}
			local(c).Set("user", "alice")
			return c.Redirect("/me")
		})
		app.Post("/logout-delete", func(c *fiber.Ctx) error {
			local(c).Delete("user")
			return c.Redirect("/me")
		})
		app.Post("/logout-reset", func(c *fiber.Ctx) error {
			if err := local(c).Reset(); err != nil {
				return err
			}
			return c.Redirect("/me")
		})
		app.Post("/logout-destroy", func(c *fiber.Ctx) error {
			if err := local(c).Destroy(); err != nil {
				return err
			}
			return c.Redirect("/me")
		})
		app.Post("/logout-destroy-flash", func(c *fiber.Ctx) error {
			if err := local(c).Destroy(); err != nil {
				return err
			}
			local(c).Set("flash", "bye")
			return c.Redirect("/me")
		})
		app.Post("/fail", func(c *fiber.Ctx) error {
			local(c).Set("lost", true)
			return fiber.NewError(fiber.StatusBadRequest, "the form is not complete")
		})
		// The next handlers get the session a second time, as a library would.
		app.Post("/get-destroy", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := sess.Destroy(); err != nil {
				return err
			}
			return c.Redirect("/me")
		})
		app.Post("/get-set-save", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("theme", "dark")
			if err := sess.Save(); err != nil {
				return err
			}
			return c.Redirect("/me")
		})
		return store
	})
}

func init() {
	addOwnMiddleware("read", `
		GET /
		GET /me
		GET /`)
	addOwnMiddleware("login", `
		POST /login
		GET /me
		GET /
		GET /me`)
	addOwnMiddleware("login-regenerate", `
		GET /
		keep before
		POST /login-regenerate
		GET /me
		POST /login-regenerate
		GET /me
		use before
		GET /me`)
	addOwnMiddleware("logout-delete", `
		POST /login
		POST /logout-delete
		GET /me
		POST /login
		GET /me`)
	addOwnMiddleware("logout-reset", `
		POST /login
		keep before
		POST /logout-reset
		GET /me
		use before
		GET /me`)
	addOwnMiddleware("logout-destroy", `
		POST /login
		keep before
		POST /logout-destroy
		GET /me
		use before
		GET /me
		POST /login
		GET /me`)
	addOwnMiddleware("logout-destroy-flash", `
		POST /login
		keep before
		POST /logout-destroy-flash
		GET /me
		use before
		GET /me`)
	addOwnMiddleware("error", `
		GET /
		POST /fail
		GET /me
		use other
		POST /fail
		GET /me`)
	addOwnMiddleware("get-destroy", `
		POST /login
		POST /get-destroy
		GET /me`)
	addOwnMiddleware("get-set-save", `
		POST /login
		POST /get-set-save
		GET /me`)
}
