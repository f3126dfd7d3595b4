package main

import (
	"fmt"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// addFresh adds an app whose page says what Fresh said in several places. It is visited by a
// new visitor and by one whose session is stored.
func addFresh(name string, ask func(store *session.Store, c *fiber.Ctx) ([]bool, error)) {
	add("fresh-"+name, `
		POST /
		POST /
		use known
		POST /login
		POST /
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/", func(c *fiber.Ctx) error {
			fresh, err := ask(store, c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(fresh))
		})
		return store
	})
}

// addFreshAfter adds an app that gets the session, does what do does, and asks Fresh before,
// after, and after a second Get.
func addFreshAfter(name string, do func(*session.Session) error) {
	addFresh(name, func(store *session.Store, c *fiber.Ctx) ([]bool, error) {
		sess, err := store.Get(c)
		if err != nil {
			return nil, err
		}
		fresh := []bool{sess.Fresh()}
		if err := do(sess); err != nil {
			return nil, err
		}
		return append(fresh, sess.Fresh()), nil
	})
	addFresh(name+"-get", func(store *session.Store, c *fiber.Ctx) ([]bool, error) {
		sess, err := store.Get(c)
		if err != nil {
			return nil, err
		}
		if err := do(sess); err != nil {
			return nil, err
		}
		again, err := store.Get(c)
		if err != nil {
			return nil, err
		}
		return []bool{again.Fresh()}, nil
	})
}

func init() {
	addFreshAfter("nothing", func(*session.Session) error { return nil })
	addFreshAfter("set", func(sess *session.Session) error {
		sess.Set("n", 1)
		return nil
	})
	addFreshAfter("save", func(sess *session.Session) error {
		sess.Set("n", 1)
		return sess.Save()
	})
	addFreshAfter("regenerate", (*session.Session).Regenerate)
	addFreshAfter("regenerate-save", func(sess *session.Session) error {
		if err := sess.Regenerate(); err != nil {
			return err
		}
		return sess.Save()
	})
	addFreshAfter("reset", (*session.Session).Reset)
	addFreshAfter("reset-save", func(sess *session.Session) error {
		if err := sess.Reset(); err != nil {
			return err
		}
		return sess.Save()
	})
	addFreshAfter("destroy", (*session.Session).Destroy)

	// Get twice in one request, in two handlers that know nothing of each other.
	add("get-twice", `
		POST /login
		POST /
		GET /me
		use other
		POST /
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(sess.ID() != "", sess.Get("user")))
		})
		app.Use(func(c *fiber.Ctx) error {
			one, err := store.Get(c)
			if err != nil {
				return err
			}
			two, err := store.Get(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(one.ID() == two.ID(), one.Get("user"), two.Get("user")))
		})
		return store
	})
	// The first handler saves before the second one gets the session.
	add("save-twice", `
		POST /
		GET /me
		POST /login
		POST /
		GET /me`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/", func(c *fiber.Ctx) error {
			for _, key := range []string{"a", "b"} {
				sess, err := store.Get(c)
				if err != nil {
					return err
				}
				sess.Set(key, sess.Get("user"))
				sess.Set(key+"!", 1)
				if sess.Get("user") == nil {
					sess.Delete(key)
				}
				if err := sess.Save(); err != nil {
					return err
				}
			}
			return c.SendString("saved twice")
		})
		return store
	})
	// Both handlers get the session before one of them saves.
	add("get-get-save-save", "POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			one, err := store.Get(c)
			if err != nil {
				return err
			}
			two, err := store.Get(c)
			if err != nil {
				return err
			}
			one.Set("a", 1)
			two.Set("b", 2)
			if err := one.Save(); err != nil {
				return err
			}
			return two.Save()
		})
		return store
	})
	add("get-set-get", "POST /", func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Post("/", func(c *fiber.Ctx) error {
			one, err := store.Get(c)
			if err != nil {
				return err
			}
			one.Set("a", 1)
			two, err := store.Get(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(two.Get("a")))
		})
		return store
	})
	add("regenerate-get", `
		POST /login
		POST /`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		addSimpleLogin(app, store)
		app.Post("/", func(c *fiber.Ctx) error {
			one, err := store.Get(c)
			if err != nil {
				return err
			}
			if err := one.Regenerate(); err != nil {
				return err
			}
			if err := one.Save(); err != nil {
				return err
			}
			two, err := store.Get(c)
			if err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(two.Get("user")))
		})
		return store
	})
}
