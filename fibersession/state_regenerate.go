package fibersession

import (
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// destroy removes the session. It removes the revision that it knows and not
// whatever is there: that could be the note that the session has another ID now.
func (r *round) destroy() error {
	s := r.s
	cur, _ := s.look()
	at := s.place()
	if !cur.fresh() {
		err := s.store.storage.CompareAndDelete(r.ctx, at.key, cur.rev)
		switch {
		case err == nil:
			s.store.stats.writes.Add(1)
		case errors.Is(err, storage.ErrNotFound):
		default:
			return r.writeError("destroy", at, err)
		}
	}
	s.end(ErrDestroyed)
	r.finish(opDestroy)
	r.fail(ErrDestroyed)
	return nil
}

// renew gives the session a new ID, together with all changes of the batch. The
// new key is written first and the old one turned into a pointer to it second, by
// a swap: a change that another node stores in between is a conflict and is taken
// along. A crash in between leaves the old ID in force; nobody knows the new one.
func (r *round) renew() error {
	s, now := r.s, r.now.Round(0) // the wall clock: all nodes have one
	cur, _ := s.look()
	from, to := s.place(), r.destination()
	next, keys := r.merge(now)
	if r.doubtful() {
		return r.again()
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
		r.finish(opRenew)
		return r.step() // the changes, if any, are stored under the new key
	}

	data, err := s.store.layout.seal(to, next.meta, next.values)
	if err != nil {
		if r.wants(opChange) {
			return r.blame(from, err)
		}
		return err
	}
	r.refuse()
	r.to = to
	again, err := r.enlist(to, cur, next, now)
	if err != nil {
		return err
	}
	next.rev, err = s.store.storage.CompareAndSwap(r.ctx, to.key, r.renewed, data, s.store.ttl(next.meta, now))
	switch {
	case conflict(err) && r.renewed == storage.Absent:
		r.to = place{} // somebody else's
		return errIDInUse
	case err != nil:
		r.abandon()
		return storeError("renew", to.key, err)
	}
	r.renewed = next.rev
	if err = r.leave(from, to, cur, now); err != nil {
		if !errors.Is(err, storage.ErrUnknownOutcome) { // else the old key may point to the new one
			r.rethink(from, err)
		}
		return err
	}
	s.store.stats.writes.Add(2)
	s.moveTo(to)
	r.stored(next, keys)
	r.listed(from, to, cur, next, again, now)
	r.finish(opRenew)
	r.finish(opReload)
	return nil
}

// rethink decides, when the old key could not be left, whether the new one is
// still of use: after a conflict it is, unless the session is gone or elsewhere.
func (r *round) rethink(from place, err error) {
	if conflict(err) && r.load() == nil {
		if _, ended := r.s.look(); ended == nil && r.s.place().key == from.key {
			return
		}
	}
	r.abandon()
}

// destination is the new place that the batch asks for. Several who ask at once
// get the same one.
func (r *round) destination() place {
	for _, o := range r.batch {
		if o.kind == opRenew && o.status == running {
			return o.to
		}
	}
	panic(fmt.Sprintf("fibersession: no new place among %d ops", len(r.batch)))
}

// leave makes the old key point to the new one, for as long as any node may
// believe that the session is there.
func (r *round) leave(from, to place, cur *snapshot, now time.Time) error {
	s := r.s
	note := s.store.layout.forward(from, to, cur.meta)
	var err error
	if note == nil {
		err = s.store.storage.CompareAndDelete(r.ctx, from.key, cur.rev)
		if errors.Is(err, storage.ErrNotFound) {
			err = storage.ErrConflict // load and see why
		}
	} else {
		_, err = s.store.storage.CompareAndSwap(r.ctx, from.key, cur.rev, note, s.store.ttl(cur.meta, now)+s.store.cfg.Timeouts.TouchInterval)
	}
	if err != nil {
		return r.writeError("renew", from, err)
	}
	return nil
}

// abandon removes a new key that nobody will learn of. If it fails, the key
// expires: its ID was never given out.
func (r *round) abandon() {
	if r.to.key != "" {
		_ = r.s.store.storage.CompareAndDelete(r.ctx, r.to.key, storage.Any)
	}
	r.renewed, r.to = storage.Absent, place{}
}
