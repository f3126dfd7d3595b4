package fibersession

import (
	"context"
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Freshness says how a session is read again before it is used.
type Freshness uint8

const (
	// Strict asks the store each time. What is read is what the store held at some
	// moment after the call began. Calls for one session that come while a read is
	// under way share the next one, and reads of many sessions share round trips.
	Strict Freshness = iota + 1
	// Tracked asks the store only when this node's copy is not known to be good. The
	// copy is good while the session is watched (Handle.Watch; every socket does), the
	// storage's feed told of all changes whose writers had their answer more than
	// Config.Tracking.MaxLag ago, and none of them is still to be applied. Otherwise it is
	// Strict. Changes made through this Store are never missed.
	//
	// So a tracked read can miss another node's change that is younger than MaxLag:
	// usually by the time that Redis needs to pass it on, less than a millisecond. On
	// memory:// it misses nothing. It is always Strict with Config.Builtin and Config.Express.
	Tracked
)

// Refresh drops h's unsaved changes, like Reload, and sees to it that h is as fresh as f says; 0
// means Config.Freshness. Unlike Reload it serves the session as it was last known
// while the store does not answer, for Config.Tracking.OutageGrace.
func (h *Handle) Refresh(ctx context.Context, f Freshness) error {
	if _, err := h.current(); err != nil {
		return err
	}
	if err := h.state.refresh(ctx, f, h.waitingSince()); err != nil {
		return err
	}
	h.discardChanges()
	return nil
}

// Confirmed returns when the store, or its feed, last said that the session is what
// h has: the zero time before the first. It is how old what Config.Tracking.OutageGrace serves can be.
func (h *Handle) Confirmed() time.Time {
	if _, err := h.current(); err != nil {
		return time.Time{}
	}
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastConfirmed()
}

// refresh sees to it that the state is as fresh as f says.
func (s *state) refresh(ctx context.Context, f Freshness, since time.Time) error {
	if f == 0 {
		f = s.store.cfg.Freshness
	}
	if f == Tracked && s.resolve().upToDate() {
		s.store.stats.spared.Add(1)
		return nil
	}
	if ctx.Err() == nil && s.resolve().checkUnchanged() {
		return nil
	}
	err := s.do(ctx, &op{kind: opReload, waitingSince: since})
	if err != nil && errors.Is(err, ErrUnavailable) && ctx.Err() == nil && s.resolve().inOutageGrace() {
		s.store.stats.graced.Add(1)
		return nil
	}
	return err
}

// unchanged asks a store that answers at once whether it still holds the copy. Such a
// read needs no round: it has nothing to apply, and nobody could share its wait.
func (s *state) checkUnchanged() bool {
	c := s.store.checker
	if c == nil || !s.store.layout.slides() {
		return false // another layout learns more from a read than the values
	}
	s.mu.Lock()
	at, cur, known := s.at, s.cur, s.ended == nil && s.cur != nil && !s.stale && s.forward.Load() == nil
	s.mu.Unlock()
	now := time.Now()
	if !known || cur.fresh() || cur.expired(now) || !c.Holds(at.key, cur.rev) {
		return false
	}
	s.store.stats.loads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == cur {
		s.track.confirmedAt, s.track.recheckDue = now, false
	}
	return true
}

// tracked says whether the copy is good without asking the store.
func (s *state) upToDate() bool {
	if !s.store.layout.slides() || !s.store.tracker.inTime() {
		return false
	}
	// After that: what the feed has told by then is here, applied or not.
	s.applyPending()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.track.key == s.at.key && s.track.pending == nil && !s.track.applying && s.isConfirmed() &&
		s.ended == nil && !s.cur.expired(time.Now())
}

// late says whether the feed is in time, and notes until when it was complete.
func (t *tracker) inTime() bool {
	t.mu.Lock()
	w, _ := t.watch.(storage.LagReporter)
	t.mu.Unlock()
	if w == nil {
		return false
	}
	now := time.Now()
	lag, known := w.Lag()
	if known {
		t.completeUntil.Store(now.Add(-lag).UnixNano())
	}
	return known && lag <= t.store.cfg.Tracking.MaxLag
}

// confirmed returns when cur was last known to be what the store holds. It is called
// with the state locked.
func (s *state) lastConfirmed() time.Time {
	at := s.track.confirmedAt
	if s.track.key == s.at.key && s.track.pending == nil && s.track.confirmedIn == s.store.tracker.generation.Load()+1 {
		if sure := time.Unix(0, s.store.tracker.completeUntil.Load()); sure.After(at) {
			at = sure
		}
	}
	return at
}

// graced says whether the session as last known may be served though the store does
// not answer.
func (s *state) inOutageGrace() bool {
	grace, now := s.store.cfg.Tracking.OutageGrace, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return grace > 0 && s.ended == nil && s.cur != nil && !s.cur.fresh() && !s.cur.expired(now) && now.Sub(s.lastConfirmed()) < grace
}
