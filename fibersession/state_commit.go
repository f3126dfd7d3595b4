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
type commit struct {
	s     *state
	ctx   context.Context
	batch []*op

	now       time.Time // when the round began, or the store last told what it holds
	confirmed bool      // the store was asked since the batch was taken: cur is what it holds
	timedOut  bool      // the store did not answer in time

	rejected []rejection      // of merge, and final once the rest can be stored
	newRev   storage.Revision // of the new key that renew has written, at
	newPlace place
}

// run does the batch. Every op has its result when it returns.
func (c *commit) run(ctx context.Context) {
	// The round is for all of the batch: it must not end because its leader's
	// context does.
	patient := c.s.store.callContext(ctx, c.now)
	defer patient.cancel()
	c.ctx = patient
	defer func() {
		if p := recover(); p != nil { // of a driver: nobody may be left waiting
			c.s.markStale()
			c.finishAll(fmt.Errorf("%w: the storage panicked: %v", ErrUnknownOutcome, p))
		}
	}()

	for try := 0; ; try++ {
		err := c.attempt()
		switch {
		case err == nil:
			return
		case !isConflict(err):
			c.s.store.stats.failures.Add(1)
			c.s.markStale()
			c.timedOut = c.ctx.Err() != nil
			c.finishAll(err)
			return
		}
		c.s.store.stats.conflicts.Add(1)
		c.s.markStale()
		// A logout does not stand back for whoever keeps writing.
		if !c.has(opDestroy) && !backoff(c.ctx, try) || c.ctx.Err() != nil {
			c.discardNewKey()
			c.finishAll(fmt.Errorf("%w: other nodes kept changing the session: %w", ErrUnavailable, storage.ErrConflict))
			return
		}
	}
}

// pause waits a random while that grows with each conflict: other nodes are at it too.
func backoff(ctx context.Context, try int) bool {
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
func (c *commit) attempt() error {
	cur, ended := c.s.current()
	if ended == nil && c.mustLoad(cur) {
		if err := c.load(); err != nil {
			return err
		}
	}
	if c.s.forward.Load() != nil {
		c.finishAll(errForwarded)
		return nil
	}
	if _, ended = c.s.current(); ended != nil {
		c.finishKind(opDestroy)
		c.finishAll(ended)
		return nil
	}
	switch {
	case c.has(opDestroy):
		return c.destroy()
	case c.has(opRegenerate):
		return c.regenerate()
	case c.has(opChange) || c.has(opTouch):
		if err := c.write(); err != nil {
			return err
		}
	}
	if cur, _ = c.s.current(); c.mustLoad(cur) { // writes that came to nothing tell nothing
		return c.attempt()
	}
	c.finishKind(opReload)
	return nil
}

// mustLoad says whether the next thing is to ask the store. A write alone need not:
// its compare-and-swap tells whether the revision is the newest.
func (c *commit) mustLoad(cur *snapshot) bool {
	c.s.mu.Lock()
	stale := c.s.stale
	c.s.mu.Unlock()
	switch {
	case cur == nil || stale:
		return true
	case !cur.fresh() && cur.expired(c.now):
		return !c.confirmed // another node may have used it meanwhile
	case cur.fresh():
		return false // nobody else can have stored it
	case c.has(opDestroy) || c.has(opRegenerate) || c.has(opChange):
		return false
	}
	return c.has(opReload) && !c.confirmed
}

// wants says whether the batch has an op of this kind that is not done.
func (c *commit) has(k opKind) bool {
	return slices.ContainsFunc(c.batch, func(o *op) bool { return o.kind == k && o.status == running })
}

// finish settles the ops of a kind as done.
func (c *commit) finishKind(k opKind) {
	for _, o := range c.batch {
		if o.kind == k {
			c.finish(o, nil)
		}
	}
}

// fail settles all that is not settled.
func (c *commit) finishAll(err error) {
	for _, o := range c.batch {
		c.finish(o, err)
	}
}

// settle gives an op its result, the first one counts.
func (c *commit) finish(o *op, err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if o.status != running {
		return
	}
	o.status, o.err = done, err
	if err != nil {
		c.s.invalidateOp(o)
	}
}

// load makes what the store holds the state's newest revision, or ends the state.
func (c *commit) load() error {
	s := c.s
	for range maxMoves {
		at := s.place()
		item, err := s.store.storage.Load(c.ctx, at.key)
		s.store.stats.loads.Add(1)
		c.now = time.Now()
		cur, _ := s.current()
		switch {
		case errors.Is(err, storage.ErrNotFound):
			c.confirmed = true
			c.keyMissing(cur)
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
		c.confirmed = true
		switch {
		case moved != nil:
			s.end(ErrNotFound) // an old ID: whoever comes with it has no session
		case err != nil:
			s.store.corrupt(err)
			s.end(ErrCorrupt)
		default:
			c.endIfExpired(at)
			c.lifetime(at)
		}
		return nil
	}
	return fmt.Errorf("%w: it was given too many new IDs at once", ErrUnavailable)
}

// maxMoves bounds how many new IDs are followed in a row. A node that did not look
// at a session for long may have missed many.
const maxMoves = 256

// absent handles a key that is not there.
func (c *commit) keyMissing(cur *snapshot) {
	switch {
	case cur == nil:
		c.s.end(ErrNotFound)
	case cur.fresh():
		c.s.publish(cur, nil) // as it should be
	case cur.expired(c.now):
		c.s.end(ErrExpired)
	default:
		c.s.end(ErrDestroyed)
	}
}

// expire ends a session whose limit has passed, and sweeps it up.
func (c *commit) endIfExpired(at place) {
	cur, _ := c.s.current()
	if !c.s.store.layout.slides() || !cur.expired(c.now) {
		return
	}
	c.s.end(ErrExpired)
	// Whatever comes of it: the store's own expiry follows soon.
	_ = c.s.store.storage.CompareAndDelete(c.ctx, at.key, cur.rev)
	c.s.store.delist(c.ctx, c.s)
}

// write stores the changes and touches of the batch in one swap.
func (c *commit) write() error {
	s, now := c.s, c.now.Round(0) // the wall clock: all nodes have one
	next, keys := c.merge(now)
	if c.mustConfirm() {
		return c.loadAndRetry()
	}
	if next == nil {
		c.finishRejected()
		return nil
	}
	at := s.place()
	touchOnly := !c.has(opChange)
	if touchOnly && !s.store.layout.slides() {
		return c.touch(at, next, now)
	}
	data, err := s.store.layout.seal(at, next.meta, next.values)
	if err != nil {
		return c.rejectUnencodable(at, err)
	}
	c.finishRejected()
	cur, _ := s.current()
	again, err := c.enlist(at, cur, next, now)
	if err != nil {
		return err
	}
	next.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, next.rev, data, s.store.ttl(next.meta, now))
	if err != nil {
		return c.writeError("save", at, err)
	}
	s.store.stats.writes.Add(1)
	if touchOnly {
		s.store.stats.touches.Add(1)
	}
	c.publishWrite(next, keys)
	c.listed(at, at, cur, next, again, now)
	return nil
}

// stored publishes what the store took, and settles who is a part of it in the
// same moment: an Update that begins must not see a change twice.
func (c *commit) publishWrite(next *snapshot, keys []string) {
	c.confirmed = true
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur, s.stale, s.projected = next, false, nil
	s.schedule()
	for _, o := range c.batch {
		if o.status == running && (o.kind == opChange || o.kind == opTouch) {
			o.status = done
		}
	}
	if len(keys) > 0 {
		s.queueEvent(Event{Kind: Changed, Keys: keys})
	}
}

// touch slides the expiry of a value that does not carry it.
func (c *commit) touch(at place, next *snapshot, now time.Time) error {
	s := c.s
	err := s.store.storage.Touch(c.ctx, at.key, s.store.ttl(next.meta, now))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.ErrConflict // load and see why
	}
	if err != nil {
		return c.writeError("touch", at, err)
	}
	s.store.stats.writes.Add(1)
	s.store.stats.touches.Add(1)
	s.publish(next, nil) // says nothing of the values: not confirmed
	c.finishKind(opTouch)
	return nil
}

func (c *commit) writeError(what string, at place, err error) error {
	if isConflict(err) {
		return err
	}
	return storeError(what, at.key, err)
}

// merge returns the snapshot to store, with rev still that of the one it follows,
// or nil when there is nothing to store. Ops that cannot be merged are in refused.
func (c *commit) merge(now time.Time) (next *snapshot, keys []string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.rejected = nil
	values, idle, needed := s.cur.values, time.Duration(0), false
	m := s.cur.meta
	for _, o := range c.batch {
		if o.status != running {
			continue
		}
		switch o.kind {
		case opTouch:
			needed = needed || !s.cur.fresh() && s.store.touchDue(s.cur.meta, now)
		case opChange:
			merged, err := s.mergeOne(o, values)
			if err != nil {
				c.rejected = append(c.rejected, rejection{o, err})
				s.invalidateOp(o) // at once: those behind it may have read what it was to write
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
		for _, o := range c.batch { // touches that are not due
			if o.kind == opTouch && o.status == running {
				o.status = done
			}
		}
		return nil, nil
	}
	if s.cur.fresh() {
		begun := s.store.initialLimits(now)
		m.created, m.absolute, m.idle = begun.created, begun.absolute, begun.idle
	}
	for _, o := range c.batch {
		for key := range o.ch {
			if !sameValue(s.cur.values, values, key) { // else nobody need be told
				keys = append(keys, key)
			}
		}
	}
	if len(c.batch) > 1 {
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	return &snapshot{meta: s.store.slideLimits(m, now, idle), values: values, rev: s.cur.rev}, keys
}

// mergeOne is called with the state locked.
func (s *state) mergeOne(o *op, onto map[string]any) (map[string]any, error) {
	if o.tx != nil && s.isInvalidated(o.tx) {
		return nil, errRerun
	}
	return o.ch.mergeOnto(onto, s.store.cfg.Limits.MaxKeys)
}

type rejection struct {
	o   *op
	err error
}

// doubtful says whether somebody is to be refused for what the session holds, which
// may be something else by now.
func (c *commit) mustConfirm() bool {
	cur, _ := c.s.current()
	return !c.confirmed && !cur.fresh() &&
		slices.ContainsFunc(c.rejected, func(f rejection) bool { return f.err != errRerun })
}

// again does the step again, after the store was asked.
func (c *commit) loadAndRetry() error {
	if err := c.load(); err != nil {
		return err
	}
	return c.attempt()
}

// refuse settles those who could not be merged.
func (c *commit) finishRejected() {
	for _, f := range c.rejected {
		c.finish(f.o, f.err)
	}
	c.rejected = nil
}

// blame finds who in the batch cannot be stored, now that all together cannot.
func (c *commit) rejectUnencodable(at place, all error) error {
	base, _ := c.s.current()
	if !c.confirmed && !base.fresh() {
		return c.loadAndRetry() // the session may hold less by now
	}
	values, found := base.values, false
	for _, o := range c.batch {
		if o.kind != opChange || o.status != running {
			continue
		}
		c.s.mu.Lock()
		merged, err := c.s.mergeOne(o, values)
		c.s.mu.Unlock()
		if err == nil {
			_, err = c.s.store.layout.seal(at, base.meta, merged)
		}
		if err != nil {
			found = true
			c.finish(o, err)
			continue
		}
		values = merged
	}
	if !found { // the stored session itself is over a limit that was lowered
		for _, o := range c.batch {
			if o.kind == opChange || o.kind == opTouch {
				c.finish(o, all)
			}
		}
		return nil
	}
	return c.attempt()
}
