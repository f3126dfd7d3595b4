package fibersession_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// BenchmarkIncr is a POST that loads a session, increments a counter and saves, without the
// network. It compares this package with Fiber's session middleware, each on its default
// storage and both on the same one.
func BenchmarkIncr(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		store := fibersession.New()
		defer store.Close()
		app := fiber.New()
		app.Use(store.Handler())
		app.Post("/incr", func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			n := valueOf[int](sess, "count") + 1
			sess.Set("count", n)
			return c.SendString(strconv.Itoa(n))
		})
		benchRequests(b, app, "__Host-session")
	})
	b.Run("ours-by-hand", func(b *testing.B) {
		store := fibersession.New()
		defer store.Close()
		app := fiber.New()
		app.Post("/incr", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			n, _ := sess.Get("count").(int)
			sess.Set("count", n+1)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(strconv.Itoa(n + 1))
		})
		benchRequests(b, app, "__Host-session")
	})
	builtin := func(b *testing.B, config ...session.Config) {
		store := session.New(config...)
		app := fiber.New()
		app.Post("/incr", func(c *fiber.Ctx) error {
			sess, err := store.Get(c)
			if err != nil {
				return err
			}
			n, _ := sess.Get("count").(int)
			sess.Set("count", n+1)
			if err := sess.Save(); err != nil {
				return err
			}
			return c.SendString(strconv.Itoa(n + 1))
		})
		benchRequests(b, app, "session_id")
	}
	b.Run("fiber", func(b *testing.B) { builtin(b) })
	b.Run("fiber-same-storage", func(b *testing.B) {
		st := memory.New()
		defer st.Close()
		builtin(b, session.Config{Storage: st})
	})
}

func benchRequests(b *testing.B, app *fiber.App, cookie string) {
	b.Helper()
	handle := app.Handler()
	var r fasthttp.RequestCtx
	request := func(id string) {
		r.Request.Reset()
		r.Response.Reset()
		r.Request.Header.SetMethod("POST")
		r.Request.SetRequestURI("/incr")
		r.Request.Header.SetHost("example.com")
		if id != "" {
			r.Request.Header.SetCookie(cookie, id)
		}
		handle(&r)
	}
	request("")
	var c fasthttp.Cookie
	c.SetKey(cookie)
	if !r.Response.Header.Cookie(&c) {
		b.Fatal("got no cookie")
	}
	id := string(c.Value())
	b.ReportAllocs()
	start := 0
	for b.Loop() {
		request(id)
		start++
	}
	if got := string(r.Response.Body()); got != fmt.Sprint(start+1) {
		b.Fatalf("got the count %s, want %d", got, start+1)
	}
}
