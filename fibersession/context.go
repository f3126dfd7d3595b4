package fibersession

import (
	"context"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// patience is a context that ends at a time. Unlike context.WithDeadline it sets no
// timer before somebody waits for its end, as a store that answers at once never does:
// the timer and what belongs to it would be a third of what a write in memory costs.
type callContext struct {
	parent   context.Context
	deadline time.Time

	mu          sync.Mutex      // guards what follows
	timed       context.Context // nil while nobody waits
	cancelTimed context.CancelFunc
}

// patient returns a context that ends at now and the store's timeout, whatever becomes
// of ctx, whose values it has. Call end when it is no longer needed.
func (s *Store) callContext(ctx context.Context, now time.Time) *callContext {
	return &callContext{parent: detachRequest(ctx), deadline: now.Add(s.cfg.Timeouts.Storage)}
}

func (c *callContext) start() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancelTimed = context.WithDeadline(context.WithoutCancel(c.parent), c.deadline)
	}
	return c.timed
}

// end stops the timer, if there is one.
func (c *callContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelTimed != nil {
		c.cancelTimed()
	}
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *callContext) Done() <-chan struct{} { return c.start().Done() }

// Value asks what is armed, so that contexts derived from p are told of its end
// without a goroutine.
func (c *callContext) Value(key any) any { return c.start().Value(key) }

func (c *callContext) Err() error {
	if time.Now().Before(c.deadline) {
		return nil
	}
	<-c.Done() // what says that it has ended must not be ahead of Done
	return c.start().Err()
}

// bounded bounds one wait for the storage.
func (s *Store) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(detachRequest(ctx), s.cfg.Timeouts.Storage)
}

// outliving returns ctx, or another one for a request's own: Fiber's c.Context() is
// used again by the next request while what was derived from it may still be read.
func detachRequest(ctx context.Context) context.Context {
	if _, ok := ctx.(*fasthttp.RequestCtx); ok {
		return context.Background()
	}
	return ctx
}
