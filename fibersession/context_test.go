package fibersession_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// contextInspector calls inspect with the context of each write.
type contextInspector struct {
	storage.Storage
	inspect func(ctx context.Context)
}

func (c *contextInspector) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	c.inspect(ctx)
	return c.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

// The context of a storage call behaves like one of context.WithTimeout, although its timer
// is only created when Done is called.
func TestContext_OfAStorageCall(t *testing.T) {
	type key struct{}
	const timeout = 3 * time.Second
	wait := func(t *testing.T, done <-chan struct{}) {
		begun := time.Now()
		<-done
		if after := time.Since(begun); after != timeout {
			t.Errorf("the context ended after %v, want %v", after, timeout)
		}
	}
	for name, look := range map[string]func(t *testing.T, ctx context.Context){
		"Done": func(t *testing.T, ctx context.Context) {
			wait(t, ctx.Done())
			if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
				t.Errorf("got Err %v and Cause %v, want DeadlineExceeded", ctx.Err(), context.Cause(ctx))
			}
		},
		"a derived context": func(t *testing.T, ctx context.Context) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			wait(t, child.Done())
		},
		"without a call of Done": func(t *testing.T, ctx context.Context) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != timeout {
				t.Errorf("Deadline: got %v, %v; want %v from now", at, ok, timeout)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("before the deadline: got Err %v, want nil", err)
			}
			time.Sleep(timeout)
			if ctx.Err() == nil {
				t.Error("after the deadline: got Err nil, want DeadlineExceeded")
			}
			select {
			case <-ctx.Done():
			default:
				t.Error("Err reports the end, but Done is not closed")
			}
		},
		"the caller's context ends": func(t *testing.T, ctx context.Context) {
			if got := ctx.Value(key{}); got != "v" {
				t.Errorf("got Value %v, want the caller's", got)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("got Err %v, want nil: other callers share the commit", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := memory.New()
				defer base.Close()
				c := &contextInspector{Storage: base}
				s := fibersession.New(fibersession.Config{Storage: c, Timeouts: fibersession.Timeouts{Storage: timeout}, Logger: discardLogger})
				defer s.Close()
				c.inspect = func(context.Context) {}
				h := storedSession(t, s, map[string]any{"n": 0})
				defer h.Release()
				ctx, cancel := context.WithCancel(context.WithValue(ctx, key{}, "v"))
				defer cancel()
				c.inspect = func(of context.Context) {
					cancel()
					look(t, of)
				}
				_, _ = h.Incr(ctx, "n", 1) // the result depends on how long inspect waited
			})
		})
	}
}

// Calls that begin within a short time share a deadline. It is up to a sixty-fourth of the
// timeout early, and never late.
func TestContext_SharedDeadlines(t *testing.T) {
	const timeout = 64 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		base := memory.New()
		defer base.Close()
		c := &contextInspector{Storage: base, inspect: func(context.Context) {}}
		s := fibersession.New(fibersession.Config{Storage: c, Timeouts: fibersession.Timeouts{Storage: timeout}, Logger: discardLogger})
		defer s.Close()
		h := storedSession(t, s, map[string]any{"n": 0})
		defer h.Release()
		var last context.Context
		shared, ended := 0, 0
		c.inspect = func(of context.Context) {
			at, _ := of.Deadline()
			if early := timeout - time.Until(at); early < 0 || early >= time.Millisecond {
				t.Errorf("the deadline is %v earlier than the timeout, want at least 0 and less than 1ms", early)
			}
			if last != nil && of.Done() == last.Done() {
				shared++
			}
			if last != nil && last.Err() != nil {
				ended++
			}
			last = of
		}
		for range 100 {
			if _, err := h.Incr(ctx, "n", 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Microsecond)
		}
		if shared < 60 || shared > 80 {
			t.Errorf("%d of 100 calls had the deadline of the call before, want 7 of 10", shared)
		}
		if ended != 0 {
			t.Errorf("%d contexts had ended when the next call began, want none", ended)
		}
		time.Sleep(timeout + time.Millisecond)
		if last.Err() == nil {
			t.Error("the last context has not ended")
		}
	})
}
