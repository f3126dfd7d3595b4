package socketbridge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// A job that an event starts saves after its socket is gone, with a detached handle. The
// packet's own handle says what ended.
func TestSession_DetachOutlivesTheSocket(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, url string) {
		n := nodetest.Start(t)
		s := newSite(t, options{storage: url})
		s.app.Get("/in", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ada"); return nil })
		s.app.Get("/done", func(c *fiber.Ctx) error {
			return c.SendString(valueOf[string](fibersession.FromContext(c), "export"))
		})
		handles := make(chan *fibersession.Handle, 2)
		s.io.On("export", func(p *socketbridge.Packet) error {
			handles <- p.Session()
			handles <- p.Session().Detach()
			return p.Ack(true)
		})
		s.serve()
		a := s.agent()
		a.get("/in")
		c := a.connect(n, "/", nodetest.Options{})
		c.MustCall("export")
		own, job := <-handles, <-handles
		c.Close()
		waitFor(t, "the end of the socket's handle", func() bool { return errors.Is(own.Err(), fibersession.ErrReleased) })
		if text := own.Err().Error(); !strings.Contains(text, "its socket has disconnected") || !strings.Contains(text, "Handle.Detach") {
			t.Errorf("the packet's handle: got the error %q, want one that says what ended and what to call", text)
		}
		defer job.Release()
		job.Set("export", "ready")
		if err := job.Save(context.Background()); err != nil {
			t.Fatalf("the job's save: %v", err)
		}
		if got := a.get("/done"); got != "ready" {
			t.Errorf("the next page got %q, want ready", got)
		}
	})
}
