package engineio_test

import (
	"bytes"
	"context"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// echo is a core that sends everything back.
type echo struct{ conn transport.Conn }

func (e echo) Receive(m transport.Message) error {
	m.Data = bytes.Clone(m.Data) // it is ours during the call only
	return e.conn.Send(0, m)
}

func (e echo) Closed(transport.Reason, error) {}

// echoes admits every connection.
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
	go func() { // ends the app, for which Listen waits
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

func ExampleServer_Use() {
	eio := engineio.New(echoes{}, engineio.Config{})
	eio.Use(func(c *fiber.Ctx) error {
		if c.Get("X-Token") == "" {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		c.Set("X-Seen", "1") // goes out with this answer: of a handshake, a poll, an upgrade
		return c.Next()
	})
	app := fiber.New()
	app.Use(eio.Handler())
}
