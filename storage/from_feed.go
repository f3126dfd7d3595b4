package storage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueued is the number of changes that can wait in one watch. On overflow, the
// watch replaces them with a Gap.
const maxQueued = 1024

// localFeed passes changes from the writers of this process to its watches.
type localFeed struct {
	used atomic.Bool // a watch was opened; before that, publish costs one atomic load

	mu      sync.RWMutex             // guards the fields below; taken while a key's lock is held, so no callback runs under it
	watches map[*localWatch]struct{} // few: one for each fibersession.Store
	closed  bool
}

// Watch opens a watch on the changes that this process makes through s.
func (s *local) Watch(fn func(Change)) (Watch, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: nil function", ErrInvalid)
	}
	return s.feed.watch(fn)
}

func (f *localFeed) watch(fn func(Change)) (Watch, error) {
	w := &localWatch{feed: f, keys: map[string]struct{}{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if f.watches == nil {
		f.watches = map[*localWatch]struct{}{}
	}
	f.watches[w] = struct{}{}
	f.used.Store(true)
	go w.run(fn) // ends with stop; Close waits for done
	return w, nil
}

// publish queues a change in the watches of its key.
func (f *localFeed) publish(c Change) {
	if !f.used.Load() {
		return
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.enqueue(c.Key, c)
}

// publishGap queues a Gap in the watches of key.
func (f *localFeed) publishGap(key string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.enqueue(key, Change{Kind: Gap})
}

// enqueue queues c in the watches of key. The caller holds f.mu.
func (f *localFeed) enqueue(key string, c Change) {
	for w := range f.watches {
		if _, ok := w.keys[key]; ok {
			w.push(c)
		}
	}
}

// publishRemoved queues the removal of every watched key with this prefix.
func (f *localFeed) publishRemoved(prefix string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for w := range f.watches {
		for key := range w.keys {
			if strings.HasPrefix(key, prefix) {
				w.push(Change{Kind: Removed, Key: key})
			}
		}
	}
}

// publishGapToAll queues a Gap in every watch.
func (f *localFeed) publishGapToAll() {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for w := range f.watches {
		w.push(Change{Kind: Gap})
	}
}

// close closes every watch and waits for their goroutines.
func (f *localFeed) close() {
	f.mu.Lock()
	f.closed = true
	var all []*localWatch
	for w := range f.watches {
		all = append(all, w)
	}
	f.mu.Unlock()
	for _, w := range all {
		_ = w.Close()
	}
}

// localWatch is a bounded queue of changes and the goroutine that delivers them.
type localWatch struct {
	feed     *localFeed
	keys     map[string]struct{} // guarded by feed.mu
	stopOnce sync.Once
	wake     chan struct{}
	stop     chan struct{}
	done     chan struct{}

	mu         sync.Mutex // guards the fields below; no other lock is taken under it
	queue      []Change
	delivering bool // run is calling fn
	closed     bool
}

// Lag implements LagReporter. Changes are queued before their writers get an
// answer, so an empty queue means that nothing is late.
func (w *localWatch) Lag() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, len(w.queue) == 0 && !w.delivering && !w.closed
}

func (w *localWatch) push(c Change) {
	w.mu.Lock()
	if c.Kind == Gap || len(w.queue) >= maxQueued {
		// After a Gap the receiver loads its keys again, which covers the queued changes.
		clear(w.queue)
		w.queue = append(w.queue[:0], Change{Kind: Gap})
		if c.Kind != Gap {
			w.queue = append(w.queue, c)
		}
	} else {
		w.queue = append(w.queue, c)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // a wake-up is already pending
	}
}

func (w *localWatch) run(fn func(Change)) {
	defer close(w.done)
	var batch []Change
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		batch, w.queue = w.queue, batch[:0]
		w.delivering = true
		w.mu.Unlock()
		for _, c := range batch {
			select {
			case <-w.stop:
				return
			default:
				fn(c)
			}
		}
		clear(batch) // releases the values
		w.mu.Lock()
		w.delivering = false
		w.mu.Unlock()
	}
}

func (w *localWatch) Add(ctx context.Context, keys ...string) error {
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	if _, open := w.feed.watches[w]; !open {
		return ErrClosed
	}
	for _, key := range keys {
		w.keys[strings.Clone(key)] = struct{}{}
	}
	return nil
}

func (w *localWatch) Remove(keys ...string) {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	for _, key := range keys {
		delete(w.keys, key)
	}
}

func (w *localWatch) Close() error {
	w.stopOnce.Do(func() {
		w.feed.mu.Lock()
		delete(w.feed.watches, w)
		w.feed.mu.Unlock()
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		close(w.stop)
	})
	<-w.done
	return nil
}
