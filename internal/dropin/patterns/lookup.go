package main

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// buildAPI returns an app for clients that carry the ID themselves: /login answers with it.
func buildAPI(cfg session.Config) func(app *fiber.App, e env) *session.Store {
	return func(app *fiber.App, e env) *session.Store {
		cfg := cfg
		cfg.Storage = e.storage()
		store := session.New(cfg)
		addMe(app, store)
		app.Post("/login", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("user", "alice")
			id := sess.ID()
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(id)
		})
		app.Post("/renew", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := sess.Regenerate(); err != nil {
				return err
			}
			id := sess.ID()
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(id)
		})
		app.Post("/logout", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			return sess.Destroy()
		})
		// A second handler of the request finds the session that the first one made.
		app.Post("/again", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Set("n", 1)
			if err := sess.Save(); err != nil {
				return err
			}
			sess, err = store.Get(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(sess.Get("n"), sess.Fresh()))
		})
		return store
	}
}

const queryScript = `
	POST /login > id
	GET /me
	use tool
	GET /me
	GET /me?session_id=$id
	POST /renew?session_id=$id > next
	GET /me?session_id=$id
	use fresh tool
	GET /me?session_id=$next
	POST /logout?session_id=$next
	use third tool
	GET /me?session_id=$next
	POST /again`

func init() {
	add("lookup-header", `
		header X-Session
		POST /login > id
		GET /me
		use tool
		GET /me
		POST /again
		set X-Session $id
		GET /me
		POST /renew > next
		GET /me
		keep renewed
		set X-Session $id
		GET /me
		use renewed
		POST /logout
		GET /me
		set X-Session $next
		GET /me`, buildAPI(session.Config{KeyLookup: "header:X-Session"}))
	add("lookup-query", queryScript, buildAPI(session.Config{KeyLookup: "query:session_id"}))
	add("lookup-cookie", `
		POST /login > id
		GET /me
		POST /renew > next
		GET /me
		use other
		GET /me
		POST /again`, buildAPI(session.Config{KeyLookup: "cookie:sid"}))
	//lint:ignore SA1019 apps still set it
	byName := session.Config{CookieName: "sid"}
	add("lookup-cookie-name", `
		POST /login > id
		GET /me
		POST /logout
		GET /me`, buildAPI(byName))
	// Fiber reads a cookie of the header's name before the header.
	add("lookup-header-in-cookie", `
		header X-Session
		POST /login > id
		use tool
		set cookie X-Session $id
		GET /me`, buildAPI(session.Config{KeyLookup: "header:X-Session"}))
	add("unknown-id", `
		set cookie session_id 6ba7b810-9dad-11d1-80b4-00c04fd430c8
		GET /me
		POST /login > id
		GET /me`, buildAPI(session.Config{}))

	var n atomic.Int64
	add("keygen-prefix", `
		POST /login > id
		GET /me
		POST /renew > next
		GET /me
		POST /logout
		GET /me`, buildAPI(session.Config{KeyGenerator: func() string { return "app-session-" + strconv.FormatInt(1_000_000_000+n.Add(1), 10) }}))
	add("keygen-short", "POST /login > id", buildAPI(session.Config{KeyGenerator: func() string { return "s" + strconv.FormatInt(n.Add(1), 10) }}))
	add("keygen-characters", "POST /login > id", buildAPI(session.Config{KeyGenerator: func() string {
		return "session:" + strconv.FormatInt(1_000_000_000_000+n.Add(1), 10) + "/="
	}}))
}
