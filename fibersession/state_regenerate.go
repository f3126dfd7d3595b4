// The commit of a new session ID: the session moves to another key of the store.

package fibersession

import (
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// regenerate changes the session's ID and stores all changes of the batch. It first
// writes the new key, then replaces the value of the old key by a forward to the new
// one, with a compare-and-swap. If another node stores a change in between, that swap
// fails, and the retry merges the change. After a crash in between, the old ID stays
// valid; the new one was never given to a client.
func (c *commit) regenerate() error {
	s, now := c.s, c.now.Round(0) // wall clock only: all nodes compare these times
	cur, _ := s.current()
	from, to := s.place(), c.target()
	next, keys := c.merge(now)
	if c.mustConfirm() {
		return c.loadAndRetry()
	}
	if next == nil {
		next = &snapshot{meta: cur.meta, values: cur.values, rev: cur.rev}
		next.revision++
		if !s.store.layout.carriesExpiry() {
			next.expiry = now.Add(next.idle) // only the old key's TTL says how long the session has left
		}
	}
	next.epoch++
	note, noteTTL := c.noteOf(from, to, next, now)
	if cur.fresh() {
		unsaved := *cur
		unsaved.epoch++
		s.publish(&unsaved, nil)
		s.moveTo(to)
		c.finishKind(opRegenerate)
		return c.attempt() // stores the changes, if any, under the new key
	}

	data, err := s.store.layout.encode(to, &next.meta, next.values)
	if err != nil {
		if c.has(opChange) {
			return c.rejectUnencodable(from, err)
		}
		return err
	}
	c.finishRejected()
	c.newPlace = to
	added, err := c.indexBeforeWrite(to, cur, next, now)
	if err != nil {
		return err
	}
	next.rev, err = s.store.storage.CompareAndSwap(c.ctx, to.key, c.newRev, data, s.store.ttl(&next.meta, now))
	switch {
	case isConflict(err) && c.newRev == storage.Absent:
		c.newPlace = place{} // the key belongs to another session: do not delete it
		return errIDInUse
	case err != nil:
		return c.s.store.storeError("regenerate", to.key, err)
	}
	c.newRev = next.rev
	if err = c.forwardOldKey(from, cur, note, noteTTL); err != nil {
		if errors.Is(err, storage.ErrUnknownOutcome) {
			c.newPlace = place{} // the old key may already point to it
		} else {
			c.keepOrDiscardNewKey(from, err)
		}
		return err
	}
	c.newRev, c.newPlace = storage.Absent, place{}
	s.store.stats.writes.Add(2)
	s.moveTo(to)
	c.publishWrite(next, keys)
	c.indexAfterWrite(from, to, cur, next, added, now)
	c.finishKind(opRegenerate)
	c.finishKind(opReload)
	return nil
}

// keepOrDiscardNewKey decides what happens to the new key when the old key could not be
// replaced. After a conflict the retry uses it, unless the session has ended or moved.
func (c *commit) keepOrDiscardNewKey(from place, err error) {
	if isConflict(err) && c.load() == nil {
		if _, ended := c.s.current(); ended == nil && c.s.place().key == from.key {
			return
		}
	}
	c.discardNewKey()
}

// target returns the new ID's place. All callers that regenerate in one batch get the
// same new ID: the first op's.
func (c *commit) target() place {
	for _, o := range c.batch {
		if o.kind == opRegenerate && o.status == running {
			return o.to
		}
	}
	panic(fmt.Sprintf("fibersession: no new place among %d ops", len(c.batch)))
}

// noteOf returns the note that leads from the old key to the new one, and its TTL: it lives
// as long as any node may believe that the session exists. noteOf adds the note to those of
// the session. The note is nil in layouts without notes.
func (c *commit) noteOf(from, to place, next *snapshot, now time.Time) (note []byte, ttl time.Duration) {
	s := c.s
	cur, _ := s.current()
	if cur.fresh() {
		return nil, 0
	}
	ttl = s.store.ttl(&cur.meta, now) + s.store.Config.Timeouts.TouchInterval
	m := cur.meta
	list, carried := m.notes.add(from.owner, now.Add(ttl), now)
	m.notes = carried
	if note = s.store.layout.encodeMoved(from, to, &m); note != nil {
		next.notes = list
	}
	return note, ttl
}

// forwardOldKey replaces the old key's value by a note, or deletes it if there is none.
func (c *commit) forwardOldKey(from place, cur *snapshot, note []byte, ttl time.Duration) error {
	s := c.s
	var err error
	if note == nil {
		err = s.store.storage.CompareAndDelete(c.ctx, from.key, cur.rev)
		if errors.Is(err, storage.ErrNotFound) {
			err = storage.ErrConflict // the next attempt loads and finds out why
		}
	} else {
		_, err = s.store.storage.CompareAndSwap(c.ctx, from.key, cur.rev, note, ttl)
	}
	if err != nil {
		return c.writeError("regenerate", from, err)
	}
	return nil
}

// discardNewKey deletes a new key that was never given to a client and to which no value
// points. If that fails, its TTL removes it.
func (c *commit) discardNewKey() {
	if c.newPlace.key != "" {
		_ = c.s.store.storage.CompareAndDelete(c.ctx, c.newPlace.key, storage.Any)
	}
	c.newRev, c.newPlace = storage.Absent, place{}
}
