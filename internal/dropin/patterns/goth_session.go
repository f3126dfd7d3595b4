package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/shareed2k/goth_fiber"
)

func init() {
	// goth_fiber uses the app's sessions.
	addAlone("goth-session", gothScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		goth_fiber.SessionStore = store
		addGoth(app, store)
		return store
	})
}
