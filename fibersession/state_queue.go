// The queue of a state: operations that arrive while a commit is under way are
// batched into the next one.

package fibersession

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// queue batches the operations on one state (group commit). While a commit waits for
// the store, new operations queue up in pending; the next commit handles all of them
// together. So n concurrent writers of a session cost one compare-and-swap, not n that
// conflict with each other, and n reloads cost one load.
//
// There is no worker goroutine. A caller that finds the queue idle leads: it runs the
// commit for the whole batch. When it is done, it promotes the first operation that
// queued up meanwhile, and that caller leads the next commit.
type queue struct {
	pending    []*op
	busy       bool      // a caller leads, or was promoted to
	timedOutAt time.Time // when a commit last ran into Config.Timeouts.Storage; zero once the store answered again
}

type opKind uint8

const (
	opReload     opKind = iota // load what the store holds
	opTouch                    // slide the idle limit, if that is due
	opChange                   // store changes
	opRegenerate               // change the ID
	opDestroy                  // end the session
)

// op is one caller's operation. Its status, err and values are guarded by state.mu
// until wake is signaled or submit returns.
type op struct {
	kind        opKind
	ch          changes
	idle        time.Duration // a new idle limit; 0 keeps the current one
	remember    cookieFlags   // the choice of Session.Remember; 0 keeps the current one
	tx          *Tx           // the Update that computed ch; nil if no Update did
	to          place         // the new ID, for opRegenerate
	client      clientInfo    // the browser that logs in; zero keeps the current one
	queuedSince time.Time     // when the caller's work was queued; zero: now

	status opStatus
	err    error
	values map[string]any // after a successful opChange: the values it was stored with
	wake   chan struct{}  // nil for an op that led as soon as it was submitted
}

type opStatus uint8

const (
	queued   opStatus = iota
	promoted          // still in pending; leads the next commit
	running
	done
)

var (
	// errRerun reports that values an Update read have changed since.
	errRerun = errors.New("fibersession: the update has to run again")
	// errForwarded reports that another state took over: submit the op to that one.
	errForwarded = errors.New("fibersession: another state took over")
	// errCommitEnded fails the ops of a commit whose goroutine ended.
	errCommitEnded = fmt.Errorf("%w: the goroutine that asked the storage ended (runtime.Goexit)", ErrUnknownOutcome)
	// errNotAnswering fails the ops that queued up behind a call that timed out.
	errNotAnswering = fmt.Errorf("%w: an earlier call timed out", ErrUnavailable)
)

// submit runs o and returns its result. ctx only bounds the time in the queue. Once o
// belongs to a commit, submit returns when that commit ends, which
// Config.Timeouts.Storage bounds.
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

// admit returns nil if o may join the queue. The caller holds s.mu.
func (s *state) admit(o *op) error {
	if s.forward.Load() != nil {
		return errForwarded
	}
	if s.ended != nil && o.kind != opDestroy {
		return s.ended
	}
	if o.queuedSince.Before(s.timedOutAt) && !o.queuedSince.IsZero() && time.Since(s.timedOutAt) < s.store.Config.Timeouts.Storage {
		return errNotAnswering // it already waited behind a call that timed out
	}
	if o.kind == opChange {
		return s.admitChange(o)
	}
	return nil
}

// await waits until o is done, or promoted to lead.
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

// promote makes the first pending op lead the next commit. The caller holds s.mu.
func (s *state) promote() {
	s.busy = len(s.pending) > 0
	if s.busy {
		s.pending[0].status = promoted
		s.pending[0].wake <- struct{}{} // never blocks: the buffer is empty until the op is done
	}
}

// lead runs a commit for the pending ops, including own.
func (s *state) lead(ctx context.Context, own *op) {
	s.mu.Lock()
	c := commit{s: s, batch: s.pending}
	s.pending = nil
	for _, o := range c.batch {
		o.status = running
	}
	s.committing = c.batch
	defer s.led(&c, own)        // even if a driver or a codec ends the goroutine
	if s.applyPendingLocked() { // changes that are known already would only cause a conflict
		s.store.tracker.enqueue(s)
	}
	c.began = time.Now()
	c.now = c.began
	c.generation, c.key, c.subscribed = s.store.tracker.generation.Load(), s.track.key, s.track.subscribed
	s.unlocked(func() { c.run(ctx) })
}

// led passes on the results of a commit, and lets the next one start. The caller holds s.mu,
// which led unlocks.
func (s *state) led(c *commit, own *op) {
	defer s.notify()
	defer s.mu.Unlock()
	defer s.promote()
	if c.confirmed && !s.stale {
		s.track.confirmedAt, s.track.recheckDue = c.began, false
		if c.subscribed && c.key == s.track.key {
			s.track.confirmedIn = c.generation + 1
		}
	}
	s.committing, s.projected = nil, nil
	if c.confirmed {
		s.timedOutAt = time.Time{}
	}
	batch := c.batch
	if c.timedOut {
		s.timedOutAt = time.Now()
		// Fail the ops that queued up meanwhile, too: each would wait for a full timeout.
		for _, o := range s.pending {
			o.err = errNotAnswering
			s.invalidateOp(o)
		}
		batch = append(batch, s.pending...)
		s.pending = nil
	}
	for _, o := range batch {
		if o.status == running {
			o.err = errCommitEnded
		}
		o.status = done
		if o != own {
			o.wake <- struct{}{}
		}
	}
	if s.applyPendingLocked() { // changes received during the commit
		s.store.tracker.enqueue(s)
	}
}

// do submits o to the state in charge, following forwards. An op of an Update fails
// with errRerun if its state was replaced, because it was computed from the old one.
func (s *state) do(ctx context.Context, o *op) error {
	if s.store.tracing.operations.Load() {
		return s.traced(ctx, o, func(ctx context.Context) error { return s.doUntraced(ctx, o) })
	}
	return s.doUntraced(ctx, o)
}

func (s *state) doUntraced(ctx context.Context, o *op) error {
	for {
		now := s.resolve()
		if o.tx != nil && now != s {
			return errRerun
		}
		err := now.submit(ctx, o)
		if err != errForwarded {
			return err
		}
		*o = op{kind: o.kind, ch: o.ch, idle: o.idle, remember: o.remember, tx: o.tx, to: o.to, client: o.client, queuedSince: o.queuedSince}
	}
}

// isConflict reports whether a compare-and-swap failed because the stored revision
// is not the expected one.
func isConflict(err error) bool { return errors.Is(err, storage.ErrConflict) }
