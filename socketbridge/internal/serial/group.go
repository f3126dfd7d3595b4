package serial

import (
	"context"
	"sync"
	"sync/atomic"
)

// Group counts running tasks. Unlike a sync.WaitGroup, it can be waited for with a
// context, and Add may be called from 0 while another goroutine waits. The zero value
// is ready to use. All methods are safe for concurrent use.
type Group struct {
	n    atomic.Int64
	mu   sync.Mutex    // guards idle
	idle chan struct{} // closed when n falls to 0; nil without a waiter
}

// Add counts one more task.
func (g *Group) Add() { g.n.Add(1) }

// Done ends a task that Add counted.
func (g *Group) Done() {
	if g.n.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil && g.n.Load() == 0 {
		close(g.idle)
		g.idle = nil
	}
}

// Wait blocks until no task is running and returns nil. If ctx ends first, Wait
// returns ctx.Err().
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	if g.idle == nil {
		g.idle = make(chan struct{}) // before the check: a Done that comes after it closes idle
	}
	idle := g.idle
	if g.n.Load() == 0 {
		close(idle)
		g.idle = nil
		g.mu.Unlock()
		return nil
	}
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
