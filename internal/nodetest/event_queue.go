package nodetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// eventQueue holds events until the test consumes them.
type eventQueue struct {
	mu      sync.Mutex
	events  []occurrence
	changed chan struct{} // closed and replaced by each put
	ended   bool
}

type occurrence struct {
	event string
	args  Args
}

func newEventQueue() *eventQueue { return &eventQueue{changed: make(chan struct{})} }

func (q *eventQueue) put(event string, args Args) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, occurrence{event, args})
	close(q.changed)
	q.changed = make(chan struct{})
}

// close ends all waits. No more events will be put.
func (q *eventQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		close(q.changed)
	}
}

// take removes and returns the first of the named events, and waits for one.
func (q *eventQueue) take(ctx context.Context, names ...string) (occurrence, error) {
	for {
		q.mu.Lock()
		for i, h := range q.events {
			if slices.Contains(names, h.event) {
				q.events = slices.Delete(q.events, i, i+1)
				q.mu.Unlock()
				return h, nil
			}
		}
		ended, changed := q.ended, q.changed
		var others []string
		for _, h := range q.events {
			others = append(others, h.event)
		}
		q.mu.Unlock()
		if ended {
			return occurrence{}, ErrEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return occurrence{}, fmt.Errorf("nodetest: none of the events %q occurred; queued events are %q: %w", names, others, ctx.Err())
		}
	}
}

// count returns the number of queued events of a name.
func (q *eventQueue) count(name string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, h := range q.events {
		if h.event == name {
			n++
		}
	}
	return n
}
