// Freshness of reads: when a copy may be used without asking the store.

package fibersession

import (
	"context"
	"errors"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Freshness says how a session is refreshed before it is used.
type Freshness uint8

const (
	// Strict asks the store every time. The result is what the store held at some moment
	// after the call began. Concurrent calls for one session share a read, and reads of
	// several sessions share round trips.
	Strict Freshness = iota + 1
	// Tracked asks the store only if this node's copy is not known to be up to date. The
	// copy is up to date while the session is watched (Handle.Watch; every socket does
	// that), the storage's feed has delivered every change that was acknowledged to its
	// writer more than Config.Tracking.MaxLag ago, and all delivered changes are applied.
	// Otherwise the read is Strict. Changes made through this Store are never missed.
	//
	// A tracked read can therefore miss another node's change that is younger than MaxLag.
	// Usually the window is the time that Redis needs to pass the change on: less than a
	// millisecond. On memory:// nothing is missed. With Config.Builtin and Config.Express,
	// reads are always Strict.
	Tracked
)

// Refresh discards h's unsaved changes, like Reload, and makes h as fresh as f demands. 0
// means Config.Freshness. Unlike Reload, it succeeds with the last known session while
// the store does not answer, for up to Config.Tracking.OutageGrace. Otherwise it returns
// the same errors as Reload.
func (h *Handle) Refresh(ctx context.Context, f Freshness) error {
	if _, err := h.current(); err != nil {
		return err
	}
	if err := h.state.refresh(ctx, f, h.queuedSince()); err != nil {
		return err
	}
	h.discardChanges()
	return nil
}

// Confirmed returns when the store or its feed last confirmed h's copy of the session. It
// returns the zero time before the first confirmation, and if h cannot be used. During an
// outage it tells how old the data is that Config.Tracking.OutageGrace still serves.
func (h *Handle) Confirmed() time.Time {
	if _, err := h.current(); err != nil {
		return time.Time{}
	}
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastConfirmed()
}

// refresh makes the state as fresh as f demands.
func (s *state) refresh(ctx context.Context, f Freshness, since time.Time) error {
	if f == 0 {
		f = s.store.Config.Freshness
	}
	if f == Tracked && s.resolve().upToDate() {
		s.store.stats.skippedReads.Add(1)
		return nil
	}
	if ctx.Err() == nil && s.resolve().checkUnchanged() {
		return nil
	}
	err := s.do(ctx, &op{kind: opReload, queuedSince: since})
	if err != nil && errors.Is(err, ErrUnavailable) && ctx.Err() == nil && s.resolve().inOutageGrace() {
		s.store.stats.staleReads.Add(1)
		return nil
	}
	return err
}

// checkUnchanged asks a storage.Checker, which answers at once, whether the copy is still
// the stored revision. That needs no commit: there is nothing to apply, and no wait that
// other callers could share.
func (s *state) checkUnchanged() bool {
	c := s.store.checker
	if c == nil || !s.store.layout.carriesExpiry() {
		return false // in other layouts a read also updates the expiry
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

// upToDate reports whether the copy may be used without asking the store.
func (s *state) upToDate() bool {
	if !s.store.layout.carriesRevision() || !s.store.tracker.inTime() {
		return false
	}
	// After checking the lag: what the feed delivered until then is now here.
	if s.applyPending() {
		s.store.tracker.enqueue(s)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.track.key == s.at.key && s.track.pending == nil && !s.track.applying && s.isConfirmed() &&
		s.ended == nil && !s.cur.expired(time.Now())
}

// inTime reports whether the feed's lag is within Config.Tracking.MaxLag. It also records
// until when the feed was complete.
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
	return known && lag <= t.store.Config.Tracking.MaxLag
}

// lastConfirmed returns when cur was last known to be the stored revision. The caller
// holds s.mu.
func (s *state) lastConfirmed() time.Time {
	at := s.track.confirmedAt
	if s.track.key == s.at.key && s.track.pending == nil && !s.track.unread && s.track.confirmedIn == s.store.tracker.generation.Load()+1 {
		if sure := time.Unix(0, s.store.tracker.completeUntil.Load()); sure.After(at) {
			at = sure
		}
	}
	return at
}

// inOutageGrace reports whether the last known session may be served while the store does
// not answer. It may not after a notice of a change, which may have been the logout.
func (s *state) inOutageGrace() bool {
	grace, now := s.store.Config.Tracking.OutageGrace, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return grace > 0 && s.ended == nil && !s.track.unread && s.cur != nil && !s.cur.fresh() && !s.cur.expired(now) && now.Sub(s.lastConfirmed()) < grace
}
