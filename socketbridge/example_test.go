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

// A counter in the session that HTTP requests and sockets share. Every tab of the browser
// gets the new value.
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

// The client gets the code and the message of an EventError. Of any other error, it only
// gets the code internal_error; the log has the full text.
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

// On SIGINT, stop the sockets first, then the HTTP server, then the storage.
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
	// If you opened a storage yourself, close it here.
}

// Notify a user's friends when the user goes online or offline. The handler is called
// once for all tabs and nodes.
func ExampleServer_OnPresence() {
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(fibersession.Config{UserKey: "user"}),
	})
	friends := func(user string) []string { return nil }
	io.OnPresence(func(user string, online bool) {
		_ = io.ToUser(friends(user)...).Emit("presence", user, online)
	})
}

// A client that reconnects within two minutes gets its socket back, and the events it
// missed.
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

// Decode the arguments of an event. The client calls socket.emit("move", 3, 4, fn).
func ExamplePacket_Bind() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.On("move", func(p *socketbridge.Packet) error {
		var x, y int
		if err := p.Bind(&x, &y); err != nil {
			return &socketbridge.EventError{Code: "bad_move", Message: "Two numbers are needed."}
		}
		return p.Ack(x + y)
	})
}

// Check every event of a socket before its handlers run.
func ExampleSocket_Use() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.OnConnection(func(s *socketbridge.Socket) {
		s.Use(func(p *socketbridge.Packet) error {
			if p.Event() == "delete" && p.Session().Get("role") != "admin" {
				return &socketbridge.EventError{Code: "forbidden", Message: "Only admins can delete."}
			}
			return p.Next()
		})
		s.On("delete", func(p *socketbridge.Packet) error { return p.Ack() })
	})
}

// Ask one client a question and wait for its answer.
func ExampleSocket_EmitWithAck() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.On("pay", func(p *socketbridge.Packet) error {
		ctx, cancel := context.WithTimeout(p.Context(), 30*time.Second)
		defer cancel()
		answer, err := p.Socket().EmitWithAck(ctx, "confirm", "Pay 20 EUR?")
		if err != nil {
			return err // ErrAckTimeout, or ErrDisconnected
		}
		var confirmed bool
		if err := answer.Bind(&confirmed); err != nil {
			return err
		}
		return p.Ack(confirmed)
	})
}

// Notify a user on all devices from an HTTP handler.
func ExampleServer_ToUser() {
	sessions := fibersession.New(fibersession.Config{UserKey: "user"}) // the key that the login sets
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	app := fiber.New()
	app.Use(sessions.Handler(), io.Handler())

	app.Post("/users/:id/notify", func(c *fiber.Ctx) error {
		return io.ToUser(c.Params("id")).Emit("notification", string(c.Body()))
	})
}

// Refuse visitors who have not logged in. Their client gets a connect_error with the code
// session_missing.
func ExampleNamespace_RequireSession() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.Of("/account").RequireSession().Use(func(c *socketbridge.Connect) error {
		if c.Session().Get("user") == nil {
			return &socketbridge.ConnectError{Message: "Please log in."}
		}
		return c.Next()
	})
}

// Give a ticket to an app that keeps no cookies. It connects with it once, as
// io(url, {auth: {ticket}}).
func ExampleServer_Ticket() {
	sessions := fibersession.New()
	io := socketbridge.New(socketbridge.Config{Sessions: sessions})
	app := fiber.New()
	app.Use(sessions.Handler(), io.Handler())

	app.Post("/app/ticket", func(c *fiber.Ctx) error {
		ticket, err := io.Ticket(c, "https://app.example.com")
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderCacheControl, "no-store")
		return c.JSON(fiber.Map{"ticket": ticket})
	})
}
