package main

import (
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

type basket struct {
	Items []item
	Total int
}

type item struct {
	ID    string
	Count int
}

const cartScript = `
	GET /cart
	POST /add/tea
	POST /add/tea
	POST /add/cup
	GET /cart
	POST /clear
	GET /cart
	POST /add/tea
	GET /cart`

// addCart adds an app with a cart. put adds an item to the session.
func addCart(name string, put func(sess *session.Session, id string)) {
	add("cart-"+name, cartScript, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		store.RegisterType(map[string]int{})
		store.RegisterType(basket{})
		app.Post("/add/:id", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			put(sess, string([]byte(c.Params("id"))))
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendStatus(fiber.StatusNoContent)
		})
		app.Get("/cart", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			return c.JSON(sess.Get("cart"))
		})
		app.Post("/clear", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			sess.Delete("cart")
			if err := sess.Save(); err != nil {
				return err
			}
			return c.Redirect("/cart")
		})
		return store
	})
}

func init() {
	addCart("map", func(sess *session.Session, id string) {
		cart, ok := sess.Get("cart").(map[string]int)
		if !ok {
			cart = map[string]int{}
		}
		cart[id]++
		sess.Set("cart", cart)
	})
	// The next two change a value after Set and do not set it again.
	addCart("map-changed-after-get", func(sess *session.Session, id string) {
		cart, ok := sess.Get("cart").(map[string]int)
		if !ok {
			cart = map[string]int{}
			sess.Set("cart", cart)
		}
		cart[id]++
	})
	addCart("pointer-changed-after-set", func(sess *session.Session, id string) {
		cart, _ := sess.Get("cart").(basket)
		mine := &cart
		sess.Set("cart", mine)
		mine.Items = append(mine.Items, item{ID: id, Count: 1})
		mine.Total++
	})
	addCart("struct", func(sess *session.Session, id string) {
		cart, _ := sess.Get("cart").(basket)
		cart.Items = append(cart.Items, item{ID: id, Count: 1})
		cart.Total++
		sess.Set("cart", cart)
	})
	addCart("slice", func(sess *session.Session, id string) {
		cart, _ := sess.Get("cart").([]string)
		sess.Set("cart", append(cart, id))
	})
	addCart("slice-changed-after-get", func(sess *session.Session, id string) {
		cart, ok := sess.Get("cart").([]string)
		if !ok {
			cart = make([]string, 3)
			sess.Set("cart", cart)
		}
		for i := range cart {
			if cart[i] == "" {
				cart[i] = id
				return
			}
		}
	})

	add("counter", `
		GET /
		GET /
		GET /
		use other
		GET /
		use first
		GET /
		use other
		GET /`, func(app *fiber.App, e env) *session.Store {
		store := session.New(session.Config{Storage: e.storage()})
		app.Get("/", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			n, _ := sess.Get("n").(int)
			sess.Set("n", n+1)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(strconv.Itoa(n + 1))
		})
		return store
	})
}
