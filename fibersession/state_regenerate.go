package fibersession

import (
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// destroy removes the session. It removes the revision that it knows and not
// whatever is there: that could be the note that the session has another ID now.
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

// renew gives the session a new ID, together with all changes of the batch. The
// new key is written first and the old one turned into a pointer to it second, by
// a swap: a change that another node stores in between is a conflict and is taken
// along. A crash in between leaves the old ID in force; nobody knows the new one.
func (c *commit) regenerate() error {
	s, now := c.s, c.now.Round(0) // the wall clock: all nodes have one
	cur, _ := s.current()
	from, to := s.place(), c.target()
	next, keys := c.merge(now)
	if c.mustConfirm() {
		return c.loadAndRetry()
	}
	if next == nil {
		next = &snapshot{meta: cur.meta, values: cur.values, rev: cur.rev}
		next.revision++
		if !s.store.layout.slides() {
			next.expiry = now.Add(next.idle) // how long it has left is known to the old key alone
		}
	}
	next.epoch++
	if cur.fresh() {
		begun := *cur
		begun.epoch++
		s.publish(&begun, nil)
		s.moveTo(to)
		c.finishKind(opRegenerate)
		return c.attempt() // the changes, if any, are stored under the new key
	}

	data, err := s.store.layout.seal(to, next.meta, next.values)
	if err != nil {
		if c.has(opChange) {
			return c.rejectUnencodable(from, err)
		}
		return err
	}
	c.finishRejected()
	c.newPlace = to
	again, err := c.enlist(to, cur, next, now)
	if err != nil {
		return err
	}
	next.rev, err = s.store.storage.CompareAndSwap(c.ctx, to.key, c.newRev, data, s.store.ttl(next.meta, now))
	switch {
	case isConflict(err) && c.newRev == storage.Absent:
		c.newPlace = place{} // somebody else's
		return errIDInUse
	case err != nil:
		c.discardNewKey()
		return storeError("renew", to.key, err)
	}
	c.newRev = next.rev
	if err = c.forwardOldKey(from, to, cur, now); err != nil {
		if !errors.Is(err, storage.ErrUnknownOutcome) { // else the old key may point to the new one
			c.keepOrDiscardNewKey(from, err)
		}
		return err
	}
	s.store.stats.writes.Add(2)
	s.moveTo(to)
	c.publishWrite(next, keys)
	c.listed(from, to, cur, next, again, now)
	c.finishKind(opRegenerate)
	c.finishKind(opReload)
	return nil
}

// rethink decides, when the old key could not be left, whether the new one is
// still of use: after a conflict it is, unless the session is gone or elsewhere.
func (c *commit) keepOrDiscardNewKey(from place, err error) {
	if isConflict(err) && c.load() == nil {
		if _, ended := c.s.current(); ended == nil && c.s.place().key == from.key {
			return
		}
	}
	c.discardNewKey()
}

// destination is the new place that the batch asks for. Several who ask at once
// get the same one.
func (c *commit) target() place {
	for _, o := range c.batch {
		if o.kind == opRegenerate && o.status == running {
			return o.to
		}
	}
	panic(fmt.Sprintf("fibersession: no new place among %d ops", len(c.batch)))
}

// leave makes the old key point to the new one, for as long as any node may
// believe that the session is there.
func (c *commit) forwardOldKey(from, to place, cur *snapshot, now time.Time) error {
	s := c.s
	note := s.store.layout.forward(from, to, cur.meta)
	var err error
	if note == nil {
		err = s.store.storage.CompareAndDelete(c.ctx, from.key, cur.rev)
		if errors.Is(err, storage.ErrNotFound) {
			err = storage.ErrConflict // load and see why
		}
	} else {
		_, err = s.store.storage.CompareAndSwap(c.ctx, from.key, cur.rev, note, s.store.ttl(cur.meta, now)+s.store.cfg.Timeouts.TouchInterval)
	}
	if err != nil {
		return c.writeError("renew", from, err)
	}
	return nil
}

// abandon removes a new key that nobody will learn of. If it fails, the key
// expires: its ID was never given out.
func (c *commit) discardNewKey() {
	if c.newPlace.key != "" {
		_ = c.s.store.storage.CompareAndDelete(c.ctx, c.newPlace.key, storage.Any)
	}
	c.newRev, c.newPlace = storage.Absent, place{}
}
