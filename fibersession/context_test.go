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

// curious looks at the context of its writes.
type contextInspector struct {
	storage.Storage
	look func(ctx context.Context)
}

func (c *contextInspector) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	c.look(ctx)
	return c.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

// What a store is given to wait by is a context in every respect, though its timer is
// set only when somebody waits.
func TestContextOfAStoresCall(t *testing.T) {
	type key struct{}
	const timeout = 3 * time.Second
	wait := func(t *testing.T, done <-chan struct{}) {
		begun := time.Now()
		<-done
		if after := time.Since(begun); after != timeout {
			t.Errorf("it ended after %v, want %v", after, timeout)
		}
	}
	for name, look := range map[string]func(t *testing.T, ctx context.Context){
		"done": func(t *testing.T, ctx context.Context) {
			wait(t, ctx.Done())
			if ctx.Err() != context.DeadlineExceeded || context.Cause(ctx) != context.DeadlineExceeded {
				t.Errorf("Err = %v, Cause = %v", ctx.Err(), context.Cause(ctx))
			}
		},
		"a derived one": func(t *testing.T, ctx context.Context) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			wait(t, child.Done())
		},
		"nobody waits": func(t *testing.T, ctx context.Context) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != timeout {
				t.Errorf("Deadline = %v, %v", at, ok)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("Err = %v before the deadline", err)
			}
			time.Sleep(timeout)
			if ctx.Err() == nil {
				t.Error("Err = nil after the deadline")
			}
			select {
			case <-ctx.Done():
			default:
				t.Error("Err says that it has ended, Done does not")
			}
		},
		"the caller leaves": func(t *testing.T, ctx context.Context) {
			if got := ctx.Value(key{}); got != "v" {
				t.Errorf("Value = %v, want the caller's", got)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("Err = %v: a round is not its leader's alone", err)
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
				c.look = func(context.Context) {}
				h := storedSession(t, s, map[string]any{"n": 0})
				defer h.Release()
				ctx, cancel := context.WithCancel(context.WithValue(ctx, key{}, "v"))
				defer cancel()
				c.look = func(of context.Context) {
					cancel()
					look(t, of)
				}
				_, _ = h.Incr(ctx, "n", 1) // late or not
			})
		})
	}
}
