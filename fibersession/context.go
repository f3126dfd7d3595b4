// Contexts for calls of the storage.

package fibersession

import (
	"context"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// callContext is the context of the storage's calls in one commit. Many commits share a timer,
// which starts only when one of them calls Done or Value. A storage that answers at once, as
// memory does, calls neither.
type callContext struct {
	parent    context.Context
	deadline  time.Time
	deadlines *deadlines
}

// callContext returns a context for the calls of one commit. It ends Config.Timeouts.Storage
// after now, or up to a sixty-fourth of that earlier. It has ctx's values but not its
// cancellation.
func (s *Store) callContext(ctx context.Context, now time.Time) *callContext {
	return &callContext{detachRequest(ctx), s.deadlines.after(now, s.Config.Timeouts.Storage), &s.deadlines}
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *callContext) Done() <-chan struct{} { return c.deadlines.context(c.deadline).Done() }

// Value returns a value of the parent. Package context finds its own, so that contexts derived
// from c end without an extra goroutine.
func (c *callContext) Value(key any) any {
	if v := c.deadlines.context(c.deadline).Value(key); v != nil {
		return v
	}
	return context.WithoutCancel(c.parent).Value(key)
}

func (c *callContext) Err() error {
	if time.Now().Before(c.deadline) {
		return nil
	}
	<-c.Done() // Err must not be ahead of Done
	return context.DeadlineExceeded
}

// deadlines are those of the calls of one Store. They are rounded down, so that many calls have
// the same deadline and share its timer. A timer for each call took 5 % of the CPU time of an
// event that changes a session on Redis.
type deadlines struct {
	once sync.Once
	from time.Time // deadlines are a multiple of a step after it

	mu     sync.Mutex
	latest context.Context // of the call that last needed a timer; nil before
	at     time.Time       // its deadline
}

// deadlineSteps is how many different deadlines there are within the time of one timeout.
const deadlineSteps = 64

// after returns the deadline of a call that begins now.
func (d *deadlines) after(now time.Time, timeout time.Duration) time.Time {
	d.once.Do(func() { d.from = now })
	step := max(1, timeout/deadlineSteps)
	return d.from.Add((now.Sub(d.from) + timeout).Truncate(step))
}

// context returns a context that ends at a deadline of after. Its timer is not stopped: it is
// for all calls with this deadline.
func (d *deadlines) context(at time.Time) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest != nil && d.at.Equal(at) {
		return d.latest
	}
	ctx, cancel := context.WithDeadline(context.Background(), at)
	context.AfterFunc(ctx, cancel) // not earlier: other calls have this context too
	d.latest, d.at = ctx, at
	return ctx
}

// withTimeout returns a context for one call of the storage.
func (s *Store) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(detachRequest(ctx), s.Config.Timeouts.Storage)
}

// detachRequest replaces a request's own context, Fiber's c.Context(), by an empty one:
// fasthttp reuses it for the next request while derived contexts may still read it.
func detachRequest(ctx context.Context) context.Context {
	if _, ok := ctx.(*fasthttp.RequestCtx); ok {
		return context.Background()
	}
	return ctx
}
