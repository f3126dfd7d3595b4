package main

import (
	"fmt"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

func init() {
	// The app looks for the session's cookie itself.
	readsCookie := func(cfg session.Config) func(app *fiber.App, e env) *session.Store {
		return func(app *fiber.App, e env) *session.Store {
			cfg := cfg
			cfg.Storage = e.storage()
			store := session.New(cfg)
			addSimpleLogin(app, store)
			app.Get("/visited", func(c *fiber.Ctx) error {
				sess, err := store.Get(c)
				if err != nil {
					return err
				}
				return c.SendString(fmt.Sprint(c.Cookies("session_id") != "", c.Cookies("session_id") == sess.ID()))
			})
			return store
		}
	}
	const script = `
		GET /visited
		POST /login
		GET /visited`
	add("reads-cookie", script, readsCookie(session.Config{}))
	add("reads-cookie-named", script, readsCookie(session.Config{KeyLookup: "cookie:session_id"}))

	// Visitors and administrators have sessions of their own, in one storage.
	add("two-stores", `
		POST /login
		GET /me
		POST /admin/login
		GET /admin/me
		GET /me
		POST /admin/logout
		GET /admin/me
		GET /me`, func(app *fiber.App, e env) *session.Store {
		shared := e.storage()
		visitors := session.New(session.Config{Storage: shared, KeyLookup: "cookie:visitor"})
		admins := session.New(session.Config{Storage: shared, KeyLookup: "cookie:admin"})
		addSimpleLogin(app, visitors)
		admin := fiber.New()
		addSimpleLogin(admin, admins)
		admin.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := admins.Get(c)
			if err != nil {
				return err
			}
			return sess.Destroy()
		})
		app.Mount("/admin", admin)
		return visitors
	})

	// A handler that panics after it saved, and one that panics before.
	add("panic", `
		POST /login
		POST /saved
		GET /me
		POST /unsaved
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/:when", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set(c.Params("when"), true)
			if c.Params("when") == "saved" {
				if err := sess.Save(); err != nil {
					return err
				}
			}
			panic("out of tea")
		})
		return store
	})

	// Values are replaced by values of other types, and keys that do not exist are deleted.
	add("values", `
		POST /
		POST /
		POST /`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Delete("none")
			before := []any{sess.Get("none"), sess.Get("turn")}
			switch sess.Get("turn").(type) {
			case nil:
				sess.Set("turn", "string")
			case string:
				sess.Set("turn", 2)
			case int:
				sess.Set("turn", []string{"three"})
			}
			sess.Set("", "the empty key")
			sess.Set("deleted", 1)
			sess.Delete("deleted")
			keys := sess.Keys()
			slices.Sort(keys)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.JSON([]any{before, keys})
		})
		return store
	})

	add("set-nil", "POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("nothing", nil)
			if err := sess.Save(); err != nil {
				return c.Status(fiber.StatusInternalServerError).SendString("not saved")
			}
			return c.SendString("saved")
		})
		return store
	})

	// The middleware saves before the handlers, so that every visitor has a session.
	add("middleware-save-first", `
		GET /me
		GET /me
		POST /login
		GET /me
		POST /logout
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Use(func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if sess.Fresh() {
				if err := sess.Save(); err != nil {
					return err
				}
			}
			return c.Next()
		})
		addSimpleLogin(app, store)
		app.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			return sess.Destroy()
		})
		return store
	})
}
