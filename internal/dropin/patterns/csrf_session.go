package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/session"
)

func init() {
	add("csrf-session", csrfScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Use(csrf.New(csrf.Config{
			Session:    store,
			KeyLookup:  "form:_csrf",
			ContextKey: "token",
		}))
		addForms(app, store)
		return store
	})
	add("csrf-session-single-use", csrfScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Use(csrf.New(csrf.Config{
			Session:        store,
			SingleUseToken: true,
			KeyLookup:      "form:_csrf",
			ContextKey:     "token",
		}))
		addForms(app, store)
		return store
	})
	// The handlers' session is saved by a middleware of the app's own, inside of csrf.
	add("csrf-session-own-middleware", csrfScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Use(csrf.New(csrf.Config{
			Session:    store,
			KeyLookup:  "form:_csrf",
			ContextKey: "token",
		}))
		app.Use("/form", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			n, _ := sess.Get("visits").(int)
			sess.Set("visits", n+1)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.Next()
		})
		addForms(app, store)
		return store
	})
}
