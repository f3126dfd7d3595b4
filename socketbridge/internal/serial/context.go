package serial

import (
	"context"
	"sync"
)

// Context is a cancellable context that is created on the first call of Get. Most
// owners never ask for theirs, and then it costs no allocation. The zero value is
// ready to use. All methods are safe for concurrent use.
type Context struct {
	mu       sync.Mutex
	ctx      context.Context
	cancel   context.CancelFunc
	canceled bool
}

// Get returns the context. Every call returns the same one.
func (c *Context) Get() context.Context {
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

// Cancel cancels the context, or the one that Get will create. A second call does
// nothing.
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
