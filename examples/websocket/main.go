// Websocket is a message wall over the plain WebSockets of contrib/socketio, which
// share their session with the page.
//
//	go run ./examples/websocket                                  # sessions in memory
//	STORAGE=redis://127.0.0.1:6379 go run ./examples/websocket   # sessions in Redis
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
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
	socketio.On(socketio.EventMessage, contribws.Guard(onMessage))
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

// onMessage is an ordinary contrib/socketio listener that can now read the session.
// It receives every frame and skips events, which the handlers in newApp answer.
func onMessage(ep *socketio.EventPayload) {
	if strings.HasPrefix(string(ep.Data), "[") {
		return
	}
	sender := "an unnamed visitor"
	if name, err := fibersession.Value[string](contribws.SessionOf(ep.Kws), "name"); err == nil && name != "" {
		sender = name
	}
	ep.Kws.Emit([]byte(fmt.Sprintf("Received %d bytes from %s.", len(ep.Data), sender)))
}

// newApp sets up the page, the forms that change the session, and the wall's events.
func newApp(store storage.Storage) (*fiber.App, *socketbridge.Server) {
	sessions := fibersession.New(fibersession.Config{Storage: store})
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})

	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ReadTimeout:           10 * time.Second,
		IdleTimeout:           60 * time.Second,
		WriteTimeout:          30 * time.Second,
	})
	io.LimitBodies(app)
	app.Use(sessions.Handler())
	app.Get("/ws", contribws.New(io)) // replaces socketio.New(...)

	app.Get("/", func(c *fiber.Ctx) error {
		// Storing a value gives the browser its session cookie before the socket opens.
		if _, err := fibersession.FromContext(c).Incr("visits", 1); err != nil {
			return err
		}
		return c.Type("html", "utf-8").Send(page)
	})

	// HTTP handlers change the session and notify its sockets ...
	app.Post("/name", func(c *fiber.Ctx) error {
		name := strings.TrimSpace(c.FormValue("name"))
		if name == "" || len(name) > 160 {
			return fiber.ErrBadRequest
		}
		sess := fibersession.FromContext(c)
		sess.Set("name", name)
		return io.ToSession(sess).Emit("you", name)
	})
	app.Post("/leave", func(c *fiber.Ctx) error {
		return fibersession.FromContext(c).Destroy() // closes its sockets in every tab
	})

	// ... and socket handlers read and write the same session.
	io.OnConnection(func(s *socketbridge.Socket) {
		if name, err := fibersession.Value[string](s.Session(), "name"); err == nil {
			_ = s.Emit("you", name)
		}
	})
	io.On("say", requireName, func(p *socketbridge.Packet) error {
		var text string
		if err := p.Bind(&text); err != nil {
			return err
		}
		n, err := p.Session().Incr(p.Context(), "said", 1)
		if err != nil {
			return err
		}
		return io.Emit("said", p.Session().Get("name"), text, n)
	})
	return app, io
}

// requireName runs the next handler only if the session has a name.
func requireName(p *socketbridge.Packet) error {
	name, err := fibersession.Value[string](p.Session(), "name")
	if err != nil {
		return err
	}
	if name == "" {
		return p.Socket().Emit("problem", "Enter your name first.")
	}
	return p.Next()
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
