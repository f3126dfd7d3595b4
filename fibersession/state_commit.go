// The commit of a batch: load if needed, merge the changes, and store them with one
// compare-and-swap (commit.write), which is retried after a conflict.

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

// commit runs one batch of operations with as few calls of the store as possible. Only
// the leader's goroutine uses it. While it runs, no other goroutine changes the state's
// snapshot.
type commit struct {
	s     *state
	ctx   context.Context
	batch []*op

	began      time.Time
	generation uint64 // of the tracker, when the commit began
	key        string // that was tracked then, and whether it was subscribed to
	subscribed bool

	now       time.Time // when the commit began or, if later, when it last loaded
	confirmed bool      // the store answered since the commit began: state.cur is what it holds
	loadErr   error     // of the last load, if that failed
	timedOut  bool      // the store did not answer within Config.Timeouts.Storage

	rejected []rejection      // ops that merge failed; their results become final when the rest is stored
	newRev   storage.Revision // revision of the new key that regenerate wrote; Absent if it wrote none
	newPlace place            // where the new key is, while no value points to it
}

// run executes the batch. When it returns, every op has its result.
func (c *commit) run(ctx context.Context) {
	// The commit serves the whole batch, so the leader's context must not cancel it.
	c.ctx = c.s.store.callContext(ctx, c.now)
	returned := false
	defer func() {
		if !returned { // a driver or a codec panicked: the other callers must not wait forever
			c.s.markStale()
			c.newPlace = place{} // the old key may already point to the new one
			err := errCommitEnded
			if p := recover(); p != nil {
				err = fmt.Errorf("%w: the storage panicked: %v", ErrUnknownOutcome, p)
			}
			c.finishAll(err)
		}
	}()
	c.tryAll()
	returned = true
}

// tryAll attempts the batch until every op has its result.
func (c *commit) tryAll() {
	for try := 0; ; try++ {
		err := c.attempt()
		switch {
		case err == nil:
			return
		case !isConflict(err):
			c.s.store.stats.failures.Add(1)
			c.s.markStale()
			c.timedOut = c.ctx.Err() != nil
			if !c.timedOut && c.loadErr == nil && c.has(opReload) {
				c.finishWrites(err) // a refused write must not fail the reads that share the batch with it
				continue
			}
			c.finishAll(err)
			return
		}
		c.s.store.stats.conflicts.Add(1)
		c.s.traceConflict()
		c.s.markStale()
		// A logout retries without backing off: it must win against frequent writers.
		if !c.has(opDestroy) && !backoff(c.ctx, try) || c.ctx.Err() != nil {
			c.finishAll(fmt.Errorf("%w: other nodes kept changing the session: %w", ErrUnavailable, storage.ErrConflict))
			return
		}
	}
}

// backoff sleeps for a random time that grows with each conflict. The first retry is
// immediate. It returns false if ctx ended.
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

// attempt does what is left of the batch, once. It returns a conflict if the batch has
// to be tried again.
func (c *commit) attempt() error {
	if c.s.forward.Load() != nil { // the ops were queued before: a load would move this state, too, and close a cycle of forwards
		c.finishAll(errForwarded)
		return nil
	}
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
	if cur, _ = c.s.current(); c.mustLoad(cur) { // the writes turned out to be unnecessary, so they confirmed nothing
		return c.attempt()
	}
	c.finishKind(opReload)
	return nil
}

// mustLoad reports whether the store has to be read next. Writes need no read: their
// compare-and-swap fails if cur is not the stored revision.
func (c *commit) mustLoad(cur *snapshot) bool {
	c.s.mu.Lock()
	stale := c.s.stale
	c.s.mu.Unlock()
	switch {
	case cur == nil || stale:
		return true
	case !cur.fresh() && cur.expired(c.now):
		return !c.confirmed // another node may have extended it
	case cur.fresh():
		return false // not stored yet, so no other node knows it
	case c.has(opDestroy) || c.has(opRegenerate) || c.has(opChange):
		return false
	}
	return c.has(opReload) && !c.confirmed
}

// has reports whether the batch has an unfinished op of this kind.
func (c *commit) has(k opKind) bool {
	return slices.ContainsFunc(c.batch, func(o *op) bool { return o.kind == k && o.status == running })
}

// finishKind completes the ops of one kind successfully.
func (c *commit) finishKind(k opKind) {
	for _, o := range c.batch {
		if o.kind == k {
			c.finish(o, nil)
		}
	}
}

// finishWrites completes all unfinished ops but reloads with err.
func (c *commit) finishWrites(err error) {
	c.discardNewKey()
	for _, o := range c.batch {
		if o.kind != opReload {
			c.finish(o, err)
		}
	}
}

// finishAll completes all unfinished ops with err.
func (c *commit) finishAll(err error) {
	c.discardNewKey()
	for _, o := range c.batch {
		c.finish(o, err)
	}
}

// finish completes an op. Only the first result counts.
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

// load reads the session and publishes it, or ends the state if the session is gone.
// It follows the session to the new key if another node changed the ID.
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
			err = c.keyMissing(at, cur)
			c.confirmed = err == nil
			return err
		case err != nil:
			c.loadErr = s.store.storeError("load", at.key, err)
			return c.loadErr
		}
		var moved *movedError
		err = s.applyItem(at, item)
		if errors.As(err, &moved) && cur != nil && moved.lineage == cur.lineage {
			s.moveTo(s.store.layout.placeByFingerprint(moved.to))
			s.markStale()
			if s.forward.Load() != nil {
				return nil
			}
			continue
		}
		c.confirmed = true
		switch {
		case moved != nil:
			s.end(ErrNotFound) // a request came with an ID that the session no longer has
		case err != nil:
			s.store.reportCorrupt(err)
			s.end(ErrCorrupt)
		default:
			c.extendExpired(at)
			c.endIfExpired(at)
		}
		return nil
	}
	return fmt.Errorf("%w: its ID changed too many times", ErrUnavailable)
}

// maxMoves bounds how many ID changes one load follows. A node that has not read a
// session for long may have missed many.
const maxMoves = 256

// clockSkew is the tolerated difference between two nodes' clocks. Within it, a removed
// session counts as expired, not as logged out.
const clockSkew = time.Second

// keyMissing handles a load that found no value.
func (c *commit) keyMissing(at place, cur *snapshot) error {
	c.s.mu.Lock()
	made := c.s.creation
	c.s.mu.Unlock()
	switch {
	case cur == nil:
		c.s.end(ErrNotFound)
	case cur.fresh() && made != nil:
		return c.missingAfterCreation(at, made)
	case cur.fresh():
		c.s.publish(cur, nil) // never stored: expected
	case cur.expired(c.now.Add(clockSkew)):
		c.s.end(ErrExpired)
	default:
		c.s.end(ErrDestroyed)
	}
	return nil
}

// endIfExpired ends a session whose limit has passed, and deletes its value.
func (c *commit) endIfExpired(at place) {
	cur, _ := c.s.current()
	if !c.s.store.layout.carriesExpiry() || !cur.expired(c.now) {
		return
	}
	c.s.end(ErrExpired)
	// An error does not matter: the value's TTL ends soon.
	_ = c.s.store.storage.CompareAndDelete(c.ctx, at.key, cur.rev)
	c.s.store.removeTraces(c.ctx, c.s)
}

// extendExpired corrects the expiry of a session that was read past it, if the storage says
// that the session still lives: only the storage knows how long, or the clock of this node
// differs from that of the node that wrote the session.
func (c *commit) extendExpired(at place) {
	s, now := c.s, time.Now()
	cur, ended := s.current()
	if ended != nil || cur.fresh() || !cur.expired(now) {
		return
	}
	carries := s.store.layout.carriesExpiry()
	if carries && !cur.absolute.IsZero() && !now.Before(cur.absolute) {
		return // the absolute limit is final, by whichever clock passes it first
	}
	left, ok := s.store.layout.timeLeft(c.ctx, at)
	if !ok {
		return
	}
	if carries {
		s.store.notices.Report(&clockDiffersNotice, "", "session", s, "difference_at_least", now.Add(left).Sub(cur.expiry).Round(time.Second))
	}
	next := *cur
	next.expiry = now.Add(left)
	s.publish(&next, nil)
}

// write stores the changes and touches of the batch with one compare-and-swap.
func (c *commit) write() error {
	s, now := c.s, c.now.Round(0) // wall clock only: all nodes compare these times
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
	if touchOnly && !s.store.layout.carriesExpiry() {
		return c.touch(at, next, now)
	}
	data, err := s.store.layout.encode(at, &next.meta, next.values)
	if err != nil {
		return c.rejectUnencodable(at, err)
	}
	c.finishRejected()
	cur, _ := s.current()
	added, err := c.indexBeforeWrite(at, cur, next, now)
	if err != nil && !touchOnly && c.entryStands(at, cur, next) {
		// Store the changes without extending the session, so that its entry still outlives it.
		s.store.logNotExtended(err)
		next.expiry = cur.expiry
		data, err = s.store.layout.encode(at, &next.meta, next.values)
	}
	if err != nil {
		return err
	}
	if ttl := s.store.ttl(&next.meta, now); cur.fresh() {
		next.rev, err = c.create(at, data, ttl)
	} else {
		next.rev, err = s.store.storage.CompareAndSwap(c.ctx, at.key, cur.rev, data, ttl)
	}
	if err != nil {
		return c.writeError("save", at, err)
	}
	s.store.stats.writes.Add(1)
	if touchOnly {
		s.store.stats.touches.Add(1)
	}
	c.publishWrite(next, keys)
	c.indexAfterWrite(at, at, cur, next, added, now)
	return nil
}

// publishWrite publishes the stored snapshot and completes the ops that it contains in
// one critical section. Otherwise an Update could begin in between and see a change
// twice: in the snapshot and as an op that is still under way.
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

// destroy deletes the revision that the state knows. It must not delete any other
// value: after a concurrent change of the ID, the key holds the forward to the new one.
func (c *commit) destroy() error {
	s := c.s
	cur, _ := s.current()
	at := s.place()
	if !cur.fresh() {
		err := s.store.storage.CompareAndDelete(c.ctx, at.key, cur.rev)
		switch {
		case err == nil:
			s.store.stats.writes.Add(1)
		case errors.Is(err, storage.ErrNotFound):
		default:
			return c.writeError("destroy", at, err)
		}
	}
	s.end(ErrDestroyed)
	c.finishKind(opDestroy)
	c.finishAll(ErrDestroyed)
	return nil
}

// touch extends the TTL of a value that does not contain its expiry.
func (c *commit) touch(at place, next *snapshot, now time.Time) error {
	s := c.s
	err := s.store.storage.Touch(c.ctx, at.key, s.store.ttl(&next.meta, now))
	if errors.Is(err, storage.ErrNotFound) {
		return storage.ErrConflict // the next attempt loads and finds out why
	}
	if err != nil {
		return c.writeError("touch", at, err)
	}
	s.store.stats.writes.Add(1)
	s.store.stats.touches.Add(1)
	s.publish(next, nil) // the touch does not confirm the values
	c.finishKind(opTouch)
	return nil
}

func (c *commit) writeError(action string, at place, err error) error {
	if isConflict(err) {
		return err
	}
	return c.s.store.storeError(action, at.key, err)
}

// merge applies the batch's changes to the current values. It returns the snapshot to
// store, whose rev is that of the current one, and the keys whose values differ; or nil
// if nothing has to be stored. Ops that cannot be merged are in c.rejected.
func (c *commit) merge(now time.Time) (next *snapshot, keys []string) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.rejected = nil
	values, idle, needed := s.cur.values, time.Duration(0), false
	cookie, client := s.cur.cookie, s.cur.client
	for _, o := range c.batch {
		if o.status != running {
			continue
		}
		switch o.kind {
		case opTouch:
			needed = needed || !s.cur.fresh() && s.store.touchDue(&s.cur.meta, now)
		case opChange:
			merged, err := s.mergeOne(o, values)
			if err != nil {
				c.rejected = append(c.rejected, rejection{o, err})
				s.invalidateOp(o) // now, because later ops may have read what this one was to write
				continue
			}
			values, o.values, needed = merged, merged, true
			idle = max(idle, o.idle)
			cookie = cookie.remembering(o.remember)
			if o.client != (clientInfo{}) {
				client = o.client
			}
		}
	}
	if !needed {
		for _, o := range c.batch { // these touches are not due
			if o.kind == opTouch && o.status == running {
				o.status = done
			}
		}
		return nil, nil
	}
	next = new(snapshot)
	*next = *s.cur
	next.values, next.cookie, next.client = values, cookie, client
	if s.cur.fresh() {
		s.store.setInitialLimits(&next.meta, now)
	}
	s.store.slideLimits(&next.meta, now, idle)
	for _, o := range c.batch {
		for key := range o.ch {
			if !sameValue(s.cur.values, values, key) { // setting the same value again is no event
				keys = append(keys, key)
			}
		}
	}
	if len(c.batch) > 1 {
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	return next, keys
}

// mergeOne applies one op's changes to onto. The caller holds s.mu.
func (s *state) mergeOne(o *op, onto map[string]any) (map[string]any, error) {
	if o.tx != nil && s.isInvalidated(o.tx) {
		return nil, errRerun
	}
	return o.ch.mergeOnto(onto, s.store.Config.Limits.MaxKeys)
}

type rejection struct {
	o   *op
	err error
}

// mustConfirm reports whether ops are about to fail because of what the session
// contains, although its content is not confirmed and may have changed.
func (c *commit) mustConfirm() bool {
	cur, _ := c.s.current()
	return !c.confirmed && !cur.fresh() &&
		slices.ContainsFunc(c.rejected, func(f rejection) bool { return f.err != errRerun })
}

// loadAndRetry loads the session and runs the attempt again.
func (c *commit) loadAndRetry() error {
	if err := c.load(); err != nil {
		return err
	}
	return c.attempt()
}

// finishRejected completes the ops that could not be merged with their errors.
func (c *commit) finishRejected() {
	for _, f := range c.rejected {
		c.finish(f.o, f.err)
	}
	c.rejected = nil
}

// rejectUnencodable handles a batch that cannot be encoded: it encodes the changes op by
// op, fails those that cause the error, and attempts the rest again.
func (c *commit) rejectUnencodable(at place, all error) error {
	base, _ := c.s.current()
	if !c.confirmed && !base.fresh() {
		return c.loadAndRetry() // the stored session may be smaller by now
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
			_, err = c.s.store.layout.encode(at, &base.meta, merged)
		}
		if err != nil {
			found = true
			c.finish(o, err)
			continue
		}
		values = merged
	}
	if !found { // the stored session itself exceeds a limit that was lowered
		for _, o := range c.batch {
			if o.kind == opChange || o.kind == opTouch {
				c.finish(o, all)
			}
		}
		return nil
	}
	return c.attempt()
}
