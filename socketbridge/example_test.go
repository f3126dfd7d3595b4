package socketbridge_test

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// A counter in the session: over HTTP, over sockets, and in every tab.
func Example() {
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})

	app := fiber.New()
	app.Use(sessions.Handler())
	app.Use(io.Handler()) // serves /socket.io/

	app.Post("/incr", func(c *fiber.Ctx) error {
		n, err := fibersession.FromContext(c).Incr("count", 1)
		if err != nil {
			return err
		}
		return io.ToSession(fibersession.FromContext(c)).Emit("count", n)
	})
	io.On("incr", func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return p.Ack(n)
	})
	log.Fatal(app.Listen("127.0.0.1:3000"))
}

// What a client is told when its event cannot be done. Any other error is
// "internal_error" to it, and in full in the log.
func ExampleEventError() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.On("say", func(p *socketbridge.Packet) error {
		var text string
		if err := p.Bind(&text); err != nil {
			return err
		}
		if len(text) > 1000 {
			return &socketbridge.EventError{Code: "too_long", Message: "At most 1000 characters."}
		}
		if err := io.Emit("said", text); err != nil {
			return err
		}
		return p.Ack()
	})
}

// On SIGINT: sockets first, then requests, then the storage.
func ExampleServer_Shutdown() {
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	app := fiber.New()
	app.Use(sessions.Handler(), io.Handler())

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	done := make(chan struct{})
	go func() { // main waits for it
		defer close(done)
		<-stop.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // longer than a handler takes
		defer cancel()
		if err := errors.Join(io.Shutdown(ctx), app.ShutdownWithContext(ctx)); err != nil {
			log.Print(err)
		}
	}()
	if err := app.Listen("127.0.0.1:3000"); err != nil {
		log.Fatal(err)
	}
	<-done
	// Now the storage, if it is one of your own, can be closed.
}

// Tells friends when somebody comes and goes, once for all tabs and nodes.
func ExampleServer_OnPresence() {
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(fibersession.Config{UserKey: "user"}),
	})
	friends := func(user string) []string { return nil }
	io.OnPresence(func(user string, online bool) {
		_ = io.ToUser(friends(user)...).Emit("presence", user, online)
	})
}

// A client that was away for less than two minutes gets its socket back, and what
// it missed.
func ExampleSocket_Recovered() {
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(),
		Recovery: socketbridge.Recovery{Window: 2 * time.Minute},
	})
	io.OnConnection(func(s *socketbridge.Socket) {
		if !s.Recovered() {
			_ = s.Emit("state", "all that the page shows")
		}
	})
}
