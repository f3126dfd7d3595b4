package nodetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// inbox keeps what happened until somebody takes it.
type inbox struct {
	mu      sync.Mutex
	events  []happened
	changed chan struct{} // closed and made anew by every put
	ended   bool
}

type happened struct {
	event string
	args  Args
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{})} }

func (b *inbox) put(event string, args Args) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, happened{event, args})
	close(b.changed)
	b.changed = make(chan struct{})
}

// close wakes those who wait; nothing more will be put.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.ended = true
		close(b.changed)
	}
}

// take removes and returns the earliest of the named events, and waits for one.
func (b *inbox) take(ctx context.Context, names ...string) (happened, error) {
	for {
		b.mu.Lock()
		for i, h := range b.events {
			if slices.Contains(names, h.event) {
				b.events = slices.Delete(b.events, i, i+1)
				b.mu.Unlock()
				return h, nil
			}
		}
		ended, changed := b.ended, b.changed
		var others []string
		for _, h := range b.events {
			others = append(others, h.event)
		}
		b.mu.Unlock()
		if ended {
			return happened{}, ErrEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return happened{}, fmt.Errorf("nodetest: no %q came (but %q): %w", names, others, ctx.Err())
		}
	}
}

// count tells how many of the named events wait to be taken.
func (b *inbox) count(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, h := range b.events {
		if h.event == name {
			n++
		}
	}
	return n
}
