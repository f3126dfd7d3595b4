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
type patience struct {
	values context.Context
	until  time.Time

	mu    sync.Mutex      // guards what follows
	armed context.Context // nil while nobody waits
	stop  context.CancelFunc
}

// patient returns a context that ends at now and the store's timeout, whatever becomes
// of ctx, whose values it has. Call end when it is no longer needed.
func (s *Store) patient(ctx context.Context, now time.Time) *patience {
	return &patience{values: outliving(ctx), until: now.Add(s.cfg.Timeouts.Storage)}
}

func (p *patience) arm() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed == nil {
		p.armed, p.stop = context.WithDeadline(context.WithoutCancel(p.values), p.until)
	}
	return p.armed
}

// end stops the timer, if there is one.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
	}
}

func (p *patience) Deadline() (time.Time, bool) { return p.until, true }

func (p *patience) Done() <-chan struct{} { return p.arm().Done() }

// Value asks what is armed, so that contexts derived from p are told of its end
// without a goroutine.
func (p *patience) Value(key any) any { return p.arm().Value(key) }

func (p *patience) Err() error {
	if time.Now().Before(p.until) {
		return nil
	}
	<-p.Done() // what says that it has ended must not be ahead of Done
	return p.arm().Err()
}

// bounded bounds one wait for the storage.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(outliving(ctx), s.cfg.Timeouts.Storage)
}

// outliving returns ctx, or another one for a request's own: Fiber's c.Context() is
// used again by the next request while what was derived from it may still be read.
func outliving(ctx context.Context) context.Context {
	if _, ok := ctx.(*fasthttp.RequestCtx); ok {
		return context.Background()
	}
	return ctx
}
