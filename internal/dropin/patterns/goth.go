package main

import (
	"fmt"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/markbates/goth"
	"github.com/markbates/goth/providers/faux"
	"github.com/shareed2k/goth_fiber"
)

const gothScript = `
	GET /me
	GET /auth/faux > state
	GET /auth/faux/callback?state=$state&code=1
	GET /me
	GET /auth/faux/callback?state=$state&code=1
	GET /logout
	GET /me
	use other
	GET /auth/faux/callback?state=$state&code=1
	GET /auth/faux > mine
	GET /auth/faux/callback?state=$state&code=1
	GET /auth/faux > mine
	GET /auth/faux/callback?state=$mine&code=1
	GET /me`

// addGoth adds a login with another site's account, as goth_fiber's README has it.
func addGoth(app *fiber.App, store *session.Store) {
	goth.UseProviders(&faux.Provider{})
	addMe(app, store)
	app.Get("/auth/:provider", goth_fiber.BeginAuthHandler)
	app.Get("/auth/:provider/callback", func(c *fiber.Ctx) error {
		u, err := goth_fiber.CompleteUserAuth(c)
		if err != nil {
			return c.Status(fiber.StatusBadRequest).SendString(err.Error())
		}
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("user", u.UserID)
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(fmt.Sprint("welcome ", u.UserID))
	})
	app.Get("/logout", func(c *fiber.Ctx) error {
		if err := goth_fiber.Logout(c); err != nil {
			return err
		}
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Destroy(); err != nil {
			return err
		}
		return c.Redirect("/me")
	})
}

func init() {
	// goth_fiber keeps its own sessions.
	addAlone("goth-default", gothScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addGoth(app, store)
		return store
	})
}
