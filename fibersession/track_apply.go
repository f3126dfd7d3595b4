// Applying changes that the storage's feed has delivered.

package fibersession

import (
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// applyPending applies the pending change. If a commit is running, its leader does it.
func (s *state) applyPending() {
	s.mu.Lock()
	if s.track.pending == nil || s.busy {
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.applyPendingLocked()
	s.promote()
	s.mu.Unlock()
	s.notify()
}

// applyPendingLocked applies pending changes until there is none. The caller holds s.mu,
// which is released meanwhile, and leads (s.busy).
func (s *state) applyPendingLocked() {
	for s.track.pending != nil {
		c, cur := *s.track.pending, s.cur
		s.track.pending = nil
		if s.ended != nil || c.Key != s.at.key || cur == nil || cur.fresh() || s.forward.Load() != nil {
			return
		}
		s.track.applying = true
		s.unlocked(func() { s.applyChange(c, cur) })
		s.track.applying = false
	}
}

// applyChange handles a notice of a change that another node or another Store made. The notice
// only says that there may be something to read: other clients of the storage may be able to
// publish one (any client of Redis that may PUBLISH), so nothing in it is believed.
func (s *state) applyChange(c storage.Change, cur *snapshot) {
	if c.Kind == storage.Written && c.Item.Revision == cur.rev {
		return
	}
	s.store.stats.notifications.Add(1)
	s.followNotice()
}

// A session whose notices led to noticeReads reads within noticePeriod that found nothing new
// waits until the end of the period for the next one. A flood of false notices costs no more
// than that, and a true one among them is late by noticePeriod at most. Events of the
// session's sockets do not wait: their reads ask the store while a notice was not followed.
const (
	noticeReads  = 16
	noticePeriod = time.Second
)

// followNotice marks the state stale and has a worker reload it.
func (s *state) followNotice() {
	s.mu.Lock()
	n := &s.track.notices
	s.stale, n.unread = true, true
	wait, waiting := n.delay(time.Now()), n.waiting
	n.waiting = waiting || wait > 0
	s.mu.Unlock()
	switch {
	case waiting:
	case wait > 0:
		time.AfterFunc(wait, func() { // does not block, and does nothing after close
			s.mu.Lock()
			n.waiting = false
			s.mu.Unlock()
			s.store.tracker.enqueue(s)
		})
	default:
		s.store.tracker.enqueue(s)
	}
}

// notices is what a state knows about the notices of changes. state.mu guards it.
type notices struct {
	unread  bool      // cur was not read since the last notice
	waiting bool      // for the end of the period
	began   time.Time // the period of the last read that found nothing new
	falsely int       // such reads in the period
}

// delay returns how long the next read has to wait.
func (n *notices) delay(now time.Time) time.Duration {
	if n.falsely < noticeReads {
		return 0
	}
	return n.began.Add(noticePeriod).Sub(now)
}

// countFalse counts a read that found nothing new.
func (n *notices) countFalse(now time.Time) {
	if now.Sub(n.began) >= noticePeriod {
		n.began, n.falsely = now, 0
	}
	n.falsely++
}
