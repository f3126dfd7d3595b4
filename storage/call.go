package storage

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	// stripes is the number of locks that all keys share, so that no lock is made
	// or kept per key.
	stripes = 64
	// maxInBackend bounds the goroutines that a backend which hangs can hold.
	maxInBackend = 256
)

// stripe is a lock that can be waited for with a context: who puts a token in has it.
type stripe chan struct{}

func (s *local) stripe(key string) stripe {
	return s.stripes[maphash.String(s.seed, key)%stripes]
}

// call is one visit to the backend. Its caller may give it up at any moment; the
// phase then tells, without a gap, whether a write had begun.
type call struct {
	s     *local
	ctx   context.Context
	phase atomic.Uint32
}

const (
	reading uint32 = iota // nothing was written yet
	writing               // the backend was asked to write
	left                  // the caller has gone: nothing may be written any more
)

// begin is called before the first write. It is false when the caller has gone.
func (c *call) begin() bool { return c.phase.CompareAndSwap(reading, writing) }

// leave gives the call up and says what is then known of it.
func (c *call) leave() error {
	if c.phase.CompareAndSwap(reading, left) {
		return unavailable(c.ctx.Err())
	}
	return unknownOutcome(c.ctx.Err())
}

// ready reports whether a call may begin at all.
func (s *local) ready(ctx context.Context) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	return nil
}

// take puts a token into a lock or the slots, or returns why it could not.
func (s *local) take(ctx context.Context, tokens chan struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	default:
	}
	select {
	case tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-s.closed:
		return ErrClosed
	}
}

// do runs fn, which calls the backend, under lock (nil: none). When ctx ends
// first, it returns without fn, which goes on and gives the lock back at its end.
func do[T any](s *local, ctx context.Context, lock stripe, fn func(*call) (T, error)) (T, error) {
	var none T
	if err := s.ready(ctx); err != nil {
		return none, err
	}
	if lock != nil {
		if err := s.take(ctx, lock); err != nil {
			return none, err
		}
	}
	c := &call{s: s, ctx: ctx}
	if s.prompt {
		return finish(c, lock, nil, fn)
	}
	if err := s.take(ctx, s.slots); err != nil {
		if lock != nil {
			<-lock
		}
		return none, err
	}
	if ctx.Done() == nil {
		return finish(c, lock, s.slots, fn)
	}

	type result struct {
		val T
		err error
	}
	done := make(chan result, 1)
	go func() { // ends when the backend answers; shut waits for its slot
		var r result
		r.val, r.err = finish(c, lock, s.slots, fn)
		done <- r
	}()
	select {
	case r := <-done:
		return r.val, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.val, r.err
	default:
		return none, c.leave()
	}
}

// finish runs fn, turns its panic into an error, and gives back what the call holds.
func finish[T any](c *call, lock stripe, slots chan struct{}, fn func(*call) (T, error)) (val T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("backend panicked: %v", p)
			if c.phase.Load() == writing {
				err = unknownOutcome(err)
			} else {
				err = unavailable(err)
			}
		}
		if lock != nil {
			<-lock
		}
		if slots != nil {
			<-slots
		}
	}()
	return fn(c)
}

// contain runs fn and turns its panic into an error.
func contain(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage: backend panicked: %v", p)
		}
	}()
	return fn()
}

// exclusively runs fn while no other write runs.
func (s *local) exclusively(ctx context.Context, fn func(*call) error) error {
	for i, lock := range s.stripes { // always in this order, so that two of these cannot wait for each other
		if err := s.take(ctx, lock); err != nil {
			for _, taken := range s.stripes[:i] {
				<-taken
			}
			return err
		}
	}
	defer func() {
		for _, taken := range s.stripes {
			<-taken
		}
	}()
	_, err := do(s, ctx, nil, func(c *call) (struct{}, error) { return struct{}{}, fn(c) })
	return err
}

// get returns a private copy of what the backend has.
func (c *call) get(key string) ([]byte, error) {
	val, err := c.peek(key)
	if err != nil || val == nil {
		return nil, err
	}
	return clone(val), nil
}

// peek returns what the backend has, nil if nothing. It may be the backend's own
// slice: to look at only, and not for longer than the key's lock is held.
func (c *call) peek(key string) (val []byte, err error) {
	if c.s.ctx != nil {
		val, err = c.s.ctx.GetWithContext(c.ctx, key)
	} else {
		val, err = c.s.basic.Get(key)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if len(val) == 0 {
		return nil, nil
	}
	return val, nil
}

// store gives val to the backend, which may keep key and val themselves.
func (c *call) store(key string, val []byte, ttl time.Duration) (err error) {
	if !c.begin() {
		return ErrUnavailable // nobody reads it: the caller has gone
	}
	if c.s.ctx != nil {
		err = c.s.ctx.SetWithContext(c.ctx, key, val, ttl)
	} else {
		err = c.s.basic.Set(key, val, ttl)
	}
	return unknownOutcome(err)
}

// set is store, told to the feed. The caller holds the key's lock, so that the
// feed's order is the order of changes.
func (c *call) set(key string, val []byte, ttl time.Duration) (Revision, error) {
	defer c.tellOfPanic(key)
	if err := c.store(key, val, ttl); err != nil {
		c.gap(key)
		return Absent, err
	}
	rev := c.s.revision(val)
	c.s.hub.tell(Change{Kind: Written, Key: key, Item: Item{Value: val, Revision: rev}})
	return rev, nil
}

// delete removes key and tells the feed.
func (c *call) delete(key string) (err error) {
	defer c.tellOfPanic(key)
	if !c.begin() {
		return ErrUnavailable
	}
	if c.s.ctx != nil {
		err = c.s.ctx.DeleteWithContext(c.ctx, key)
	} else {
		err = c.s.basic.Delete(key)
	}
	if err != nil {
		c.gap(key)
		return unknownOutcome(err)
	}
	c.s.hub.tell(Change{Kind: Removed, Key: key})
	return nil
}

// gap tells the feed of a write that may have happened.
func (c *call) gap(key string) {
	if c.phase.Load() == writing {
		c.s.hub.gap(key)
	}
}

// tellOfPanic tells the feed of a write that ended in a panic.
func (c *call) tellOfPanic(key string) {
	if p := recover(); p != nil {
		c.gap(key)
		panic(p)
	}
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func unknownOutcome(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}
