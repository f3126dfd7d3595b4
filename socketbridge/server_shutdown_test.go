package socketbridge_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestShutdown(t *testing.T) {
	t.Parallel()
	t.Run("pending events are handled and answered before the close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			reasons := make(events, 8)
			io := socketbridge.New(socketbridge.Config{Logger: slog.New(slog.DiscardHandler)})
			var handled atomic.Int32
			io.On("e", func(p *socketbridge.Packet) error {
				handled.Add(1)
				time.Sleep(time.Second)
				return p.Ack()
			})
			io.OnConnection(func(s *socketbridge.Socket) {
				s.OnDisconnect(func(r socketbridge.Reason) { reasons.add("%s", r) })
			})
			c := join(t, io, "/")
			for i := range 5 {
				c.send(fmt.Sprintf(`2%d["e"]`, i))
			}
			done := make(chan error)
			go func() { done <- io.Shutdown(context.Background()) }() // received below
			synctest.Wait()
			if _, err := transporttest.Connect(io, nil); err == nil {
				t.Error("a new connection was accepted during Shutdown")
			}
			c.send(`29["e"]`) // not handled
			for i := range 5 {
				c.expect(fmt.Sprintf(`3%d[]`, i))
			}
			synctest.Wait()
			if n := handled.Load(); n != 5 {
				t.Errorf("%d events were handled, want the 5 that arrived before Shutdown", n)
			}
			c.leave() // the engine does not close an in-memory connection
			if err := <-done; err != nil {
				t.Error(err)
			}
			reasons.expect(t, "transport close")
			if err := io.Shutdown(context.Background()); err != nil {
				t.Errorf("second Shutdown: %v", err)
			}
		})
	})
	t.Run("Shutdown returns at its deadline while a handler runs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := socketbridge.New(socketbridge.Config{Logger: slog.New(slog.DiscardHandler)})
			io.On("e", func(p *socketbridge.Packet) error { <-p.Context().Done(); return nil })
			c := join(t, io, "/")
			c.send(`2["e"]`)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			begin := time.Now()
			if err := io.Shutdown(ctx); err == nil {
				t.Error("Shutdown returned no error, want one")
			}
			if d := time.Since(begin); d != 5*time.Second {
				t.Errorf("Shutdown returned after %v, want 5 s", d)
			}
			c.waitForClose()
		})
	})
}
