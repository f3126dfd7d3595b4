package serial

import (
	"context"
	"sync"
	"time"
)

// Context is a cancellable context that allocates nothing until its Done or Value is called.
// Most contexts of sockets are only passed on. The zero value is ready to use. All methods are
// safe for concurrent use.
type Context struct {
	mu       sync.Mutex
	ctx      context.Context // nil until it is needed
	cancel   context.CancelFunc
	canceled bool
}

func (c *Context) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancel(context.Background())
		if c.canceled {
			c.cancel()
		}
	}
	return c.ctx
}

// Deadline implements context.Context: there is none.
func (c *Context) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.get().Done() }

// Err implements context.Context.
func (c *Context) Err() error {
	if c.Canceled() {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. Only package context finds a value: the one with which it
// derives contexts without a goroutine for each.
func (c *Context) Value(key any) any { return c.get().Value(key) }

// Cancel cancels the context. A second call does nothing.
func (c *Context) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Canceled reports whether Cancel was called.
func (c *Context) Canceled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.canceled
}
