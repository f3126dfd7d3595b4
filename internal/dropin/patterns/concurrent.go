package main

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addOverlap adds an app with a slow request: it gets the session, waits for /go-on, and does
// what end does. /entered answers when the slow request has got the session.
func addOverlap(name, script string, end func(*session.Session) error) {
	add(name, script, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		entered, goOn := make(chan struct{}), make(chan struct{})
		app.Post("/slow", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			entered <- struct{}{}
			<-goOn
			return end(sess)
		})
		app.Get("/entered", func(c *fiber.Ctx) error {
			<-entered
			return nil
		})
		app.Post("/go-on", func(c *fiber.Ctx) error {
			goOn <- struct{}{}
			return nil
		})
		app.Post("/set-b", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("b", 2)
			return sess.Save()
		})
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

func init() {
	setA := func(sess *session.Session) error {
		sess.Set("a", 1)
		return sess.Save()
	}
	addOverlap("late-save-after-logout", `
		POST /login
		keep before
		begin POST /slow
		GET /entered
		POST /logout
		unseen POST /go-on
		end
		use before
		GET /me`, setA)
	addOverlap("two-saves-at-once", `
		POST /login
		begin POST /slow
		GET /entered
		POST /set-b
		unseen POST /go-on
		end
		GET /me`, setA)
	addOverlap("slow-read", `
		POST /login
		begin POST /slow
		GET /entered
		POST /logout
		unseen POST /go-on
		end
		GET /me`, func(sess *session.Session) error { return nil })
}
