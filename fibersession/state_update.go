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

// Tx is what a function given to Update works on: the newest revision of the
// session, and its changes to it. It is for that function's goroutine and ends
// with its call: reads then give nothing and changes go nowhere.
type Tx struct {
	values      map[string]any
	ch          changes
	reads       map[string]struct{}
	readAllKeys bool   // Keys was read
	seq         uint64 // when the values were taken
	goroutine   uint64 // the goroutine
	closed      bool
	device      device // of a login
}

// Get returns the value of key, or nil.
func (tx *Tx) Get(key string) any {
	if tx.closed {
		return nil
	}
	if c, ok := tx.ch[key]; ok {
		if c.kind == changeDelete {
			return nil
		}
		return codec.CopyOut(c.value)
	}
	if tx.reads == nil {
		tx.reads = make(map[string]struct{})
	}
	tx.reads[key] = struct{}{}
	return codec.CopyOut(tx.values[key])
}

// Set gives key a value.
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

// Keys returns the keys in order.
func (tx *Tx) Keys() []string {
	if tx.closed {
		return nil
	}
	tx.readAllKeys = true
	return keysOf(tx.values, tx.ch)
}

// updates is what a state knows of the Updates that run on it. They run with
// nothing locked, on the newest revision and what is queued to follow it. When
// such a function is done, its changes queue up, unless a key that it read has
// changed since; then it runs again at once, without asking the store.
type updates struct {
	committing  []*op          // the round at work
	projected   map[string]any // cur with underway and queue applied; nil: not computed
	running     map[uint64]int // Updates by goroutine
	seq         uint64
	changed     map[string]uint64 // when a key last changed, by a queued op or otherwise
	invalidated map[string]uint64 // when a key last changed other than by the queue's order
}

// update runs fn until its changes are stored. It returns them.
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
	defer s.endUpdate(tx.goroutine)
	err = tx.run(fn)
	if err == nil && len(tx.ch) > 0 {
		ch, err := prepare(tx.ch)
		if err != nil {
			return nil, err
		}
		return ch, s.do(ctx, &op{kind: opChange, ch: ch, tx: tx, device: tx.device, waitingSince: since})
	}
	// Nothing to store tells whether what it read was the newest. So ask.
	if confirm := s.do(ctx, &op{kind: opReload, waitingSince: since}); confirm != nil {
		return nil, confirm
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forward.Load() != nil || tx.readBefore(s.changed) {
		return nil, errRerun
	}
	return nil, err
}

func (tx *Tx) run(fn func(*Tx) error) error {
	defer func() { tx.closed = true }()
	return fn(tx)
}

// enter registers an Update of this goroutine and takes what it works on.
func (s *state) beginUpdate() (*Tx, error) {
	id := goroutineID()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return nil, s.ended
	case s.running[id] > 0:
		return nil, ErrNested
	}
	if s.running == nil {
		s.running = make(map[uint64]int)
	}
	s.running[id]++
	if s.projected == nil {
		s.projected = s.project()
	}
	return &Tx{values: s.projected, seq: s.seq, goroutine: id}, nil
}

func (s *state) endUpdate(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id]--; s.running[id] == 0 {
		delete(s.running, id)
	}
	if len(s.running) == 0 {
		s.changed, s.invalidated = nil, nil
	}
}

// newest returns the values with all that is under way applied.
func (s *state) project() map[string]any {
	values := s.cur.values
	for _, o := range slices.Concat(s.committing, s.pending) {
		if o.kind != opChange || o.status == done {
			continue
		}
		if merged, err := o.ch.mergeOnto(values, s.store.cfg.Limits.MaxKeys); err == nil {
			values = merged
		}
	}
	return values
}

// admitChange says whether changes may queue. It is called with the state locked.
func (s *state) admitChange(o *op) error {
	switch {
	case o.tx == nil:
		if len(s.running) > 0 && s.running[goroutineID()] > 0 {
			return ErrNested
		}
	case o.tx.readBefore(s.changed):
		return errRerun
	}
	s.projected = nil
	if len(s.running) > 0 {
		s.seq++
		for key := range o.ch {
			mark(&s.changed, key, s.seq)
		}
		if o.tx != nil {
			o.tx.seq = s.seq
		}
	}
	return nil
}

// disturb says that keys changed in a way that who queued did not foresee. It is
// called with the state locked.
func (s *state) invalidate(keys []string) {
	s.projected = nil
	if len(s.running) == 0 || len(keys) == 0 {
		return
	}
	s.seq++
	for _, key := range keys {
		mark(&s.changed, key, s.seq)
		mark(&s.invalidated, key, s.seq)
	}
}

// disturbBy says that an op's changes will not happen. It is called with the
// state locked.
func (s *state) invalidateOp(o *op) {
	if o.kind == opChange {
		s.invalidate(slices.Collect(maps.Keys(o.ch)))
	}
}

func mark(m *map[string]uint64, key string, seq uint64) {
	if *m == nil {
		*m = make(map[string]uint64)
	}
	(*m)[key] = seq
}

// disturbed says whether queued changes rest on what is not so any more.
func (s *state) isInvalidated(tx *Tx) bool { return tx.readBefore(s.invalidated) }

// overtaken says whether a key that tx read is marked later than tx.
func (tx *Tx) readBefore(marks map[string]uint64) bool {
	if tx.readAllKeys {
		for _, seq := range marks {
			if seq > tx.seq {
				return true
			}
		}
		return false
	}
	for key := range tx.reads {
		if marks[key] > tx.seq {
			return true
		}
	}
	return false
}
