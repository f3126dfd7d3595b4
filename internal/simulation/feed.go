package simulation

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// watch is a node's subscription to changes. Changes of different keys overtake each other;
// those of one key arrive in order.
type watch struct {
	link *link
	fn   func(storage.Change)
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	keys    map[string]bool
	pending []delivery // ordered by due
	last    map[string]time.Time
	missed  bool // a change was dropped while the feed was cut
	offered uint64
}

type delivery struct {
	change    storage.Change
	sent, due time.Time
}

// Watch implements storage.Feed.
func (l *link) Watch(fn func(storage.Change)) (storage.Watch, error) {
	w := &watch{
		link: l, fn: fn, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		keys: map[string]bool{}, last: map[string]time.Time{},
	}
	l.db.mu.Lock()
	l.db.watches = append(l.db.watches, w)
	l.db.mu.Unlock()
	l.mu.Lock()
	l.watches = append(l.watches, w)
	l.mu.Unlock()
	go w.run()
	return w, nil
}

// Add implements storage.Watch.
func (w *watch) Add(ctx context.Context, keys ...string) error {
	return w.link.call(ctx, "feed", false, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, key := range keys {
			w.keys[key] = true
		}
		return nil
	})
}

// Remove implements storage.Watch.
func (w *watch) Remove(keys ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		delete(w.keys, key)
		delete(w.last, key)
	}
}

// Close implements storage.Watch.
func (w *watch) Close() error {
	w.link.db.mu.Lock()
	w.link.db.watches = slices.DeleteFunc(w.link.db.watches, func(o *watch) bool { return o == w })
	w.link.db.mu.Unlock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
	return nil
}

// Lag implements storage.LagReporter.
func (w *watch) Lag() (time.Duration, bool) {
	w.link.mu.Lock()
	cut := w.link.feed == feedCut
	w.link.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if cut || w.missed {
		return 0, false
	}
	lag := time.Duration(0)
	for _, d := range w.pending {
		lag = max(lag, time.Since(d.sent))
	}
	return lag, true
}

// offer queues a change. The caller holds db.mu.
func (w *watch) offer(c storage.Change) {
	state := w.link.feedState()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.keys[c.Key] {
		return
	}
	switch state {
	case feedCut:
		w.missed = true
		return
	case feedSilent:
		return
	}
	now := time.Now()
	w.offered++
	due := now.Add(w.link.feedDelay(w.offered, state))
	if last := w.last[c.Key]; !due.After(last) {
		due = last.Add(1)
	}
	w.last[c.Key] = due
	w.push(delivery{c, now, due})
}

// push inserts a delivery. The caller holds w.mu.
func (w *watch) push(d delivery) {
	i := len(w.pending)
	for i > 0 && w.pending[i-1].due.After(d.due) {
		i--
	}
	w.pending = slices.Insert(w.pending, i, d)
	if i == 0 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// restore ends a cut: the watch reports a gap if it missed a change.
func (w *watch) restore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.missed {
		return
	}
	now := time.Now()
	w.push(delivery{storage.Change{Kind: storage.Gap}, now, now.Add(time.Millisecond)})
}

// run delivers changes until Close.
func (w *watch) run() {
	defer close(w.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		wait := time.Hour
		var next *delivery
		if len(w.pending) > 0 {
			if wait = time.Until(w.pending[0].due); wait <= 0 {
				d := w.pending[0]
				next = &d
			}
		}
		w.mu.Unlock()
		if next != nil {
			w.fn(next.change)
			w.mu.Lock()
			i := slices.IndexFunc(w.pending, func(d delivery) bool { return d.due.Equal(next.due) && d.change.Key == next.change.Key })
			w.pending = slices.Delete(w.pending, i, i+1)
			if next.change.Kind == storage.Gap {
				w.missed = false
			}
			w.mu.Unlock()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.wake:
		case <-w.stop:
			return
		}
	}
}
