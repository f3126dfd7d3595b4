package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addLogout adds an app whose /logout does what end does.
func addLogout(name string, end func(store *session.Store, sess *session.Session, c *fiber.Ctx) error) {
	add("logout-"+name, `
		POST /login
		GET /me
		keep before
		POST /logout
		GET /me
		use before
		GET /me
		POST /login
		GET /me
		POST /logout
		POST /login
		POST /logout
		POST /logout
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := end(store, sess, c); err != nil {
				return err
			}
			return c.Redirect("/me", fiber.StatusSeeOther)
		})
		return store
	})
}

// addSimpleLogin adds /login, which logs alice in, and /me.
func addSimpleLogin(app *fiber.App, store *session.Store) {
	app.Post("/login", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("user", "alice")
		sess.Set("theme", "dark")
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString("logged in")
	})
	addMe(app, store)
}

func init() {
	addLogout("destroy", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error { return sess.Destroy() })
	addLogout("regenerate", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error { return sess.Regenerate() })
	addLogout("reset", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error { return sess.Reset() })
	addLogout("reset-save", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Reset(); err != nil {
			return err
		}
		return sess.Save()
	})
	addLogout("delete-key", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Delete("user")
		return sess.Save()
	})
	addLogout("delete-all-keys", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		for _, key := range sess.Keys() {
			sess.Delete(key)
		}
		return sess.Save()
	})
	addLogout("set-false", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("user", "")
		return sess.Save()
	})
	addLogout("regenerate-delete-save", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		sess.Delete("user")
		return sess.Save()
	})
	addLogout("delete-regenerate-save", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Delete("user")
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Save()
	})
	addLogout("destroy-regenerate", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		return sess.Regenerate()
	})
	addLogout("store-delete", func(store *session.Store, sess *session.Session, _ *fiber.Ctx) error { return store.Delete(sess.ID()) })
	addLogout("destroy-twice", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		return sess.Destroy()
	})
	addLogout("destroy-clear-cookie", func(_ *session.Store, sess *session.Session, c *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		c.ClearCookie("session_id")
		return nil
	})
	addLogout("new-session-after", func(store *session.Store, sess *session.Session, c *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		next, err := store.Get(c)
		if err != nil {
			return err
		}
		next.Set("bye", true)
		return next.Save()
	})
}

// The next apps expire all cookies instead of ending the session, or expire the cookie by its name.
func init() {
	for name, names := range map[string][]string{"all": nil, "by-name": {"session_id"}} {
		add("clear-cookie-"+name, `
			POST /login
			POST /logout
			GET /me`, func(app *fiber.App, e env) *session.Store {
			store := session.New(session.Config{Storage: e.storage()})
			addSimpleLogin(app, store)
			app.Post("/logout", func(c *fiber.Ctx) error {
				c.ClearCookie(names...)
				return c.SendString("bye")
			})
			return store
		})
	}
}
