package faulty

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Call is a call of one of a Storage's methods.
type Call struct {
	// N is the number of the call on its Storage, from 1.
	N int
	// Method is the method's name: "Load", "CompareAndSwap", "Get", "AddMember"…
	Method string
	// Key is the key or set; empty for Reset.
	Key string
}

// Fault is the way in which a call fails. The zero Fault lets it succeed.
type Fault struct {
	// Delay is a wait before the call is executed.
	Delay time.Duration
	// Fail is returned with storage.ErrUnavailable. The call is not executed.
	Fail error
	// Lose executes the call and loses its answer: a write returns
	// storage.ErrUnknownOutcome and this error, a read storage.ErrUnavailable and
	// this error.
	Lose error
	// Hang blocks the call until its context ends or the Storage is closed, like a
	// server that has stopped answering. The call is executed only if Lose is set.
	// Either way, a write returns storage.ErrUnknownOutcome.
	Hang bool
}

// Plan chooses the fault of each call. It must be safe for concurrent use.
type Plan func(Call) Fault

// OnCall returns a plan with a fault on the nth call only.
func OnCall(n int, f Fault) Plan {
	return func(c Call) Fault {
		if c.N == n {
			return f
		}
		return Fault{}
	}
}

// OnMethod returns a plan with a fault on every call of one method.
func OnMethod(method string, f Fault) Plan {
	return func(c Call) Fault {
		if c.Method == method {
			return f
		}
		return Fault{}
	}
}

// Storage is a storage.Storage whose calls have the faults of a Plan. It implements
// the optional interfaces Feed, Index and PrefixResetter; a method that its base
// lacks returns errors.ErrUnsupported. It is safe for concurrent use. Close closes
// the base and unblocks hanging calls; the plan does not apply to Close.
type Storage struct {
	base   storage.Storage
	plan   atomic.Pointer[Plan]
	calls  atomic.Int64
	muted  atomic.Bool
	closed chan struct{}
	close  func() error
}

// New wraps base. A nil plan has no faults.
func New(base storage.Storage, plan Plan) *Storage {
	f := &Storage{base: base, closed: make(chan struct{})}
	f.close = sync.OnceValue(func() error {
		close(f.closed)
		return f.base.Close()
	})
	f.SetPlan(plan)
	return f
}

// SetPlan replaces the plan for calls that begin after it. Nil has no faults.
func (f *Storage) SetPlan(plan Plan) {
	if plan == nil {
		plan = func(Call) Fault { return Fault{} }
	}
	f.plan.Store(&plan)
}

// Calls returns the number of calls that have begun.
func (f *Storage) Calls() int { return int(f.calls.Load()) }

// Mute(true) drops all notifications of the watches of f, without a Gap, until
// Mute(false): a feed that is broken without having noticed.
func (f *Storage) Mute(on bool) { f.muted.Store(on) }

// do executes one call with the fault that the plan chooses.
func do[T any](f *Storage, ctx context.Context, write bool, method, key string, call func() (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
	}
	fault := (*f.plan.Load())(Call{N: int(f.calls.Add(1)), Method: method, Key: key})
	lost := storage.ErrUnavailable
	if write {
		lost = storage.ErrUnknownOutcome
	}
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, fmt.Errorf("%w: %w", storage.ErrUnavailable, ctx.Err())
		case <-f.closed:
			return none, storage.ErrClosed
		}
	}
	if fault.Fail != nil {
		return none, fmt.Errorf("%w: %w", storage.ErrUnavailable, fault.Fail)
	}
	var val T
	var err error
	if !fault.Hang || fault.Lose != nil {
		val, err = call()
	}
	if fault.Hang {
		select {
		case <-ctx.Done():
			return none, fmt.Errorf("%w: %w", lost, ctx.Err())
		case <-f.closed:
			return none, fmt.Errorf("%w: %w", lost, storage.ErrClosed)
		}
	}
	if fault.Lose != nil {
		return none, fmt.Errorf("%w: %w", lost, fault.Lose)
	}
	return val, err
}

// doErr is do for writes that return only an error.
func doErr(f *Storage, ctx context.Context, method, key string, call func() error) error {
	_, err := do(f, ctx, true, method, key, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Load implements storage.Storage.
func (f *Storage) Load(ctx context.Context, key string) (storage.Item, error) {
	return do(f, ctx, false, "Load", key, func() (storage.Item, error) { return f.base.Load(ctx, key) })
}

// CompareAndSwap implements storage.Storage.
func (f *Storage) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	return do(f, ctx, true, "CompareAndSwap", key, func() (storage.Revision, error) {
		return f.base.CompareAndSwap(ctx, key, old, val, ttl)
	})
}

// CompareAndDelete implements storage.Storage.
func (f *Storage) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	return doErr(f, ctx, "CompareAndDelete", key, func() error { return f.base.CompareAndDelete(ctx, key, old) })
}

// Touch implements storage.Storage.
func (f *Storage) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return doErr(f, ctx, "Touch", key, func() error { return f.base.Touch(ctx, key, ttl) })
}

// Get implements storage.Basic.
func (f *Storage) Get(key string) ([]byte, error) {
	return do(f, context.Background(), false, "Get", key, func() ([]byte, error) { return f.base.Get(key) })
}

// Set implements storage.Basic.
func (f *Storage) Set(key string, val []byte, exp time.Duration) error {
	return doErr(f, context.Background(), "Set", key, func() error { return f.base.Set(key, val, exp) })
}

// Delete implements storage.Basic.
func (f *Storage) Delete(key string) error {
	return doErr(f, context.Background(), "Delete", key, func() error { return f.base.Delete(key) })
}

// Reset implements storage.Basic.
func (f *Storage) Reset() error {
	return doErr(f, context.Background(), "Reset", "", f.base.Reset)
}

// ResetPrefix implements storage.PrefixResetter.
func (f *Storage) ResetPrefix(ctx context.Context, prefix string) error {
	r, ok := f.base.(storage.PrefixResetter)
	if !ok {
		return f.unsupported("ResetPrefix")
	}
	return doErr(f, ctx, "ResetPrefix", prefix, func() error { return r.ResetPrefix(ctx, prefix) })
}

// Close implements storage.Basic.
func (f *Storage) Close() error { return f.close() }

// Watch implements storage.Feed. The plan does not apply to it; see Mute.
func (f *Storage) Watch(fn func(storage.Change)) (storage.Watch, error) {
	feed, ok := f.base.(storage.Feed)
	if !ok {
		return nil, f.unsupported("Watch")
	}
	if fn == nil {
		return feed.Watch(nil)
	}
	return feed.Watch(func(c storage.Change) {
		if !f.muted.Load() {
			fn(c)
		}
	})
}

// AddMember implements storage.Index.
func (f *Storage) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	x, ok := f.base.(storage.Index)
	if !ok {
		return f.unsupported("AddMember")
	}
	return doErr(f, ctx, "AddMember", set, func() error { return x.AddMember(ctx, set, member, ttl) })
}

// RemoveMember implements storage.Index.
func (f *Storage) RemoveMember(ctx context.Context, set, member string) error {
	x, ok := f.base.(storage.Index)
	if !ok {
		return f.unsupported("RemoveMember")
	}
	return doErr(f, ctx, "RemoveMember", set, func() error { return x.RemoveMember(ctx, set, member) })
}

// Members implements storage.Index. An iteration counts as one call.
func (f *Storage) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		x, ok := f.base.(storage.Index)
		if !ok {
			yield("", f.unsupported("Members"))
			return
		}
		all, err := do(f, ctx, false, "Members", set, func() (iter.Seq2[string, error], error) {
			return x.Members(ctx, set), nil
		})
		if err != nil {
			yield("", err)
			return
		}
		all(yield)
	}
}

func (f *Storage) unsupported(method string) error {
	return fmt.Errorf("faulty: %s: %T does not implement it: %w", method, f.base, errors.ErrUnsupported)
}
