// Command deploy is one release of an app with sessions and sockets. Built with the tag next, it
// is the next release, whose types differ. The tests run both against one Redis, as a rolling
// deploy does.
//
// It prints its address and ends when its standard input is closed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

func main() {
	url := flag.String("redis", "", "the URL of the storage")
	flag.Parse()
	store := storage.MustOpen(*url)
	sessions := fibersession.New(fibersession.Config{Storage: store, UserKey: "user"})
	for _, v := range values() {
		sessions.RegisterType(v)
	}
	sockets := socketbridge.New(socketbridge.Config{Sessions: sessions, Adapter: redisadapter.For(store)})
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute})
	app.Use(sessions.Handler())
	app.Use(sockets.Handler())
	serveHTTP(app)
	serveSockets(sockets)

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { // main waits for the end of standard input, and Listener for the shutdown
		if err := app.Listener(ln); err != nil {
			log.Fatal(err)
		}
	}()
	if err := json.NewEncoder(os.Stdout).Encode(ln.Addr().String()); err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := sockets.Shutdown(ctx); err != nil {
		log.Print(err)
	}
	if err := app.ShutdownWithContext(ctx); err != nil {
		log.Print(err)
	}
	if err := store.Close(); err != nil {
		log.Print(err)
	}
}

func serveHTTP(app *fiber.App) {
	app.Post("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login("alice") })
	app.Post("/save", func(c *fiber.Ctx) error {
		for key, v := range values() {
			fibersession.FromContext(c).Set(key, v)
		}
		return nil
	})
	app.Post("/renew", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() })
	app.Post("/count", func(c *fiber.Ctx) error {
		_, err := fibersession.FromContext(c).Incr("count", 1)
		return err
	})
	app.Get("/values", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		return c.JSON(describe(sess.Get))
	})
	app.Get("/devices", func(c *fiber.Ctx) error {
		devices, err := fibersession.FromContext(c).Devices()
		if err != nil {
			return err
		}
		return c.JSON(len(devices))
	})
}

func serveSockets(sockets *socketbridge.Server) {
	sockets.On("save", func(p *socketbridge.Packet) error {
		for key, v := range values() {
			p.Session().Set(key, v)
		}
		return p.Ack()
	})
	sockets.On("count", func(p *socketbridge.Packet) error {
		if _, err := p.Session().Incr(p.Context(), "count", 1); err != nil {
			return err
		}
		return p.Ack()
	})
	sockets.On("values", func(p *socketbridge.Packet) error { return p.Ack(describe(p.Session().Get)) })
}

// describe returns the values of all keys that one of the releases stores.
func describe(get func(string) any) map[string]string {
	all := map[string]string{}
	for _, key := range []string{"user", "count", "profile", "settings", "basket", "cart", "theme", "badge"} {
		all[key] = fmt.Sprintf("%T %+v", get(key), get(key))
	}
	return all
}
