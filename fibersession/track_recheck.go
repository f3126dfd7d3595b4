package fibersession

import "time"

// A feed can miss a change and not know: a partition between the servers of a
// cluster, a channel that an access rule forbids, a write behind the storage's back.
// So every session that is watched is read again when the store was not asked about
// it for Config.Tracking.Recheck. The table's shards are looked at in turn, so that these
// reads are spread over the interval.

// sweeps is how often each shard is looked at in one interval.
const passesPerInterval = 4

// arm starts the sweep's timer, or stops it when nothing is tracked. The caller
// holds the lock.
func (t *tracker) updateTimer() {
	every := t.store.cfg.Tracking.Recheck
	switch {
	case every < 0 || t.closed:
	case len(t.states) == 0:
		if t.timer != nil {
			t.timer.Stop()
			t.timer = nil
		}
	case t.timer == nil:
		t.timer = time.AfterFunc(t.recheckStep(), t.onTimer) // fire does not wait; close stops it
	}
}

func (t *tracker) recheckStep() time.Duration {
	return max(t.store.cfg.Tracking.Recheck/time.Duration(passesPerInterval*len(t.store.table.shards)), time.Millisecond)
}

// fire has one shard swept, and comes again.
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

// sweep has those of one shard read again that nobody asked about for long.
func (t *tracker) recheckShard(shard int) {
	t.inTime() // notes how long the feed was good
	limit := time.Now().Add(-t.store.cfg.Tracking.Recheck * (passesPerInterval - 1) / passesPerInterval)
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

// in returns the states of one shard.
func (t *table) statesOf(shard int) []*state {
	sh := &t.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	all := make([]*state, 0, len(sh.states))
	for _, s := range sh.states {
		all = append(all, s)
	}
	return all
}
