// Periodic rechecks of the tracked sessions, in case the feed missed a change.

package fibersession

import "time"

// A feed can miss a change without noticing: during a partition inside a Redis cluster,
// if an ACL forbids a channel, or if a program writes behind the storage's back. So a
// tracked session that was not confirmed for Config.Tracking.Recheck is reloaded. The
// table's shards take turns, which spreads the reads over the interval.

// passesPerInterval is how often each shard is checked in one interval.
const passesPerInterval = 4

// updateTimer starts the recheck timer, or stops it if nothing is tracked. The caller
// holds t.mu.
func (t *tracker) updateTimer() {
	every := t.store.Config.Tracking.Recheck
	switch {
	case every < 0 || t.closed:
	case len(t.states) == 0:
		if t.timer != nil {
			t.timer.Stop()
			t.timer = nil
		}
	case t.timer == nil:
		t.timer = time.AfterFunc(t.recheckStep(), t.onTimer) // onTimer does not block; close stops the timer
	}
}

func (t *tracker) recheckStep() time.Duration {
	return max(t.store.Config.Tracking.Recheck/time.Duration(passesPerInterval*len(t.store.table.shards)), time.Millisecond)
}

// onTimer starts the recheck of one shard and restarts the timer.
func (t *tracker) onTimer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.timer == nil {
		return
	}
	shard := t.nextShard
	t.nextShard = (t.nextShard + 1) % len(t.store.table.shards)
	t.goroutines.Go(func() { t.recheckShard(shard) }) // close waits for it
	t.timer.Reset(t.recheckStep())
}

// recheckShard has the sessions of a shard reloaded that are due.
func (t *tracker) recheckShard(shard int) {
	t.inTime() // records until when the feed was complete
	limit := time.Now().Add(-t.store.Config.Tracking.Recheck * (passesPerInterval - 1) / passesPerInterval)
	for _, s := range t.store.table.statesOf(shard) {
		s.mu.Lock()
		due := s.track.key != "" && s.track.confirmedAt.Before(limit)
		s.track.recheckDue = s.track.recheckDue || due
		s.mu.Unlock()
		if due {
			t.enqueue(s)
		}
	}
}
