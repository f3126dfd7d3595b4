// Quickstart is a counter stored in the session. One button increments it over HTTP,
// the other over a socket, and every tab of the browser shows the new count at once.
//
//	go run ./examples/quickstart                                  # sessions in memory
//	STORAGE=redis://127.0.0.1:6379 go run ./examples/quickstart   # sessions in Redis
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // lets STORAGE be a redis:// URL
)

//go:embed index.html
var page []byte

func main() {
	if err := run(env("ADDR", "127.0.0.1:3000"), env("STORAGE", "memory://")); err != nil {
		log.Fatal(err)
	}
}

// run serves the page until Ctrl-C.
func run(addr, storageURL string) error {
	store, err := storage.Open(storageURL)
	if err != nil {
		return err
	}
	defer store.Close()
	ln, err := listen(addr)
	if err != nil {
		return err
	}
	app, io := newApp(store)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // shuts down on Ctrl-C, which makes Listener return
		<-ctx.Done()
		timeout, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = io.Shutdown(timeout)
		_ = app.ShutdownWithContext(timeout)
		_ = ln.Close() // ends Listener also if it has not begun
	}()

	fmt.Printf("Open http://%s in two tabs\n", ln.Addr())
	return app.Listener(ln)
}

// newApp sets up sessions, sockets and the two ways to count.
func newApp(store storage.Storage) (*fiber.App, *socketbridge.Server) {
	sessions := fibersession.New(fibersession.Config{Storage: store})
	io := socketbridge.New(socketbridge.Config{
		Sessions: sessions,
		Adapter:  redisadapter.For(store), // links nodes that share a Redis; nil for memory
	})

	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
		WriteTimeout:          30 * time.Second,
	})
	io.LimitBodies(app)
	app.Get("/healthz", io.ReadyHandler()) // for a load balancer
	app.Use(sessions.Handler())
	app.Use(io.Handler()) // serves /socket.io/

	app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html", "utf-8").Send(page)
	})

	// Count over HTTP ...
	app.Post("/count", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n, err := sess.Incr("count", 1)
		if err != nil {
			return err
		}
		if err := io.ToSession(sess).Emit("count", n, "HTTP", c.Get("X-Tab")); err != nil {
			return err
		}
		return c.JSON(n)
	})

	// ... or over a socket, which has the same session.
	io.OnConnection(func(s *socketbridge.Socket) {
		var auth struct{ Tab string }
		_ = s.Auth(&auth) // a client that sends no name stays unnamed
		if n, err := fibersession.Value[int](s.Session(), "count"); err == nil {
			_ = s.Emit("count", n)
		}
		_ = s.ToSession().Emit("tab", auth.Tab, "opened")

		s.On("count", func(p *socketbridge.Packet) error {
			n, err := p.Session().Incr(p.Context(), "count", 1)
			if err != nil {
				return err
			}
			if err := io.ToSession(p.Session()).Emit("count", n, "socket", auth.Tab); err != nil {
				return err
			}
			return p.Ack(n)
		})
		s.OnDisconnect(func(socketbridge.Reason) {
			_ = s.ToSession().Emit("tab", auth.Tab, "closed")
		})
	})
	return app, io
}

// listen listens at addr. If another program uses the port, the error says what to do.
func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: if another program uses this port, stop it, or choose another port, such as %s: %w", addr, "ADDR=127.0.0.1:4000", err)
	}
	return ln, nil
}

func env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
