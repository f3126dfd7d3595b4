package socketbridge

import (
	"context"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
)

// client implements inmemory.Receiver for the clients of package bridgetest.
var _ inmemory.Receiver = (*client)(nil)

// UsesMsgpack implements inmemory.Receiver.
func (c *client) UsesMsgpack() bool { return c.packed != nil }

// Observe implements inmemory.Receiver.
func (c *client) Observe(o inmemory.Observer) { c.observer = o }

// Go implements inmemory.Receiver.
func (c *client) Go(fn func()) {
	c.server.running.Add()
	go func() { // Server.Shutdown waits for it
		defer c.server.running.Done()
		fn()
	}()
}

// Settle implements inmemory.Receiver. A task that causes another one adds it before it is done
// itself, so the count is 0 only when all of them are done.
func (c *client) Settle(ctx context.Context) error { return c.server.running.Wait(ctx) }
