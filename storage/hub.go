package storage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueued is how many changes wait in one watch before it tells a Gap instead.
const maxQueued = 1024

// hub carries changes from the writers of this process to its watches.
type hub struct {
	any atomic.Bool // a watch was opened: until then, telling costs nothing

	mu      sync.RWMutex             // guards what follows; taken under a stripe, so nothing is called under it
	watches map[*localWatch]struct{} // one for each fibersession.Store: few
	closed  bool
}

// Watch opens a watch on the changes that this process makes through s.
func (s *local) Watch(fn func(Change)) (Watch, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: nil function", ErrInvalid)
	}
	return s.hub.open(fn)
}

func (h *hub) open(fn func(Change)) (Watch, error) {
	w := &localWatch{hub: h, keys: map[string]struct{}{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if h.watches == nil {
		h.watches = map[*localWatch]struct{}{}
	}
	h.watches[w] = struct{}{}
	h.any.Store(true)
	go w.run(fn) // ends with stop; Close waits for done
	return w, nil
}

// tell hands a change to the watches of its key.
func (h *hub) tell(c Change) {
	if !h.any.Load() {
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	h.pushAll(c.Key, c)
}

// gap tells the watches of key that they may have missed a change.
func (h *hub) gap(key string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	h.pushAll(key, Change{Kind: Gap})
}

// pushAll pushes to the watches of key. The caller holds h.mu.
func (h *hub) pushAll(key string, c Change) {
	for w := range h.watches {
		if _, ok := w.keys[key]; ok {
			w.push(c)
		}
	}
}

// gapAll tells every watch.
func (h *hub) gapAll() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for w := range h.watches {
		w.push(Change{Kind: Gap})
	}
}

// close ends every watch and waits for them.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	var all []*localWatch
	for w := range h.watches {
		all = append(all, w)
	}
	h.mu.Unlock()
	for _, w := range all {
		_ = w.Close()
	}
}

// localWatch is a bounded queue and the goroutine that empties it.
type localWatch struct {
	hub      *hub
	keys     map[string]struct{} // guarded by the hub
	stopOnce sync.Once
	wake     chan struct{}
	stop     chan struct{}
	done     chan struct{}

	mu      sync.Mutex // guards what follows; a leaf
	queue   []Change
	telling bool // fn is being called
	ended   bool
}

// Lag implements Punctual: writers are answered after their changes are queued.
func (w *localWatch) Lag() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, len(w.queue) == 0 && !w.telling && !w.ended
}

func (w *localWatch) push(c Change) {
	w.mu.Lock()
	if c.Kind == Gap || len(w.queue) >= maxQueued {
		// All that waited is answered by loading again.
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
	default: // it is awake already
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
		w.telling = true
		w.mu.Unlock()
		for _, c := range batch {
			select {
			case <-w.stop:
				return
			default:
				fn(c)
			}
		}
		clear(batch) // keeps no values alive
		w.mu.Lock()
		w.telling = false
		w.mu.Unlock()
	}
}

func (w *localWatch) Add(ctx context.Context, keys ...string) error {
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if _, open := w.hub.watches[w]; !open {
		return ErrClosed
	}
	for _, key := range keys {
		w.keys[strings.Clone(key)] = struct{}{}
	}
	return nil
}

func (w *localWatch) Remove(keys ...string) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	for _, key := range keys {
		delete(w.keys, key)
	}
}

func (w *localWatch) Close() error {
	w.stopOnce.Do(func() {
		w.hub.mu.Lock()
		delete(w.hub.watches, w)
		w.hub.mu.Unlock()
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		close(w.stop)
	})
	<-w.done
	return nil
}
