package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

func init() {
	add("store-reset", `
		POST /login
		use other
		POST /login
		GET /me
		POST /reset
		GET /me
		use first
		GET /me
		POST /login
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/reset", func(c *fiber.Ctx) error { return store.Reset() })
		return store
	})
	// An administrator ends another visitor's session by its ID.
	add("store-delete", `
		POST /login > id
		use admin
		POST /end?id=$id
		POST /end?id=$id
		POST /end?id=none
		POST /end
		use first
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := buildAPI(session.Config{})(app, e)
		app.Post("/end", func(c *fiber.Ctx) error {
			err := store.Delete(c.Query("id"))
			if errors.Is(err, session.ErrEmptySessionID) {
				return c.Status(fiber.StatusBadRequest).SendString(err.Error())
			}
			return err
		})
		return store
	})
}

// The fields of Config can be selected on a Store.
func init() {
	add("storage-get", `
		POST /login
		GET /stored`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Get("/stored", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			raw, err := store.Storage.Get(sess.ID())
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(len(raw) > 0))
		})
		return store
	})
	add("storage-delete", `
		POST /login > id
		use admin
		POST /end?id=$id
		use first
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := buildAPI(session.Config{})(app, e)
		app.Post("/end", func(c *fiber.Ctx) error { return store.Storage.Delete(c.Query("id")) })
		return store
	})
	// An app keeps other things in the storage of its sessions.
	add("storage-own-keys", `
		POST /login
		POST /note
		GET /note
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/note", func(c *fiber.Ctx) error { return store.Storage.Set("note", []byte("buy tea"), time.Hour) })
		app.Get("/note", func(c *fiber.Ctx) error {
			note, err := store.Storage.Get("note")
			if err != nil {
				return err
			}
			return c.Send(note)
		})
		return store
	})
	add("storage-close", `
		POST /login
		GET /me
		unseen POST /shutdown`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/shutdown", func(c *fiber.Ctx) error {
			if err := store.Storage.Close(); err != nil {
				return err
			}
			return c.SendString("closed")
		})
		return store
	})
	add("promoted-fields", "GET /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage(), Expiration: time.Hour, CookieSameSite: "Strict", CookieHTTPOnly: true})
		app.Get("/", func(c *fiber.Ctx) error {
			one, two := store.KeyGenerator(), store.KeyGenerator()
			return c.JSON([]any{
				store.Expiration, store.CookieSameSite, store.CookieHTTPOnly, store.CookieSessionOnly, store.CookieDomain,
				store.Storage != nil, len(one) >= 16, one != two,
			})
		})
		return store
	})
	add("promoted-key-lookup", "GET /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(store.KeyLookup) })
		return store
	})
	add("promoted-key-lookup-set", "GET /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage(), KeyLookup: "cookie:sid"})
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(store.KeyLookup) })
		return store
	})
}
