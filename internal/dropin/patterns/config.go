package main

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addConfig adds the login app with a configuration.
func addConfig(name string, cfg session.Config) {
	add("config-"+name, `
		POST /login
		GET /me
		POST /logout
		GET /me`, func(app *fiber.App, e env) *session.Store {
		cfg := cfg
		cfg.Storage = e.storage()
		store := session.New(cfg)
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

func init() {
	addConfig("session-only", session.Config{CookieSessionOnly: true})
	addConfig("expiration", session.Config{Expiration: 10 * time.Minute})
	addConfig("expiration-negative", session.Config{Expiration: -1})
	addConfig("http-only", session.Config{CookieHTTPOnly: true})
	addConfig("same-site-strict", session.Config{CookieSameSite: "Strict"})
	addConfig("same-site-lower", session.Config{CookieSameSite: "strict"})
	addConfig("same-site-none", session.Config{CookieSameSite: "None", CookieSecure: true})
	addConfig("secure", session.Config{CookieSecure: true})
	addConfig("domain", session.Config{CookieDomain: "example.test"})
	addConfig("path", session.Config{CookiePath: "/"})
	addConfig("all", session.Config{
		Expiration: 2 * time.Hour, KeyLookup: "cookie:my_session", CookieDomain: "", CookiePath: "", CookieSecure: false,
		CookieHTTPOnly: true, CookieSameSite: "Lax", CookieSessionOnly: false, KeyGenerator: nil,
	})
}

// A store that the whole program shares, made before main runs.
var global = session.New()

type pages struct{ sessions *session.Store }

func (p pages) login(c *fiber.Ctx) error {
	sess, err := p.sessions.Get(c)
	if err != nil {
		return err
	}
	defer func() { _ = sess.Save() }() // many apps save so, and drop the error
	sess.Set("user", "alice")
	return c.SendString("logged in")
}

func init() {
	add("global-store", `
		POST /login
		GET /me
		POST /admin/login
		GET /admin/me
		use other
		GET /admin/me`, func(app *fiber.App, _ env) *session.Store {
		app.Post("/login", pages{global}.login)
		addMe(app, global)
		admin := fiber.New()
		admin.Post("/login", pages{global}.login)
		addMe(admin, global)
		app.Mount("/admin", admin)
		return global
	})
}
