package transporttest

import (
	"context"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// journal keeps what was added to it and gives it out in order. The zero value is
// ready; it is safe for concurrent use.
type journal[T any] struct {
	mu    sync.Mutex
	items []T
	next  int           // of items, what Next gives
	ended bool          // nothing more comes
	news  chan struct{} // closed at the next change; nil when nobody waits
}

func (j *journal[T]) add(items ...T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.items = append(j.items, items...)
	j.tell()
}

func (j *journal[T]) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	j.tell()
}

func (j *journal[T]) tell() {
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// all returns everything that was added, taken or not.
func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.items)
}

// waiting returns how much was not taken yet.
func (j *journal[T]) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.items) - j.next
}

// take returns the next item. It waits until ctx ends, and returns ErrClosed when
// nothing more comes.
func (j *journal[T]) take(ctx context.Context) (T, error) {
	var none T
	for {
		j.mu.Lock()
		if j.next < len(j.items) {
			item := j.items[j.next]
			j.next++
			j.mu.Unlock()
			return item, nil
		}
		if j.ended {
			j.mu.Unlock()
			return none, transport.ErrClosed
		}
		if j.news == nil {
			j.news = make(chan struct{})
		}
		news := j.news
		j.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
}
