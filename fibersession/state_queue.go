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
type rounds struct {
	queue []*op
	busy  bool      // somebody leads, or was appointed to
	hung  time.Time // when a round ended that the store did not answer; zero: one was answered since
}

type opKind uint8

const (
	opReload  opKind = iota // see what the store holds now
	opTouch                 // slide the idle limit, if that is due
	opChange                // store changes
	opRenew                 // give the session another ID
	opDestroy               // end it
)

// op is one caller's wish.
type op struct {
	kind   opKind
	ch     changes
	idle   time.Duration // a new idle limit, 0: as it is
	tx     *Tx           // what the changes were computed from, nil: from nothing
	to     place         // of opRenew
	device device        // of a login, zero: as it is
	since  time.Time     // when the caller's work began to wait, zero: now

	status opStatus
	err    error
	values map[string]any // of opChange that succeeded: right after it
	wake   chan struct{}  // nil for who leads from the start
}

type opStatus uint8

const (
	queued    opStatus = iota
	appointed          // still queued, and to lead the next round
	running
	done
)

var (
	// errRerun says that what an Update read is not so any more.
	errRerun = errors.New("fibersession: run the update again")
	// errYielded says that another state has taken over: ask that one.
	errYielded = errors.New("fibersession: another state took over")
	// errHangs says that the store did not answer who came before.
	errHangs = fmt.Errorf("%w: it hangs", ErrUnavailable)
)

// submit returns when o has been done, or could not. Once o is part of a round, it
// returns at that round's end, which StorageTimeout bounds, whatever becomes of ctx.
func (s *state) submit(ctx context.Context, o *op) error {
	if ctx.Err() != nil {
		return givenUp(ctx)
	}
	s.mu.Lock()
	if err := s.admit(o); err != nil {
		s.mu.Unlock()
		return err
	}
	s.queue = append(s.queue, o)
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
		return errYielded
	}
	if s.ended != nil && o.kind != opDestroy {
		return s.ended
	}
	if o.since.Before(s.hung) && !o.since.IsZero() && time.Since(s.hung) < s.store.cfg.Timeouts.Storage {
		return errHangs // it has waited already, behind who was not answered
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
		s.queue = slices.DeleteFunc(s.queue, func(q *op) bool { return q == o })
		s.disturbBy(o)
		if o.status == appointed {
			s.appoint()
		}
		s.mu.Unlock()
		return false, givenUp(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.status == appointed, nil
}

func givenUp(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
}

// appoint makes the first in the queue lead the next round. It is called with the
// state locked.
func (s *state) appoint() {
	s.busy = len(s.queue) > 0
	if s.busy {
		s.queue[0].status = appointed
		s.queue[0].wake <- struct{}{} // has room: it is sent once before done
	}
}

// lead does a round, of which own is a part.
func (s *state) lead(ctx context.Context, own *op) {
	s.mu.Lock()
	batch := s.queue
	s.queue = nil
	for _, o := range batch {
		o.status = running
	}
	s.underway = batch
	s.absorb() // what is known already costs no conflict
	begun, era, key := time.Now(), s.store.tracker.era.Load(), s.track.key
	live := s.track.live
	s.mu.Unlock()

	r := round{s: s, batch: batch, now: begun}
	r.run(ctx)

	s.mu.Lock()
	if r.confirmed && !s.stale {
		s.track.since, s.track.due = begun, false
		if live && key == s.track.key {
			s.track.sure = era + 1
		}
	}
	s.underway, s.tip = nil, nil
	if r.confirmed {
		s.hung = time.Time{}
	}
	if r.hung {
		s.hung = time.Now()
		// The next round would wait just as long for the same store.
		for _, o := range s.queue {
			o.err = errHangs
			s.disturbBy(o)
		}
		batch = append(batch, s.queue...)
		s.queue = nil
	}
	for _, o := range batch {
		o.status = done
		if o != own {
			o.wake <- struct{}{}
		}
	}
	s.absorb() // what was heard meanwhile
	s.appoint()
	s.mu.Unlock()
	s.tell()
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
		if err != errYielded {
			return err
		}
		*o = op{kind: o.kind, ch: o.ch, idle: o.idle, tx: o.tx, to: o.to, device: o.device, since: o.since}
	}
}

// conflict says whether err is the store's word that a newer revision is there.
func conflict(err error) bool { return errors.Is(err, storage.ErrConflict) }
