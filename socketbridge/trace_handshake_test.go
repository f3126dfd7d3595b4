package socketbridge_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N9: what a Handshake hook makes of the request's context reaches the connects of the connection,
// with a session and without. The last of several hooks counts, and one that panics is logged.
func TestN9_HandshakeHook(t *testing.T) {
	t.Parallel()
	type key struct{}
	for _, mode := range []socketbridge.SessionMode{socketbridge.SessionPerPacket, socketbridge.SessionNone} {
		var log testlog.Log
		s := newSite(t, options{bridge: socketbridge.Config{
			Mode:  mode,
			Trace: socketbridge.Trace{Handshake: func(context.Context) string { panic("of the hook") }},
		}, log: slog.New(slog.NewTextHandler(&log, nil)), before: func(app *fiber.App) {
			app.Use(func(c *fiber.Ctx) error {
				c.SetUserContext(context.WithValue(c.UserContext(), key{}, "request "+c.Query("transport")))
				return c.Next()
			})
		}})
		got := make(chan string, 1)
		for _, hooks := range []socketbridge.Trace{
			{Handshake: func(context.Context) string { return "overwritten" }},
			{Handshake: func(ctx context.Context) string { return ctx.Value(key{}).(string) }},
			{Handshake: func(context.Context) string { return "" }},
			{Operation: func(_ context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
				got <- string(op.Kind) + " of " + op.Handshake
				return nil, nil
			}},
		} {
			t.Cleanup(s.io.Observe(hooks))
		}
		s.serve()
		nc := idleClient(t, s, "")
		if op := <-got; op != "connect of request websocket" {
			t.Errorf("mode %v: %s", mode, op)
		}
		_ = nc.Close()
		if !strings.Contains(log.String(), "of the hook") || !strings.Contains(log.String(), "Trace.Handshake") {
			t.Errorf("the log does not name the hook that panicked:\n%s", log.String())
		}
	}
}
