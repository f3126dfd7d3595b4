package inspector

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// The history of the plots on this node.
const (
	pointEvery = 5 * time.Second
	maxPoints  = 60 // 5 minutes
)

// point is what the plots show of the time between two samples. It is never modified. It takes
// 2 KiB at most, so that a history takes 120 KiB.
type point struct {
	Time int64 `json:"time"` // of the second sample, in milliseconds since 1970
	Span int64 `json:"span"` // between the samples, in milliseconds

	// Between the samples.
	Events   uint64   `json:"events"`
	Errors   uint64   `json:"errors"`
	Sent     uint64   `json:"sent"`
	Refused  uint64   `json:"refused"`
	Answered []uint32 `json:"answered"` // a bucket of the histogram, its count, the next bucket, …
	Stored   []uint32 `json:"stored"`

	// At the second sample.
	Memory  uint64 `json:"memory"`
	Heap    uint64 `json:"heap"`
	Sockets int    `json:"sockets"`
}

// pointBetween returns the point between two summaries.
func pointBetween(before, now *summary, span time.Duration) *point {
	return &point{
		Time: now.Now, Span: span.Milliseconds(),
		Events: growth(before.Events, now.Events), Errors: growth(before.Errors, now.Errors),
		Sent: growth(before.Sent, now.Sent), Refused: growth(before.Refused, now.Refused),
		Answered: bucketGrowth(before.Answered, now.Answered), Stored: bucketGrowth(before.Stored, now.Stored),
		Memory: now.Memory, Heap: now.Heap, Sockets: now.Sockets,
	}
}

// growth returns by how much a counter has grown.
func growth(before, now uint64) uint64 { return max(before, now) - before }

// bucketGrowth returns the buckets of a histogram that have grown, each before its growth.
func bucketGrowth(before, now []uint64) []uint32 {
	grown := make([]uint32, 0, 2*len(now))
	for b, n := range now {
		if b < len(before) {
			n = growth(before[b], n)
		}
		if n > 0 {
			grown = append(grown, uint32(b), uint32(min(n, math.MaxUint32)))
		}
	}
	return grown
}

// history keeps the latest points of this node. The zero value is empty.
type history struct {
	mu     sync.Mutex
	points []*point // the oldest first
}

// record samples until ctx is done.
func (h *history) record(ctx context.Context, every time.Duration, sample func() *summary) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	before, at := sample(), time.Now()
	for {
		select {
		case <-tick.C:
			now, nowAt := sample(), time.Now()
			h.add(pointBetween(before, now, nowAt.Sub(at)))
			before, at = now, nowAt
		case <-ctx.Done():
			return
		}
	}
}

// add appends a point, and drops the oldest one if there are too many.
func (h *history) add(p *point) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.points == nil {
		h.points = make([]*point, 0, maxPoints)
	}
	if len(h.points) == maxPoints {
		h.points = slices.Delete(h.points, 0, 1)
	}
	h.points = append(h.points, p)
}

// nodeHistory is the history of a node, as it is sent to pages.
type nodeHistory struct {
	Node   string   `json:"node"`
	Now    int64    `json:"now"`   // in milliseconds since 1970
	Every  int64    `json:"every"` // milliseconds between two samples
	Points []*point `json:"points"`
}

// historyHere returns the history of this node.
func (i *inspector) historyHere() nodeHistory {
	i.history.mu.Lock()
	defer i.history.mu.Unlock()
	return nodeHistory{i.io.ID(), time.Now().UnixMilli(), i.pace.sample.Milliseconds(), append([]*point{}, i.history.points...)}
}
