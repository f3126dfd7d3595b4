package inspector

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// counts count what the plots show. They count for as long as the inspector is mounted, and only
// grow: pages and the history compute rates from two summaries. The zero value is ready.
type counts struct {
	errors, saves atomic.Uint64

	answered histogram // from the beginning of an event's handling to its acknowledgement
	stored   histogram // calls of the session store
}

// Above this rate, only each timeEvery-th operation is timed: two looks at the clock cost a
// sizable part of a small event.
const (
	timeAbove = 200 // since the last summary
	timeEvery = 16
)

// buckets is the number of buckets of a histogram.
const buckets = 100

// histogram counts operations, and the durations of those that are timed in buckets whose bounds
// are at most 25 % apart. Durations over a minute count as a minute. It is safe for concurrent
// use.
type histogram struct {
	all  [buckets]atomic.Uint64
	seen atomic.Uint64 // operations
	mark atomic.Uint64 // seen, at the last summary
}

// count counts an operation, and reports whether to time it.
func (h *histogram) count() (timed bool) {
	n := h.seen.Add(1)
	return n%timeEvery == 0 || n-h.mark.Load() <= timeAbove
}

// add adds the duration of an operation.
func (h *histogram) add(d time.Duration) { h.all[bucketOf(d)].Add(1) }

// bucketOf returns the bucket of a duration. page/plot.mjs has the inverse.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 4 {
		return int(us)
	}
	n := bits.Len64(us)
	return min((n-2)*4+int(us>>(n-3)&3), buckets-1)
}

// read returns the counts of the buckets, without the empty ones at the end. The next timeAbove
// operations are timed.
func (h *histogram) read() []uint64 {
	h.mark.Store(h.seen.Load())
	all := make([]uint64, buckets)
	used := 0
	for b := range all {
		if all[b] = h.all[b].Load(); all[b] > 0 {
			used = b + 1
		}
	}
	return all[:used]
}
