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

// lockOf returns the lock of key.
func (s *local) lockOf(key string) []ctxLock {
	i := maphash.String(s.seed, key) % stripeCount
	return s.locks[i : i+1]
}

// call is one visit to the backend. The caller may abandon it at any moment; phase
// then decides, without a race, whether a write had started.
type call struct {
	s           *local
	ctx         context.Context
	phase       atomic.Uint32
	generations *generations // nil until name is called
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

// do runs fn, which calls the backend, while holding locks. If ctx ends first, do
// returns without waiting for fn; the locks are released when fn ends.
func do[T any](s *local, ctx context.Context, locks []ctxLock, fn func(*call) (T, error)) (T, error) {
	var none T
	if err := s.ready(ctx); err != nil {
		return none, err
	}
	for i, lock := range locks { // in the order of s.locks, so that two calls cannot deadlock
		if err := s.acquire(ctx, lock); err != nil {
			release(locks[:i])
			return none, err
		}
	}
	c := &call{s: s, ctx: ctx}
	if s.nonBlocking {
		return runAndRelease(c, locks, nil, fn)
	}
	if err := s.acquire(ctx, s.slots); err != nil {
		release(locks)
		return none, err
	}
	if ctx.Done() == nil {
		return runAndRelease(c, locks, s.slots, fn)
	}

	type result struct {
		val T
		err error
	}
	done := make(chan result, 1)
	go func() { // ends when the backend answers; shutdown waits for its slot
		var r result
		r.val, r.err = runAndRelease(c, locks, s.slots, fn)
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

func release(locks []ctxLock) {
	for _, lock := range locks {
		<-lock
	}
}

// runAndRelease runs fn, turns a panic into an error, and releases locks and slot.
func runAndRelease[T any](c *call, locks []ctxLock, slots chan struct{}, fn func(*call) (T, error)) (val T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("backend panicked: %v", p)
			if c.phase.Load() == phaseWriting {
				err = unknownOutcome(err)
			} else {
				err = unavailable(err)
			}
		}
		release(locks)
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
func (c *call) peek(key string) ([]byte, error) {
	name, err := c.name(key)
	if err != nil {
		return nil, err
	}
	return c.read(name)
}

// store passes val to the backend, which may keep key and val.
func (c *call) store(key string, val []byte, ttl time.Duration) error {
	name, err := c.name(key)
	if err != nil {
		return err
	}
	return c.write(name, val, ttl)
}

// read, write and remove are the calls of the backend. They take the name under which
// the backend keeps a key.

func (c *call) read(name string) (val []byte, err error) {
	if lent := c.s.lent; lent != nil {
		lent.RLock()
		defer lent.RUnlock()
	}
	if c.s.ctx != nil {
		val, err = c.s.ctx.GetWithContext(c.ctx, name)
	} else {
		val, err = c.s.basic.Get(name)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if len(val) == 0 {
		return nil, nil
	}
	if c.s.lent != nil {
		val = clone(val)
	}
	return val, nil
}

func (c *call) write(name string, val []byte, ttl time.Duration) (err error) {
	if !c.startWrite() {
		return ErrUnavailable // not read: the caller has returned
	}
	if lent := c.s.lent; lent != nil {
		lent.Lock()
		defer lent.Unlock()
	}
	ttl = roundUp(ttl)
	if c.s.ctx != nil {
		err = c.s.ctx.SetWithContext(c.ctx, name, val, ttl)
	} else {
		err = c.s.basic.Set(name, val, ttl)
	}
	return unknownOutcome(err)
}

func (c *call) remove(name string) (err error) {
	if !c.startWrite() {
		return ErrUnavailable // not read: the caller has returned
	}
	if lent := c.s.lent; lent != nil {
		lent.Lock()
		defer lent.Unlock()
	}
	if c.s.ctx != nil {
		err = c.s.ctx.DeleteWithContext(c.ctx, name)
	} else {
		err = c.s.basic.Delete(name)
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
func (c *call) delete(key string) error {
	defer c.gapOnPanic(key)
	name, err := c.name(key)
	if err == nil {
		err = c.remove(name)
	}
	if err != nil {
		c.gap(key)
		return err
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
