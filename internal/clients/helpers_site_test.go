package clients_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contribws"
)

// site is the app that all clients use.
type site struct {
	url     string // http://…
	network *redistest.Proxy
}

// newSite starts an app with a login over HTTP, and with events that need a session.
func newSite(t testing.TB) *site {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	sessions := fibersession.New(fibersession.Config{UserKey: "user", Logger: log})
	bridge := socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: log})
	events(bridge)

	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second})
	app.Use(sessions.Handler())
	app.Use(bridge.Handler())
	app.Get("/ws", bridge.WebSocket())
	app.Get("/contrib", contribws.New(bridge))
	app.Get("/bundle/:package", bundle)
	app.Get("/page/:package", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("visited", true)
		return c.Type("html").SendString(`<!doctype html><script src="/bundle/` + c.Params("package") + `"></script>`)
	})
	app.Post("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("visited", true); return nil })
	app.Post("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login("ann") })
	app.Get("/note", func(c *fiber.Ctx) error {
		note, _ := fibersession.FromContext(c).Get("note").(string)
		return c.SendString(note)
	})
	app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// A proxy cuts connections better than a listener would: the server takes over the
	// descriptors of WebSockets only if no listener wraps them.
	network := redistest.NewProxy(t, ln.Addr().String())
	s := &site{url: "http://" + network.Addr(), network: network}
	go func() { _ = app.Listener(ln) }() // ShutdownWithContext waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(bridge.Shutdown(ctx), app.ShutdownWithContext(ctx), sessions.Close()); err != nil {
			t.Errorf("the site did not shut down: %v", err)
		}
	})
	return s
}

// events adds what the clients ask of the server.
func events(io *socketbridge.Server) {
	io.OnSessionChange(func(s *socketbridge.Socket, _ []string) {
		_ = s.Emit("session", s.Session().User()) // fails only if the client has left
	})
	io.On("who am i", func(p *socketbridge.Packet) error { return p.Ack(p.Session().User()) })
	io.On("note", func(p *socketbridge.Packet) error {
		var note string
		if err := p.Bind(&note); err != nil {
			return err
		}
		p.Session().Set("note", note)
		return p.Ack()
	})
	io.On("echo", func(p *socketbridge.Packet) error {
		args, err := values(p)
		if err != nil {
			return err
		}
		return p.Ack(args...)
	})
	io.On("back", func(p *socketbridge.Packet) error {
		args, err := values(p)
		if err != nil {
			return err
		}
		return p.Socket().Emit("said", args...)
	})
	io.On("ask", func(p *socketbridge.Packet) error {
		args, err := values(p)
		if err != nil {
			return err
		}
		answer, err := p.Socket().EmitWithAck(p.Context(), "question", args...)
		if err != nil {
			return err
		}
		var text string
		var data []byte
		if err := answer.Bind(&text, &data); err != nil {
			return err
		}
		return p.Ack(text, data)
	})
	// The bytes of a plain client.
	io.On("message", func(p *socketbridge.Packet) error {
		var data []byte
		if err := p.Bind(&data); err != nil {
			return err
		}
		return p.Socket().Emit("message", data)
	})
}

// object is an argument with binary data inside.
type object struct {
	Text  string `json:"text"`
	Bytes []byte `json:"bytes,omitempty"`
}

// values decodes the arguments of an event: a text, binary data, and an object, as far as
// the client sent them.
func values(p *socketbridge.Packet) ([]any, error) {
	var text string
	var data []byte
	var o object
	all := []any{&text, &data, &o}[:len(p.Args())]
	if err := p.Bind(all...); err != nil {
		return nil, err
	}
	return []any{text, data, o}[:len(all)], nil
}
