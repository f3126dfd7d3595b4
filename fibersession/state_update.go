// Optimistic transactions: Update runs a function on the newest values and runs it again
// if a value that it read has changed.

package fibersession

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// Tx is the view of a session inside an Update: the newest values and the function's own
// changes. It may be used only by the goroutine that runs the function, and only until
// the function returns. After that, reads return zero values and writes are ignored.
type Tx struct {
	values      map[string]any
	ch          changes
	reads       map[string]struct{}
	readAllKeys bool       // Keys was called
	seq         uint64     // the state's seq when values was captured
	goroutine   uint64     // the ID of the goroutine that runs the function
	closed      bool       // the function has returned; state.mu guards the write
	client      clientInfo // the browser that logs in; zero for other updates
	next        *Tx        // in updates.running
}

// Get returns a copy of the value of key, with tx's own changes applied. It returns nil if
// there is none, or if this build cannot decode it (see Store.RegisterType).
func (tx *Tx) Get(key string) any {
	v, _ := tx.lookup(key)
	return codec.CopyOut(v)
}

// lookup is Get without the copy. It returns a *codec.Stored for a value that gob encoded, and
// never an error.
func (tx *Tx) lookup(key string) (any, error) {
	if tx.closed {
		return nil, nil
	}
	if c, ok := tx.ch[key]; ok {
		if c.kind == changeDelete {
			return nil, nil
		}
		return c.value, nil
	}
	if tx.reads == nil {
		tx.reads = make(map[string]struct{})
	}
	tx.reads[key] = struct{}{}
	return tx.values[key], nil
}

// Set sets key to a copy of v.
func (tx *Tx) Set(key string, v any) { tx.change(key, change{kind: changeSet, value: codec.CopyIn(v)}) }

// Delete removes key.
func (tx *Tx) Delete(key string) { tx.change(key, change{kind: changeDelete}) }

func (tx *Tx) change(key string, c change) {
	if tx.closed {
		return
	}
	if tx.ch == nil {
		tx.ch = make(changes)
	}
	tx.ch[strings.Clone(key)] = c
}

// Keys returns the keys in ascending order, with tx's own changes applied, and including keys
// whose values this build cannot decode.
func (tx *Tx) Keys() []string {
	if tx.closed {
		return nil
	}
	tx.readAllKeys = true
	return keysOf(tx.values, tx.ch)
}

// updates tracks the Updates that run on a state. No lock is held while their functions
// run. A function sees the newest revision with the pending changes applied. When it
// returns, its changes are queued, unless a key that it read has changed since. In that
// case it runs again at once, without a call of the store.
type updates struct {
	committing  []*op          // the batch of the running commit
	projected   map[string]any // values of cur with committing and pending applied; nil: not computed
	running     *Tx            // list of the Updates that have no result yet
	seq         uint64
	changed     map[string]uint64 // seq of each key's latest change, queued or published
	invalidated map[string]uint64 // seq of each key's latest change that queued ops did not expect
}

// update runs fn until its changes are stored, and returns the changes.
func (s *state) update(ctx context.Context, since time.Time, fn func(*Tx) error, prepare func(changes) (changes, error)) (changes, error) {
	for {
		ch, err := s.resolve().updateOnce(ctx, since, fn, prepare)
		if !errors.Is(err, errRerun) {
			return ch, err
		}
		if ctx.Err() != nil {
			return nil, canceledError(ctx)
		}
		s.store.stats.reruns.Add(1)
	}
}

func (s *state) updateOnce(ctx context.Context, since time.Time, fn func(*Tx) error, prepare func(changes) (changes, error)) (changes, error) {
	tx, err := s.beginUpdate()
	if err != nil {
		return nil, err
	}
	defer s.endUpdate(tx)
	err = s.run(tx, fn)
	if err == nil && len(tx.ch) > 0 {
		ch, err := prepare(tx.ch)
		if err != nil {
			return nil, err
		}
		return ch, s.do(ctx, &op{kind: opChange, ch: ch, tx: tx, client: tx.client, queuedSince: since})
	}
	// Without a write, no compare-and-swap confirms what fn read. A load does.
	if confirm := s.do(ctx, &op{kind: opReload, queuedSince: since}); confirm != nil {
		return nil, confirm
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forward.Load() != nil || tx.readBefore(s.changed) {
		return nil, errRerun
	}
	return nil, err
}

// run calls fn. Meanwhile the calling goroutine counts as being inside the Update.
func (s *state) run(tx *Tx, fn func(*Tx) error) error {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		tx.closed = true
	}()
	return fn(tx)
}

// beginUpdate registers an Update of this goroutine and captures the values it sees.
func (s *state) beginUpdate() (*Tx, error) {
	goroutine := goroutineID() // outside of the lock: it takes 8 µs and more
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return nil, s.ended
	case s.runsOn(goroutine):
		return nil, ErrNested
	}
	if s.projected == nil {
		s.projected = s.project()
	}
	s.running = &Tx{values: s.projected, seq: s.seq, goroutine: goroutine, next: s.running}
	return s.running, nil
}

func (s *state) endUpdate(tx *Tx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := &s.running; *p != nil; p = &(*p).next {
		if *p == tx {
			*p = tx.next
			break
		}
	}
	if s.running == nil {
		s.changed, s.invalidated = nil, nil
	}
}

// project returns the current values with all unfinished changes applied.
func (s *state) project() map[string]any {
	values := s.cur.values
	for _, o := range slices.Concat(s.committing, s.pending) {
		if o.kind != opChange || o.status == done {
			continue
		}
		if merged, err := o.ch.mergeOnto(values, s.store.Config.Limits.MaxKeys); err == nil {
			values = merged
		}
	}
	return values
}

// admitChange returns nil if changes may join the queue. The caller holds s.mu.
func (s *state) admitChange(o *op) error {
	switch {
	case o.tx == nil:
		if s.runsHere() {
			return ErrNested
		}
	case o.tx.readBefore(s.changed):
		return errRerun
	}
	s.projected = nil
	if s.running != nil {
		s.seq++
		for key := range o.ch {
			setSeq(&s.changed, key, s.seq)
		}
		if o.tx != nil {
			o.tx.seq = s.seq
		}
	}
	return nil
}

// invalidate records that keys changed in a way that the queued ops did not expect. The
// caller holds s.mu.
func (s *state) invalidate(keys []string) {
	s.projected = nil
	if s.running == nil || len(keys) == 0 {
		return
	}
	s.seq++
	for _, key := range keys {
		setSeq(&s.changed, key, s.seq)
		setSeq(&s.invalidated, key, s.seq)
	}
}

// invalidateOp records that an op's changes will not happen. The caller holds s.mu.
func (s *state) invalidateOp(o *op) {
	if o.kind == opChange {
		s.invalidate(slices.Collect(maps.Keys(o.ch)))
	}
}

func setSeq(m *map[string]uint64, key string, seq uint64) {
	if *m == nil {
		*m = make(map[string]uint64)
	}
	(*m)[key] = seq
}

// isInvalidated reports whether queued changes were computed from outdated values.
func (s *state) isInvalidated(tx *Tx) bool { return tx.readBefore(s.invalidated) }

// readBefore reports whether tx read a key that was marked after tx began.
func (tx *Tx) readBefore(seqs map[string]uint64) bool {
	if tx.readAllKeys {
		for _, seq := range seqs {
			if seq > tx.seq {
				return true
			}
		}
		return false
	}
	for key := range tx.reads {
		if seqs[key] > tx.seq {
			return true
		}
	}
	return false
}
