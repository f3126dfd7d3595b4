package fibersession

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// state is the one shared copy of a session on this node, while somebody holds
// it. Handles and fronts are small values over it. All that it does with the
// store goes through its rounds (state_commit.go), one at a time, so that the store's
// answers are never applied out of order.
type state struct {
	store *Store

	// refs counts handles and fronts. Only the table takes it from 0 and drops it
	// to 0, with its shard locked.
	refs atomic.Int32
	// forward is set when another state of the same session took over, because the
	// session's new ID was met here before its old state learned of it.
	forward atomic.Pointer[state]

	mu        sync.Mutex // guards what follows; never held during I/O or user code
	at        place
	cur       *snapshot     // nil before the first load
	ended     error         // why the session is gone
	stale     bool          // the store may hold something else than cur
	formerIDs []fingerprint // of the IDs that it had on this node, the latest of them
	queue
	updates
	watch watchers
	track tracking

	scheduled bool // it may have an entry among the store's deadlines

	timerAt   time.Time // its entry there; both belong to the deadlines' lock
	heapIndex int       // where in the heap, from 1; 0: nowhere
}

// snapshot is one revision of a session. It never changes once it is published.
type snapshot struct {
	meta
	values map[string]any
	rev    storage.Revision // Absent: not stored yet
}

func (c *snapshot) fresh() bool { return c.rev == storage.Absent }

// resolve follows forwards to the state that is in charge.
func (s *state) resolve() *state {
	for {
		next := s.forward.Load()
		if next == nil {
			return s
		}
		s = next
	}
}

// look returns the newest known revision, or why there is none any more.
func (s *state) current() (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur, s.ended
}

func (s *state) place() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// end marks the session as gone, once and for ever.
func (s *state) end(cause error) {
	s.mu.Lock()
	first := s.ended == nil
	if first {
		s.ended = cause
		s.queueEvent(Event{Kind: Ended, Cause: cause})
		s.schedule()
	}
	at := s.at
	s.mu.Unlock()
	if first {
		s.store.table.remove(s, at)
	}
}

// publish makes next the newest known revision. keys are those that differ
// because of somebody else: who computed with them has to know.
func (s *state) publish(next *snapshot, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur, s.stale = next, false
	s.schedule()
	s.invalidate(keys)
	if len(keys) > 0 {
		s.queueEvent(Event{Kind: Changed, Keys: keys})
	}
}

func (s *state) markStale() {
	s.mu.Lock()
	s.stale = true
	s.mu.Unlock()
}

// applyItem makes what the store holds the newest known revision.
func (s *state) applyItem(at place, item storage.Item) error {
	cur, _ := s.current()
	if cur != nil && cur.rev == item.Revision {
		if !s.store.layout.slides() {
			next := *cur
			next.meta = s.store.layout.met(cur.meta, time.Now())
			cur = &next
		}
		s.publish(cur, nil)
		return nil
	}
	m, values, err := s.store.layout.open(at, item.Value)
	if err != nil {
		return err
	}
	s.store.stats.decodes.Add(1)
	next := &snapshot{meta: m, values: values, rev: item.Revision}
	if cur == nil {
		s.publish(next, nil)
		return nil
	}
	if !s.store.layout.slides() {
		next.lineage, next.revision, next.epoch = cur.lineage, cur.revision+1, cur.epoch
	} else if next.lineage != cur.lineage {
		return errEnvelope // somebody else's session under this key
	}
	s.publish(next, changedKeys(cur.values, values))
	return nil
}

// moveTo gives the session another place: another ID.
func (s *state) moveTo(to place) {
	s.mu.Lock()
	from := s.at
	s.at = to
	s.remember(from.owner)
	s.queueEvent(Event{Kind: Renewed})
	s.mu.Unlock()
	if s.store.table.rekey(s, from, to) {
		return // it yielded
	}
	s.mu.Lock()
	s.schedule()
	s.mu.Unlock()
}

// yieldTo makes other the state of all who hold s. It is called by the table, with
// other's shard locked.
func (s *state) forwardTo(other *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	other.mu.Lock()
	if other.cur == nil { // it is about to load; who held s sees what s knew until then
		other.cur, other.stale = s.cur, true
	}
	other.remember(s.formerIDs...)
	other.mu.Unlock()
	s.forward.Store(other)
	s.schedule()
	if !s.watch.notifying { // else who tells does it
		s.moveWatchers()
	}
}
