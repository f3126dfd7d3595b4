package transporttest

import (
	"context"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// recording holds all items that were added to it and returns them one by one. The zero
// value is ready to use. It is safe for concurrent use.
type recording[T any] struct {
	mu      sync.Mutex
	items   []T
	next    int           // index of the item that dequeue returns next
	ended   bool          // no more items will be added
	changed chan struct{} // closed on the next change; nil if no goroutine waits
}

func (r *recording[T]) add(items ...T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, items...)
	r.notify()
}

func (r *recording[T]) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.notify()
}

func (r *recording[T]) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// all returns all items, including those that dequeue has returned.
func (r *recording[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.items)
}

// waiting returns the number of items that dequeue has not returned.
func (r *recording[T]) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items) - r.next
}

// dequeue returns the next item. It waits for one until ctx ends, and returns ErrClosed
// if no more items will be added.
func (r *recording[T]) dequeue(ctx context.Context) (T, error) {
	var none T
	for {
		r.mu.Lock()
		if r.next < len(r.items) {
			item := r.items[r.next]
			r.next++
			r.mu.Unlock()
			return item, nil
		}
		if r.ended {
			r.mu.Unlock()
			return none, transport.ErrClosed
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}
