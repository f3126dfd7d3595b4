package main

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addSequence adds an app with a login and a route /do for one sequence of calls.
func addSequence(name, after string, do func(store *session.Store, sess *session.Session, c *fiber.Ctx) error) {
	add(name, `
		POST /do
		GET /me
		use new
		POST /login
		keep before
		POST /do`+after+`
		GET /me
		use before
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		addFlash(app, store)
		app.Post("/do", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := do(store, sess, c); err != nil {
				return err
			}
			return c.Redirect("/flash", fiber.StatusSeeOther)
		})
		return store
	})
}

func init() {
	addSequence("destroy-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		return sess.Save()
	})
	// Fiber's documentation has this sequence.
	addSequence("destroy-setexpiry-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		sess.SetExpiry(2 * time.Second * 1000)
		return sess.Save()
	})
	addSequence("destroy-flash-save", "\n GET /flash\n GET /flash", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		sess.Set("flash", "You are logged out.")
		return sess.Save()
	})
	addSequence("destroy-get-flash-save", "\n GET /flash\n GET /flash", func(store *session.Store, sess *session.Session, c *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		next, err := store.Get(c)
		if err != nil {
			return err
		}
		next.Set("flash", "You are logged out.")
		return next.Save()
	})
	addSequence("set-destroy", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("n", 1)
		return sess.Destroy()
	})
	addSequence("set-save-get-destroy", "", func(store *session.Store, sess *session.Session, c *fiber.Ctx) error {
		sess.Set("n", 1)
		if err := sess.Save(); err != nil {
			return err
		}
		again, err := store.Get(c)
		if err != nil {
			return err
		}
		return again.Destroy()
	})
	addSequence("reset-set-save", "\n GET /flash", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Reset(); err != nil {
			return err
		}
		sess.Set("flash", "You begin anew.")
		return sess.Save()
	})
	addSequence("regenerate-set-save", "\n POST /do", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		sess.Set("level", 2)
		return sess.Save()
	})
	addSequence("set-regenerate-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("level", 2)
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Save()
	})
	addSequence("set-regenerate", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("level", 2)
		return sess.Regenerate()
	})
	addSequence("regenerate-twice-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Save()
	})
	addSequence("save-get-regenerate-save", "", func(store *session.Store, sess *session.Session, c *fiber.Ctx) error {
		if err := sess.Save(); err != nil {
			return err
		}
		again, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := again.Regenerate(); err != nil {
			return err
		}
		return again.Save()
	})
	addSequence("regenerate-destroy", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Destroy()
	})
	addSequence("regenerate-reset-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		if err := sess.Reset(); err != nil {
			return err
		}
		return sess.Save()
	})
	addSequence("destroy-reset-set-save", "\n GET /flash", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		if err := sess.Reset(); err != nil {
			return err
		}
		sess.Set("flash", "You begin anew.")
		return sess.Save()
	})
	addSequence("destroy-regenerate-set-save", "\n GET /flash", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := sess.Destroy(); err != nil {
			return err
		}
		if err := sess.Regenerate(); err != nil {
			return err
		}
		sess.Set("flash", "You are logged out.")
		return sess.Save()
	})
	addSequence("store-delete-save", "", func(store *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		if err := store.Delete(sess.ID()); err != nil {
			return err
		}
		sess.Delete("user")
		return sess.Save()
	})
	addSequence("save-nothing", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error { return sess.Save() })
	addSequence("read-only", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		_ = sess.Get("user")
		return nil
	})
	addSequence("set-without-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("lost", true)
		return nil
	})
	addSequence("error-before-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("lost", true)
		return fiber.NewError(fiber.StatusBadRequest, "the form is not complete")
	})
	addSequence("save-then-error", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.Set("kept", true)
		if err := sess.Save(); err != nil {
			return err
		}
		return fiber.NewError(fiber.StatusBadRequest, "the form is not complete")
	})
	addSequence("setexpiry-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.SetExpiry(90 * time.Minute)
		return sess.Save()
	})
	addSequence("setexpiry-without-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.SetExpiry(90 * time.Minute)
		return nil
	})
	addSequence("setexpiry-regenerate-save", "", func(_ *session.Store, sess *session.Session, _ *fiber.Ctx) error {
		sess.SetExpiry(90 * time.Minute)
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Save()
	})
}
