// Command dropin is an app as users write it with Fiber's session middleware. A test runs
// it twice: unchanged, and with its import line changed.
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

type user struct {
	Name  string
	Roles []string
}

var store = session.New(session.Config{
	Expiration:     2 * time.Hour,
	KeyLookup:      "cookie:my_session",
	CookieHTTPOnly: true,
	CookieSameSite: "Strict",
})

func main() {
	store.RegisterType(user{})
	store.RegisterType(time.Time{})
	app := fiber.New()

	app.Get("/count", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		n := 0
		if v := sess.Get("n"); v != nil {
			n = v.(int)
		}
		sess.Set("n", n+1)
		fresh := sess.Fresh()
		if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(fmt.Sprint(n+1, " fresh ", fresh))
	})
	app.Get("/login/:name", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Regenerate(); err != nil {
			return err
		}
		sess.Set("user", user{Name: c.Params("name"), Roles: []string{"a", "b"}})
		sess.Set("since", time.Unix(1000, 0).UTC())
		sess.Set("price", 1.5)
		sess.SetExpiry(time.Hour)
		return sess.Save()
	})
	app.Get("/who", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		u, ok := sess.Get("user").(user)
		keys := sess.Keys()
		sort.Strings(keys)
		return c.SendString(fmt.Sprintf("%v %v %T %v %v", u, ok, sess.Get("since"), sess.Get("price"), keys))
	})
	app.Get("/forget", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Delete("price")
		return sess.Save()
	})
	app.Get("/reset", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		if err := sess.Reset(); err != nil {
			return err
		}
		sess.Set("n", 100)
		return sess.Save()
	})
	app.Get("/logout", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		return sess.Destroy()
	})

	var cookie *http.Cookie
	visit := func(path string) {
		req := httptest.NewRequest("GET", path, nil)
		if cookie != nil {
			req.AddCookie(cookie)
		}
		res, err := app.Test(req, -1)
		if err != nil {
			log.Fatal(err)
		}
		var body strings.Builder
		if err := res.Write(&body); err != nil {
			log.Fatal(err)
		}
		_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
		was := cookie
		for _, c := range res.Cookies() {
			if cookie = c; c.Value == "" {
				cookie = nil
			}
		}
		changed := (was == nil) != (cookie == nil) || was != nil && was.Value != cookie.Value
		fmt.Printf("%s: %d %q cookie %v, changed %v\n", path, res.StatusCode, text, cookie != nil, changed)
	}
	visit("/count")
	visit("/count")
	visit("/login/alice")
	visit("/count")
	visit("/who")
	visit("/forget")
	visit("/who")
	old := cookie
	visit("/reset")
	visit("/count")
	fresh := cookie
	cookie = old
	visit("/count") // the old session has ended
	cookie = fresh
	visit("/count")
	visit("/logout")
	visit("/count")
	fmt.Println(store.Delete("") != nil, store.Delete(cookie.Value))
	visit("/count")
	fmt.Println(store.Reset())
}
