// Package hooklist keeps the sets of hooks that observe a server or a store.
package hooklist

import (
	"slices"
	"sync"
	"sync/atomic"
)

// List is the sets of hooks in the order in which they were added. The zero value is empty. All
// methods are safe for concurrent use.
type List[T any] struct {
	sets atomic.Pointer[[]*T]
	mu   sync.Mutex // serialises changes
}

// All returns the sets of hooks. The caller must not modify the slice.
func (l *List[T]) All() []*T {
	if sets := l.sets.Load(); sets != nil {
		return *sets
	}
	return nil
}

// Add adds a set of hooks until remove is called, once or more. changed is called after each
// change with all sets, one call at a time. The other sets stay in the list meanwhile.
func (l *List[T]) Add(hooks *T, changed func(all []*T)) (remove func()) {
	l.change(func(all []*T) []*T { return append(slices.Clip(all), hooks) }, changed)
	return sync.OnceFunc(func() {
		l.change(func(all []*T) []*T {
			return slices.DeleteFunc(slices.Clone(all), func(other *T) bool { return other == hooks })
		}, changed)
	})
}

func (l *List[T]) change(change func([]*T) []*T, changed func(all []*T)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := change(l.All())
	l.sets.Store(&all)
	changed(all)
}
