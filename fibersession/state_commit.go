package fibersession

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// round does what a batch asks for, with as few calls of the store as it can. Its
// leader alone works on it, and it alone changes the state's snapshot.
type round struct {
	s     *state
	ctx   context.Context
	batch []*op

	now       time.Time // when the round began, or the store last told what it holds
	confirmed bool      // the store was asked since the batch was taken: cur is what it holds
	hung      bool      // the store did not answer in time

	refused []refusal        // of merge, and final once the rest can be stored
	renewed storage.Revision // of the new key that renew has written, at
	to      place
}

// run does the batch. Every op has its result when it returns.
func (r *round) run(ctx context.Context) {
	// The round is for all of the batch: it must not end because its leader's
	// context does.
	patient := r.s.store.patient(ctx, r.now)
	defer patient.end()
	r.ctx = patient
	defer func() {
		if p := recover(); p != nil { // of a driver: nobody may be left waiting
			r.s.markStale()
			r.fail(fmt.Errorf("%w: the storage panicked: %v", ErrUnknownOutcome, p))
		}
	}()

	for try := 0; ; try++ {
		err := r.step()
		switch {
		case err == nil:
			return
		case !conflict(err):
			r.s.store.stats.failures.Add(1)
			r.s.markStale()
			r.hung = r.ctx.Err() != nil
			r.fail(err)
			return
		}
		r.s.store.stats.conflicts.Add(1)
		r.s.markStale()
		// A logout does not stand back for whoever keeps writing.
		if !r.wants(opDestroy) && !pause(r.ctx, try) || r.ctx.Err() != nil {
			r.abandon()
			r.fail(fmt.Errorf("%w: other nodes kept changing the session: %w", ErrUnavailable, storage.ErrConflict))
			return
		}
	}
}

// pause waits a random while that grows with each conflict: other nodes are at it too.
func pause(ctx context.Context, try int) bool {
	if try == 0 {
		return true
	}
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 4)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// step does what is left to do, once. A conflict means: again.
func (r *round) step() error {
	cur, ended := r.s.look()
	if ended == nil && r.mustLoad(cur) {
		if err := r.load(); err != nil {
			return err
		}
	}
	if r.s.forward.Load() != nil {
		r.fail(errYielded)
		return nil
	}
	if _, ended = r.s.look(); ended != nil {
		r.finish(opDestroy)
		r.fail(ended)
		return nil
	}
	switch {
	case r.wants(opDestroy):
		return r.destroy()
	case r.wants(opRenew):
		return r.renew()
	case r.wants(opChange) || r.wants(opTouch):
		if err := r.write(); err != nil {
			return err
		}
	}
	if cur, _ = r.s.look(); r.mustLoad(cur) { // writes that came to nothing tell nothing
		return r.step()
	}
	r.finish(opReload)
	return nil
}

// mustLoad says whether the next thing is to ask the store. A write alone need not:
// its compare-and-swap tells whether the revision is the newest.
func (r *round) mustLoad(cur *snapshot) bool {
	r.s.mu.Lock()
	stale := r.s.stale
	r.s.mu.Unlock()
	switch {
	case cur == nil || stale:
		return true
	case !cur.fresh() && cur.expired(r.now):
		return !r.confirmed // another node may have used it meanwhile
	case cur.fresh():
		return false // nobody else can have stored it
	case r.wants(opDestroy) || r.wants(opRenew) || r.wants(opChange):
		return false
	}
	return r.wants(opReload) && !r.confirmed
}

// wants says whether the batch has an op of this kind that is not done.
func (r *round) wants(k opKind) bool {
	return slices.ContainsFunc(r.batch, func(o *op) bool { return o.kind == k && o.status == running })
}

// finish settles the ops of a kind as done.
func (r *round) finish(k opKind) {
	for _, o := range r.batch {
		if o.kind == k {
			r.settle(o, nil)
		}
	}
}

// fail settles all that is not settled.
func (r *round) fail(err error) {
	for _, o := range r.batch {
		r.settle(o, err)
	}
}

// settle gives an op its result, the first one counts.
func (r *round) settle(o *op, err error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if o.status != running {
		return
	}
	o.status, o.err = done, err
	if err != nil {
		r.s.disturbBy(o)
	}
}

// load makes what the store holds the state's newest revision, or ends the state.
func (r *round) load() error {
	s := r.s
	for range maxMoves {
		at := s.place()
		item, err := s.store.storage.Load(r.ctx, at.key)
		s.store.stats.loads.Add(1)
		r.now = time.Now()
		cur, _ := s.look()
		switch {
		case errors.Is(err, storage.ErrNotFound):
			r.confirmed = true
			r.absent(cur)
			return nil
		case err != nil:
			return storeError("load", at.key, err)
		}
		var moved *movedError
		err = s.applyItem(at, item)
		if errors.As(err, &moved) && cur != nil && moved.lineage == cur.lineage {
			s.moveTo(s.store.layout.destination(moved.to))
			s.markStale()
			if s.forward.Load() != nil {
				return nil
			}
			continue
		}
		r.confirmed = true
		switch {
		case moved != nil:
			s.end(ErrNotFound) // an old ID: whoever comes with it has no session
		case err != nil:
			s.store.corrupt(err)
			s.end(ErrCorrupt)
		default:
			r.expire(at)
			r.lifetime(at)
		}
		return nil
	}
	return fmt.Errorf("%w: it was given too many new IDs at once", ErrUnavailable)
}

// maxMoves bounds how many new IDs are followed in a row. A node that did not look
// at a session for long may have missed many.
const maxMoves = 256

// absent handles a key that is not there.
func (r *round) absent(cur *snapshot) {
	switch {
	case cur == nil:
		r.s.end(ErrNotFound)
	case cur.fresh():
		r.s.publish(cur, nil) // as it should be
	case cur.expired(r.now):
		r.s.end(ErrExpired)
	default:
		r.s.end(ErrDestroyed)
	}
}

// expire ends a session whose limit has passed, and sweeps it up.
func (r *round) expire(at place) {
	cur, _ := r.s.look()
	if !r.s.store.layout.slides() || !cur.expired(r.now) {
		return
	}
	r.s.end(ErrExpired)
	// Whatever comes of it: the store's own expiry follows soon.
	_ = r.s.store.storage.CompareAndDelete(r.ctx, at.key, cur.rev)
	r.s.store.delist(r.ctx, r.s)
}

// write stores the changes and touches of the batch in one swap.
func (r *round) write() error {
	s, now := r.s, r.now.Round(0) // the wall clock: all nodes have one
	next, keys := r.merge(now)
	if r.doubtful() {
		return r.again()
	}
	if next == nil {
		r.refuse()
		return nil
	}
	at := s.place()
	touchOnly := !r.wants(opChange)
	if touchOnly && !s.store.layout.slides() {
		return r.touch(at, next, now)
	}
	data, err := s.store.layout.seal(at, next.meta, next.values)
	if err != nil {
		return r.blame(at, err)
	}
	r.refuse()
	cur, _ := s.look()
	again, err := r.enlist(at, cur, next, now)
	if err != nil {
		return err
	}
	next.rev, err = s.store.storage.CompareAndSwap(r.ctx, at.key, next.rev, data, s.store.ttl(next.meta, now))
	if err != nil {
		return r.writeError("save", at, err)
	}
	s.store.stats.writes.Add(1)
	if touchOnly {
		s.store.stats.touches.Add(1)
	}
	r.stored(next, keys)
	r.listed(at, at, cur, next, again, now)
	return nil
}

// stored publishes what the store took, and settles who is a part of it in the
// same moment: an Update that begins must not see a change twice.
func (r *round) stored(next *snapshot, keys []string) {
	r.confirmed = true
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur, s.stale, s.tip = next, false, nil
	s.schedule()
	for _, o := range r.batch {
		if o.status == running && (o.kind == opChange || o.kind == opTouch) {
			o.status = done
		}
	}
	if len(keys) > 0 {
		s.note(Event{Kind: Changed, Keys: keys})
	}
}

// touch slides the expiry of a value that does not carry it.
func (r *round) touch(at place, next *snapshot, now time.Time) error {
	s := r.s
	err := s.store.storage.Touch(r.ctx, at.key, s.store.ttl(next.meta, now))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.ErrConflict // load and see why
	}
	if err != nil {
		return r.writeError("touch", at, err)
	}
	s.store.stats.writes.Add(1)
	s.store.stats.touches.Add(1)
	s.publish(next, nil) // says nothing of the values: not confirmed
	r.finish(opTouch)
	return nil
}

func (r *round) writeError(what string, at place, err error) error {
	if conflict(err) {
		return err
	}
	return storeError(what, at.key, err)
}

// merge returns the snapshot to store, with rev still that of the one it follows,
// or nil when there is nothing to store. Ops that cannot be merged are in refused.
func (r *round) merge(now time.Time) (next *snapshot, keys []string) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refused = nil
	values, idle, needed := s.cur.values, time.Duration(0), false
	m := s.cur.meta
	for _, o := range r.batch {
		if o.status != running {
			continue
		}
		switch o.kind {
		case opTouch:
			needed = needed || !s.cur.fresh() && s.store.touchDue(s.cur.meta, now)
		case opChange:
			merged, err := s.mergeOne(o, values)
			if err != nil {
				r.refused = append(r.refused, refusal{o, err})
				s.disturbBy(o) // at once: those behind it may have read what it was to write
				continue
			}
			values, o.values, needed = merged, merged, true
			idle = max(idle, o.idle)
			if o.device != (device{}) {
				m.device = o.device
			}
		}
	}
	if !needed {
		for _, o := range r.batch { // touches that are not due
			if o.kind == opTouch && o.status == running {
				o.status = done
			}
		}
		return nil, nil
	}
	if s.cur.fresh() {
		begun := s.store.begin(now)
		m.created, m.absolute, m.idle = begun.created, begun.absolute, begun.idle
	}
	for _, o := range r.batch {
		for key := range o.ch {
			if !same(s.cur.values, values, key) { // else nobody need be told
				keys = append(keys, key)
			}
		}
	}
	if len(r.batch) > 1 {
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	return &snapshot{meta: s.store.used(m, now, idle), values: values, rev: s.cur.rev}, keys
}

// mergeOne is called with the state locked.
func (s *state) mergeOne(o *op, onto map[string]any) (map[string]any, error) {
	if o.tx != nil && s.disturbed(o.tx) {
		return nil, errRerun
	}
	return o.ch.mergeOnto(onto, s.store.cfg.Limits.MaxKeys)
}

type refusal struct {
	o   *op
	err error
}

// doubtful says whether somebody is to be refused for what the session holds, which
// may be something else by now.
func (r *round) doubtful() bool {
	cur, _ := r.s.look()
	return !r.confirmed && !cur.fresh() &&
		slices.ContainsFunc(r.refused, func(f refusal) bool { return f.err != errRerun })
}

// again does the step again, after the store was asked.
func (r *round) again() error {
	if err := r.load(); err != nil {
		return err
	}
	return r.step()
}

// refuse settles those who could not be merged.
func (r *round) refuse() {
	for _, f := range r.refused {
		r.settle(f.o, f.err)
	}
	r.refused = nil
}

// blame finds who in the batch cannot be stored, now that all together cannot.
func (r *round) blame(at place, all error) error {
	base, _ := r.s.look()
	if !r.confirmed && !base.fresh() {
		return r.again() // the session may hold less by now
	}
	values, found := base.values, false
	for _, o := range r.batch {
		if o.kind != opChange || o.status != running {
			continue
		}
		r.s.mu.Lock()
		merged, err := r.s.mergeOne(o, values)
		r.s.mu.Unlock()
		if err == nil {
			_, err = r.s.store.layout.seal(at, base.meta, merged)
		}
		if err != nil {
			found = true
			r.settle(o, err)
			continue
		}
		values = merged
	}
	if !found { // the stored session itself is over a limit that was lowered
		for _, o := range r.batch {
			if o.kind == opChange || o.kind == opTouch {
				r.settle(o, all)
			}
		}
		return nil
	}
	return r.step()
}
