package storage

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"
)

const (
	// stripeCount is the number of locks that all keys share (lock striping), so
	// that no lock is allocated or kept per key.
	stripeCount = 64
	// maxBackendCalls bounds the goroutines that a hanging backend can occupy.
	maxBackendCalls = 256
)

// ctxLock is a lock that can be waited for with a context. A token in the channel
// means locked.
type ctxLock chan struct{}

func (s *local) lockOf(key string) ctxLock {
	return s.locks[maphash.String(s.seed, key)%stripeCount]
}

// call is one visit to the backend. The caller may abandon it at any moment; phase
// then decides, without a race, whether a write had started.
type call struct {
	s     *local
	ctx   context.Context
	phase atomic.Uint32
}

const (
	phaseReading   uint32 = iota // no write has started
	phaseWriting                 // a write was passed to the backend
	phaseAbandoned               // the caller has returned: no write may start
)

// startWrite must be called before the first write. It returns false if the caller
// has abandoned the call.
func (c *call) startWrite() bool { return c.phase.CompareAndSwap(phaseReading, phaseWriting) }

// abandon gives the call up, and returns the error for what is known of it.
func (c *call) abandon() error {
	if c.phase.CompareAndSwap(phaseReading, phaseAbandoned) {
		return unavailable(c.ctx.Err())
	}
	return unknownOutcome(c.ctx.Err())
}

// ready returns the error of a call that must not begin: the storage is closed or
// ctx has ended.
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

// acquire puts a token into a lock or into slots.
func (s *local) acquire(ctx context.Context, tokens chan struct{}) error {
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

// do runs fn, which calls the backend, while holding lock (nil: none). If ctx ends
// first, do returns without waiting for fn, which releases the lock when it ends.
func do[T any](s *local, ctx context.Context, lock ctxLock, fn func(*call) (T, error)) (T, error) {
	var none T
	if err := s.ready(ctx); err != nil {
		return none, err
	}
	if lock != nil {
		if err := s.acquire(ctx, lock); err != nil {
			return none, err
		}
	}
	c := &call{s: s, ctx: ctx}
	if s.nonBlocking {
		return runAndRelease(c, lock, nil, fn)
	}
	if err := s.acquire(ctx, s.slots); err != nil {
		if lock != nil {
			<-lock
		}
		return none, err
	}
	if ctx.Done() == nil {
		return runAndRelease(c, lock, s.slots, fn)
	}

	type result struct {
		val T
		err error
	}
	done := make(chan result, 1)
	go func() { // ends when the backend answers; shutdown waits for its slot
		var r result
		r.val, r.err = runAndRelease(c, lock, s.slots, fn)
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
		return none, c.abandon()
	}
}

// runAndRelease runs fn, turns a panic into an error, and releases lock and slot.
func runAndRelease[T any](c *call, lock ctxLock, slots chan struct{}, fn func(*call) (T, error)) (val T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("backend panicked: %v", p)
			if c.phase.Load() == phaseWriting {
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

// catchPanic runs fn and turns a panic into an error.
func catchPanic(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("storage: backend panicked: %v", p)
		}
	}()
	return fn()
}

// withAllLocks runs fn while no other write runs.
func (s *local) withAllLocks(ctx context.Context, fn func(*call) error) error {
	for i, lock := range s.locks { // always in this order, so that two calls cannot deadlock
		if err := s.acquire(ctx, lock); err != nil {
			for _, held := range s.locks[:i] {
				<-held
			}
			return err
		}
	}
	defer func() {
		for _, held := range s.locks {
			<-held
		}
	}()
	_, err := do(s, ctx, nil, func(c *call) (struct{}, error) { return struct{}{}, fn(c) })
	return err
}

// get returns a private copy of the backend's value, nil if there is none.
func (c *call) get(key string) ([]byte, error) {
	val, err := c.peek(key)
	if err != nil || val == nil {
		return nil, err
	}
	return clone(val), nil
}

// peek returns the backend's value, nil if there is none. It may be the backend's
// own slice: do not change it, and do not use it after releasing the key's lock.
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

// store passes val to the backend, which may keep key and val.
func (c *call) store(key string, val []byte, ttl time.Duration) (err error) {
	if !c.startWrite() {
		return ErrUnavailable // not read: the caller has returned
	}
	if c.s.ctx != nil {
		err = c.s.ctx.SetWithContext(c.ctx, key, val, ttl)
	} else {
		err = c.s.basic.Set(key, val, ttl)
	}
	return unknownOutcome(err)
}

// set is store with a notification to the feed. The caller holds the key's lock, so
// that notifications have the order of the changes.
func (c *call) set(key string, val []byte, ttl time.Duration) (Revision, error) {
	defer c.gapOnPanic(key)
	if err := c.store(key, val, ttl); err != nil {
		c.gap(key)
		return Absent, err
	}
	rev := c.s.revision(val)
	c.s.feed.publish(Change{Kind: Written, Key: key, Item: Item{Value: val, Revision: rev}})
	return rev, nil
}

// delete removes key and notifies the feed.
func (c *call) delete(key string) (err error) {
	defer c.gapOnPanic(key)
	if !c.startWrite() {
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
	c.s.feed.publish(Change{Kind: Removed, Key: key})
	return nil
}

// gap sends a Gap to the feed if a write of key may have happened.
func (c *call) gap(key string) {
	if c.phase.Load() == phaseWriting {
		c.s.feed.publishGap(key)
	}
}

// gapOnPanic is gap for a write that panicked.
func (c *call) gapOnPanic(key string) {
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
