package redis

import (
	"context"
	"time"
)

// SetSilence makes the watches that are opened from now on find a dead connection sooner.
func (s *Storage) SetSilence(d time.Duration) { s.silence = d }

// WorkersPerNode is how many batches travel at a time.
const WorkersPerNode = workersPerNode

// AsksBeforeFlush says whether a watch on a new connection asks how late it is before
// it has subscribed again to what it watches.
func AsksBeforeFlush(s *Storage) bool {
	w := &watch{s: s, ctx: context.Background(), wake: make(chan struct{}, 1), dirty: map[string]struct{}{},
		keys: map[string]*subscription{"k:changes": {live: make(chan struct{}), confirmed: true}}}
	w.ps = s.client.Subscribe(w.ctx)
	w.renew(w.ps)
	defer func() { _ = w.ps.Close() }()
	w.beat()
	return !w.pulse.asked.IsZero()
}
