package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// echo is a Receiver that sends every message back.
type echo struct{ conn transport.Conn }

func (e echo) Receive(m transport.Message) error {
	m.Data = bytes.Clone(m.Data) // m.Data is valid only during the call
	return e.conn.Send(0, m)
}

func (e echo) Closed(transport.Reason, error) {}

// echoes is an Acceptor that accepts every connection.
type echoes struct{}

func (echoes) Accept(c transport.Conn) (transport.Receiver, error) { return echo{c}, nil }

func Example() {
	eio := engineio.New(echoes{}, engineio.Config{
		AllowOrigins: []string{"https://app.example.com"},
	})
	app := fiber.New(fiber.Config{ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute})
	app.Use(eio.Handler())

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // makes Listen return
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := eio.Shutdown(end); err != nil {
			log.Println(err)
		}
		_ = app.ShutdownWithContext(end)
	}()
	log.Fatal(app.Listen(":3000"))
}

// Hooks bind a connection to the visitor who opened it.
func ExampleHooks() {
	eio := engineio.New(echoes{}, engineio.Config{}, engineio.Hooks{
		Lift: func(c *fiber.Ctx) (any, error) {
			token := c.Cookies("token")
			if token == "" {
				return nil, engineio.ErrForbidden
			}
			return strings.Clone(token), nil // c's memory is reused
		},
		SameVisitor: func(c *fiber.Ctx, lifted any) bool { return c.Cookies("token") == lifted },
	})
	app := fiber.New()
	app.Use(eio.Handler())
}

func ExampleConfig_WithDefaults() {
	cfg := engineio.Config{PingInterval: 10 * time.Second}.WithDefaults()
	fmt.Println(cfg.PingInterval, cfg.PingTimeout, cfg.Limits.MaxConnsPerIP)
	// Output: 10s 20s 256
}

func ExampleServer_Use() {
	eio := engineio.New(echoes{}, engineio.Config{})
	eio.Use(func(c *fiber.Ctx) error {
		if c.Get("X-Token") == "" {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		c.Set("X-Seen", "1") // a header of this response: to a handshake, a poll, a post or an upgrade
		return c.Next()
	})
	app := fiber.New()
	app.Use(eio.Handler())
}

// A plain WebSocket needs no Engine.IO client.
func ExampleServer_Plain() {
	eio := engineio.New(echoes{}, engineio.Config{})
	app := fiber.New()
	app.Get("/ws", eio.Plain(echoes{})) // in a browser: new WebSocket("/ws")
}

// A route for the same pages that may open sockets.
func ExampleServer_Guard() {
	eio := engineio.New(echoes{}, engineio.Config{AllowOrigins: []string{"https://app.example.com"}})
	app := fiber.New()
	app.All("/status", eio.Guard(func(c *fiber.Ctx) error {
		return c.JSON(eio.Stats())
	}))
}
