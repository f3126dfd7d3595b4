package redis

import (
	"context"
	"time"
)

// SetMaxSilence makes watches that are opened later detect a dead connection sooner.
func (s *Storage) SetMaxSilence(d time.Duration) { s.maxSilence = d }

// WorkersPerNode is the number of batches in flight to one node.
const WorkersPerNode = workersPerNode

// PingsBeforeFlush reports whether a watch with a new connection sends a ping before
// it has subscribed to its channels again.
func PingsBeforeFlush(s *Storage) bool {
	w := &watch{s: s, ctx: context.Background(), wake: make(chan struct{}, 1), dirty: map[string]struct{}{},
		subscriptions: map[string]*subscription{"k:changes": {live: make(chan struct{}), confirmed: true}}}
	w.ps = s.client.Subscribe(w.ctx)
	w.reconnect(w.ps)
	defer func() { _ = w.ps.Close() }()
	w.ping()
	return !w.probe.sentAt.IsZero()
}
