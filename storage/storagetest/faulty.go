package storagetest

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

// Call is one call of a Faulty's method.
type Call struct {
	// N counts the calls of a Faulty from 1.
	N int
	// Method is the method's name: "Load", "CompareAndSwap", "Get", "AddMember"…
	Method string
	// Key is the key or set; empty for Reset.
	Key string
}

// Fault is what happens to a call. The zero Fault is none.
type Fault struct {
	// Delay passes before the call is made.
	Delay time.Duration
	// Fail keeps the call from being made: it returns storage.ErrUnavailable and this.
	Fail error
	// Lose makes the call and loses its answer: a write returns
	// storage.ErrUnknownOutcome and this, a read storage.ErrUnavailable.
	Lose error
	// Hang answers only when the context ends or the Faulty is closed, as a server
	// does that stopped: without Lose the call is not made, with Lose it is. A
	// write then returns storage.ErrUnknownOutcome either way.
	Hang bool
}

// Plan decides the fault of each call. It is called by many goroutines at once.
type Plan func(Call) Fault

// OnCall is a plan that harms the nth call only.
func OnCall(n int, f Fault) Plan {
	return func(c Call) Fault {
		if c.N == n {
			return f
		}
		return Fault{}
	}
}

// OnMethod is a plan that harms every call of one method.
func OnMethod(method string, f Fault) Plan {
	return func(c Call) Fault {
		if c.Method == method {
			return f
		}
		return Fault{}
	}
}

// Faulty is a storage whose calls go wrong as planned, for tests of what uses a
// storage. It has the abilities of its base; what the base lacks returns
// errors.ErrUnsupported. It is safe for concurrent use. Close closes the base and
// ends the calls that hang; Close itself never goes wrong.
type Faulty struct {
	base   storage.Storage
	plan   atomic.Pointer[Plan]
	calls  atomic.Int64
	muted  atomic.Bool
	closed chan struct{}
	close  func() error
}

// NewFaulty wraps base. A nil plan harms nothing.
func NewFaulty(base storage.Storage, plan Plan) *Faulty {
	f := &Faulty{base: base, closed: make(chan struct{})}
	f.close = sync.OnceValue(func() error {
		close(f.closed)
		return f.base.Close()
	})
	f.SetPlan(plan)
	return f
}

// SetPlan replaces the plan for the calls that begin from now on.
func (f *Faulty) SetPlan(plan Plan) {
	if plan == nil {
		plan = func(Call) Fault { return Fault{} }
	}
	f.plan.Store(&plan)
}

// Calls returns how many calls have begun.
func (f *Faulty) Calls() int { return int(f.calls.Load()) }

// Mute makes the watches of f hear nothing, without a Gap, until it is called
// with false: a feed that has broken and does not know it.
func (f *Faulty) Mute(on bool) { f.muted.Store(on) }

// do makes one call as planned.
func do[T any](f *Faulty, ctx context.Context, write bool, method, key string, call func() (T, error)) (T, error) {
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

// doErr is do for calls that return an error only.
func doErr(f *Faulty, ctx context.Context, method, key string, call func() error) error {
	_, err := do(f, ctx, true, method, key, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Load implements storage.Storage.
func (f *Faulty) Load(ctx context.Context, key string) (storage.Item, error) {
	return do(f, ctx, false, "Load", key, func() (storage.Item, error) { return f.base.Load(ctx, key) })
}

// CompareAndSwap implements storage.Storage.
func (f *Faulty) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	return do(f, ctx, true, "CompareAndSwap", key, func() (storage.Revision, error) {
		return f.base.CompareAndSwap(ctx, key, old, val, ttl)
	})
}

// CompareAndDelete implements storage.Storage.
func (f *Faulty) CompareAndDelete(ctx context.Context, key string, old storage.Revision) error {
	return doErr(f, ctx, "CompareAndDelete", key, func() error { return f.base.CompareAndDelete(ctx, key, old) })
}

// Touch implements storage.Storage.
func (f *Faulty) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return doErr(f, ctx, "Touch", key, func() error { return f.base.Touch(ctx, key, ttl) })
}

// Get implements storage.Basic.
func (f *Faulty) Get(key string) ([]byte, error) {
	return do(f, context.Background(), false, "Get", key, func() ([]byte, error) { return f.base.Get(key) })
}

// Set implements storage.Basic.
func (f *Faulty) Set(key string, val []byte, exp time.Duration) error {
	return doErr(f, context.Background(), "Set", key, func() error { return f.base.Set(key, val, exp) })
}

// Delete implements storage.Basic.
func (f *Faulty) Delete(key string) error {
	return doErr(f, context.Background(), "Delete", key, func() error { return f.base.Delete(key) })
}

// Reset implements storage.Basic.
func (f *Faulty) Reset() error {
	return doErr(f, context.Background(), "Reset", "", f.base.Reset)
}

// ResetPrefix implements storage.PrefixResetter.
func (f *Faulty) ResetPrefix(ctx context.Context, prefix string) error {
	r, ok := f.base.(storage.PrefixResetter)
	if !ok {
		return f.unsupported("ResetPrefix")
	}
	return doErr(f, ctx, "ResetPrefix", prefix, func() error { return r.ResetPrefix(ctx, prefix) })
}

// Close implements storage.Basic.
func (f *Faulty) Close() error { return f.close() }

// Watch implements storage.Feed. The plan has no part in it; see Mute.
func (f *Faulty) Watch(fn func(storage.Change)) (storage.Watch, error) {
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
func (f *Faulty) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	x, ok := f.base.(storage.Index)
	if !ok {
		return f.unsupported("AddMember")
	}
	return doErr(f, ctx, "AddMember", set, func() error { return x.AddMember(ctx, set, member, ttl) })
}

// RemoveMember implements storage.Index.
func (f *Faulty) RemoveMember(ctx context.Context, set, member string) error {
	x, ok := f.base.(storage.Index)
	if !ok {
		return f.unsupported("RemoveMember")
	}
	return doErr(f, ctx, "RemoveMember", set, func() error { return x.RemoveMember(ctx, set, member) })
}

// Members implements storage.Index. The plan is asked once for all members.
func (f *Faulty) Members(ctx context.Context, set string) iter.Seq2[string, error] {
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

func (f *Faulty) unsupported(method string) error {
	return fmt.Errorf("storagetest: %s: %T has no such ability: %w", method, f.base, errors.ErrUnsupported)
}
