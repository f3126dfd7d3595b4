package fibersession

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// All that the holders of one state want from the store is gathered into rounds:
// while one round waits for the store, what arrives queues up, and the next round
// does all of it with one call. So n writers of one session cost the store one
// compare-and-swap and not n that conflict, and n reloads cost one load.
//
// There is no goroutine for it. The first caller to find nobody at work leads a
// round for all; then the first of those who came meanwhile leads the next.
type queue struct {
	pending    []*op
	busy       bool      // somebody leads, or was appointed to
	timedOutAt time.Time // when a round ended that the store did not answer; zero: one was answered since
}

type opKind uint8

const (
	opReload     opKind = iota // see what the store holds now
	opTouch                    // slide the idle limit, if that is due
	opChange                   // store changes
	opRegenerate               // give the session another ID
	opDestroy                  // end it
)

// op is one caller's wish.
type op struct {
	kind         opKind
	ch           changes
	idle         time.Duration // a new idle limit, 0: as it is
	tx           *Tx           // what the changes were computed from, nil: from nothing
	to           place         // of opRenew
	device       device        // of a login, zero: as it is
	waitingSince time.Time     // when the caller's work began to wait, zero: now

	status opStatus
	err    error
	values map[string]any // of opChange that succeeded: right after it
	wake   chan struct{}  // nil for who leads from the start
}

type opStatus uint8

const (
	queued   opStatus = iota
	promoted          // still queued, and to lead the next round
	running
	done
)

var (
	// errRerun says that what an Update read is not so any more.
	errRerun = errors.New("fibersession: run the update again")
	// errYielded says that another state has taken over: ask that one.
	errForwarded = errors.New("fibersession: another state took over")
	// errHangs says that the store did not answer who came before.
	errNotAnswering = fmt.Errorf("%w: it hangs", ErrUnavailable)
)

// submit returns when o has been done, or could not. Once o is part of a round, it
// returns at that round's end, which StorageTimeout bounds, whatever becomes of ctx.
func (s *state) submit(ctx context.Context, o *op) error {
	if ctx.Err() != nil {
		return canceledError(ctx)
	}
	s.mu.Lock()
	if err := s.admit(o); err != nil {
		s.mu.Unlock()
		return err
	}
	s.pending = append(s.pending, o)
	lead := !s.busy
	s.busy = true
	if !lead {
		o.wake = make(chan struct{}, 1)
	}
	s.mu.Unlock()
	if !lead {
		var err error
		if lead, err = s.await(ctx, o); err != nil {
			return err
		}
	}
	if lead {
		s.lead(ctx, o)
	}
	return o.err
}

// admit says whether o may queue. It is called with the state locked.
func (s *state) admit(o *op) error {
	if s.forward.Load() != nil {
		return errForwarded
	}
	if s.ended != nil && o.kind != opDestroy {
		return s.ended
	}
	if o.waitingSince.Before(s.timedOutAt) && !o.waitingSince.IsZero() && time.Since(s.timedOutAt) < s.store.cfg.Timeouts.Storage {
		return errNotAnswering // it has waited already, behind who was not answered
	}
	if o.kind == opChange {
		return s.admitChange(o)
	}
	return nil
}

// await waits until o is done, or appointed to lead.
func (s *state) await(ctx context.Context, o *op) (lead bool, err error) {
	select {
	case <-o.wake:
	case <-ctx.Done():
		s.mu.Lock()
		if o.status == running || o.status == done {
			s.mu.Unlock()
			<-o.wake
			return false, nil
		}
		s.pending = slices.DeleteFunc(s.pending, func(q *op) bool { return q == o })
		s.invalidateOp(o)
		if o.status == promoted {
			s.promote()
		}
		s.mu.Unlock()
		return false, canceledError(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.status == promoted, nil
}

func canceledError(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
}

// appoint makes the first in the queue lead the next round. It is called with the
// state locked.
func (s *state) promote() {
	s.busy = len(s.pending) > 0
	if s.busy {
		s.pending[0].status = promoted
		s.pending[0].wake <- struct{}{} // has room: it is sent once before done
	}
}

// lead does a round, of which own is a part.
func (s *state) lead(ctx context.Context, own *op) {
	s.mu.Lock()
	batch := s.pending
	s.pending = nil
	for _, o := range batch {
		o.status = running
	}
	s.committing = batch
	s.applyPendingLocked() // what is known already costs no conflict
	begun, era, key := time.Now(), s.store.tracker.generation.Load(), s.track.key
	live := s.track.subscribed
	s.mu.Unlock()

	c := commit{s: s, batch: batch, now: begun}
	c.run(ctx)

	s.mu.Lock()
	if c.confirmed && !s.stale {
		s.track.confirmedAt, s.track.recheckDue = begun, false
		if live && key == s.track.key {
			s.track.confirmedIn = era + 1
		}
	}
	s.committing, s.projected = nil, nil
	if c.confirmed {
		s.timedOutAt = time.Time{}
	}
	if c.timedOut {
		s.timedOutAt = time.Now()
		// The next round would wait just as long for the same store.
		for _, o := range s.pending {
			o.err = errNotAnswering
			s.invalidateOp(o)
		}
		batch = append(batch, s.pending...)
		s.pending = nil
	}
	for _, o := range batch {
		o.status = done
		if o != own {
			o.wake <- struct{}{}
		}
	}
	s.applyPendingLocked() // what was heard meanwhile
	s.promote()
	s.mu.Unlock()
	s.notify()
}

// do is submit to whichever state is in charge. What an Update computed from one state
// is of no use to another.
func (s *state) do(ctx context.Context, o *op) error {
	for {
		now := s.resolve()
		if o.tx != nil && now != s {
			return errRerun
		}
		err := now.submit(ctx, o)
		if err != errForwarded {
			return err
		}
		*o = op{kind: o.kind, ch: o.ch, idle: o.idle, tx: o.tx, to: o.to, device: o.device, waitingSince: o.waitingSince}
	}
}

// conflict says whether err is the store's word that a newer revision is there.
func isConflict(err error) bool { return errors.Is(err, storage.ErrConflict) }
