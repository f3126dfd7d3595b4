// The state: the one copy of a session on this node.

package fibersession

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// state is the one shared copy of a session on this node, for as long as a handle or a
// request session refers to it; these are small values that point to it. All calls of
// the store go through its queue (state_queue.go) as commits (state_commit.go), one at a
// time, so the store's answers are never applied out of order.
//
// Lock order, from outer to inner: Session.mu or Handle.mu (a fork's, then its root's); a
// table shard's mu; state.mu; the mu of the state that it forwards to; tracker.mu or
// expiryTimers.mu. None is held during I/O or user code.
type state struct {
	store *Store

	// refs counts handles and request sessions. Only the table changes it from and to 0,
	// with the shard locked.
	refs atomic.Int32
	// heapIndex is the index in the heap of the entry in Store.timers plus 1; 0: no entry.
	// expiryTimers.mu guards it. It stands here because it fits into the padding.
	heapIndex int32
	// forward is set when another state of the same session took over. That happens if
	// the session's new ID was used here before this state learned of the change.
	forward atomic.Pointer[state]

	mu    sync.Mutex // guards the fields below
	at    place
	cur   *snapshot // the newest known revision; nil before the first load
	ended error     // why the session is gone: the cause of the Ended event
	stale bool      // the store may hold another revision than cur

	scheduled bool // the state may have an entry in Store.timers

	creation *creation // nil once the storage has confirmed it, and before it is tried
	// cookieExpiry is the idle limit when the browser was last sent its cookie, as far as this
	// node knows: if this node did not send it, when the session was first read here.
	cookieExpiry time.Time
	formerIDs    []fingerprint // the latest IDs that the session had before, on this node
	usedOldID    *usedOldID    // nil if the session was not taken over on this node
	queue
	updates
	watch watchers
	track tracking

	notExtendedAt time.Time // when KeepAlive last failed

	timerAt time.Time // when that entry is due; guarded by expiryTimers.mu
}

// snapshot is one revision of a session. It is immutable once it is published.
type snapshot struct {
	meta
	values map[string]any
	rev    storage.Revision // Absent: not stored yet
}

func (c *snapshot) fresh() bool { return c.rev == storage.Absent }

// resolve follows forwards to the state in charge.
func (s *state) resolve() *state {
	for {
		next := s.forward.Load()
		if next == nil {
			return s
		}
		s = next
	}
}

// current returns the newest known revision, and the cause if the session has ended.
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

// end marks the session as gone. Only the first cause counts.
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

// publish makes next the newest known revision. keys are those whose values changed
// unexpectedly, by another node: Updates that read them run again.
func (s *state) publish(next *snapshot, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur, s.stale, s.track.unread = next, false, false
	if s.cookieExpiry.IsZero() {
		s.cookieExpiry = next.expiry
	}
	s.schedule()
	s.invalidate(keys)
	if len(keys) > 0 {
		s.queueEvent(Event{Kind: Changed, Keys: keys})
	}
}

func (s *state) markStale() {
	s.mu.Lock()
	s.stale = true
	if s.mustConfirmCreation() {
		s.store.tracker.enqueue(s)
	}
	s.mu.Unlock()
}

// applyItem publishes what the store holds. It returns a *movedError if that is a
// forward to another key.
func (s *state) applyItem(at place, item storage.Item) error {
	cur, _ := s.current()
	if cur != nil && cur.rev == item.Revision {
		if !s.store.layout.carriesExpiry() {
			next := *cur
			next.expiry = s.store.layout.expiryWhenRead(&cur.meta, time.Now())
			cur = &next
		}
		s.publish(cur, nil)
		return nil
	}
	m, values, err := s.store.decode(at, item.Value)
	if err != nil {
		return err
	}
	s.store.stats.decodes.Add(1)
	next := &snapshot{meta: m, values: values, rev: item.Revision}
	if cur == nil {
		s.publish(next, nil)
		return nil
	}
	if !s.store.layout.carriesRevision() {
		next.lineage, next.revision, next.epoch = cur.lineage, cur.revision+1, cur.epoch
	} else if next.lineage != cur.lineage {
		return errEnvelope // the key holds another session
	}
	s.publish(next, changedKeys(cur.values, values))
	return nil
}

// moveTo changes the session's place, after its ID changed.
func (s *state) moveTo(to place) {
	s.mu.Lock()
	from := s.at
	s.at = to
	s.remember(from.owner)
	s.queueEvent(Event{Kind: Renewed})
	s.mu.Unlock()
	if s.store.table.rekey(s, from, to) {
		return // forwarded to the state that has the place already
	}
	s.mu.Lock()
	s.schedule()
	s.mu.Unlock()
}

// forwardTo makes other the state of all holders of s. The table calls it with other's
// shard locked.
func (s *state) forwardTo(other *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	other.mu.Lock()
	if other.cur == nil { // other is not loaded yet: until it is, s's holders see what they saw before
		other.cur, other.stale, other.creation = s.cur, true, s.creation
	}
	other.remember(s.formerIDs...)
	other.mu.Unlock()
	s.forward.Store(other)
	s.schedule()
	if !s.watch.notifying { // otherwise the notifying goroutine moves them when it is done
		s.moveWatchers()
	}
}
