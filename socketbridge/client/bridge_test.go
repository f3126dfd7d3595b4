package client_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// The client that socketbridge serves works with socketbridge, in a browser.
func TestAgainstTheBridge(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := n.Browser(t).Open(bridge(t) + "/")
	for _, transport := range []string{"websocket", "polling"} {
		t.Run(transport, func(t *testing.T) {
			var got struct {
				Transport, Refused, Reason string
				First, Second              int
				Bytes                      []int
				Pushed                     string
			}
			page.Eval(`
				const { connect } = await import("/socket.io/fiberbridge.mjs");
				const socket = connect("/", { transports: [arg] });
				const pushed = new Promise((done) => socket.on("pushed", done));
				const first = await socket.emitWithAck("incr");
				const transport = socket.transport;
				const bytes = [...new Uint8Array((await socket.emitWithAck("echo", { data: new Uint8Array([1, 255]) })).data)];
				const refused = await new Promise((done) => socket.of("/admin").on("connect_error", (e) => done(e.message + " " + e.data.code)));
				const second = await socket.of("/chat").emitWithAck("incr");
				const reason = new Promise((done) => socket.on("disconnect", done));
				socket.emit("leave");
				const out = { transport, first, second, bytes, refused, pushed: await pushed, reason: await reason };
				socket.of("/chat").disconnect();
				return out;
			`, transport, &got)
			if got.Transport != transport || got.Second != got.First+1 || len(got.Bytes) != 2 || got.Bytes[1] != 255 ||
				got.Refused != "not you 7" || got.Reason != "io server disconnect" || got.Pushed != "hello" {
				t.Errorf("page received %+v", got)
			}
		})
	}
	var count string
	page.Eval(`return (await fetch("/count")).text()`, nil, &count)
	if count != "4" {
		t.Errorf("count read over HTTP is %s, want 4", count)
	}
}

// bridge starts an app with sessions and sockets and returns its URL.
func bridge(t *testing.T) string {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	sessions := fibersession.New(fibersession.Config{Logger: silent})
	io := socketbridge.New(socketbridge.Config{Sessions: sessions, Logger: silent})
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	app.Use(sessions.Handler())
	app.Use(io.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 0)
		return c.Type("html").SendString("<!doctype html><title>t</title>")
	})
	app.Get("/count", func(c *fiber.Ctx) error {
		n, err := fibersession.Value[int](fibersession.FromContext(c), "count")
		if err != nil {
			return err
		}
		return c.JSON(n)
	})
	for _, name := range []string{"/", "/chat"} {
		ns := io.Of(name)
		ns.On("incr", func(p *socketbridge.Packet) error {
			n, err := p.Session().Incr(p.Context(), "count", 1)
			if err != nil {
				return err
			}
			return p.Ack(n)
		})
		ns.On("echo", func(p *socketbridge.Packet) error {
			var v any
			if err := p.Bind(&v); err != nil {
				return err
			}
			return p.Ack(v)
		})
		ns.On("leave", func(p *socketbridge.Packet) error {
			p.Socket().Disconnect()
			return nil
		})
	}
	io.OnConnection(func(s *socketbridge.Socket) { _ = s.Emit("pushed", "hello") })
	io.Of("/admin").Use(func(*socketbridge.Connect) error {
		return &socketbridge.ConnectError{Message: "not you", Data: map[string]int{"code": 7}}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // the cleanup waits for it
		defer close(ended)
		_ = app.Listener(ln)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), nodetest.Timeout)
		defer cancel()
		if err := io.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Error(err)
		}
		<-ended
		if err := sessions.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}
