package storagetest

import (
	"context"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestClose tests a storage after Close. It does not apply to views of
// storage.Prefix, whose Close leaves the base open.
func TestClose(t *testing.T, open Open) {
	runCases(t, open, []testCase{
		{"every call returns ErrClosed", func(ctx context.Context, t *testing.T, s storage.Storage) {
			set(t, s, "k", "v")
			rev := load(ctx, t, s, "k").Revision
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("the second Close: %v", err)
			}
			_, loadErr := s.Load(ctx, "k")
			_, swapErr := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("v"), 0)
			_, getErr := s.Get("k")
			for call, err := range map[string]error{
				"Load":             loadErr,
				"CompareAndSwap":   swapErr,
				"CompareAndDelete": s.CompareAndDelete(ctx, "k", storage.Any),
				"Touch":            s.Touch(ctx, "k", 0),
				"Ping":             storage.Ping(ctx, s),
				"Get":              getErr,
				"Set":              s.Set("k", []byte("v"), 0),
				"Delete":           s.Delete("k"),
			} {
				if !is(err, storage.ErrClosed) {
					t.Errorf("%s: %v, want ErrClosed", call, err)
				}
			}
			if c, ok := s.(storage.Checker); ok && c.Holds("k", rev) {
				t.Error("Holds = true after Close")
			}
		}, ""},
		{"with calls in flight", func(ctx context.Context, t *testing.T, s storage.Storage) {
			ended := make(chan error, 8)
			for range cap(ended) {
				go func() { // ends with its first error, received below
					for {
						if err := increment(ctx, s, "n"); err != nil {
							ended <- err
							return
						}
					}
				}()
			}
			waitFor(ctx, t, "the first call has succeeded", func() bool { return !isAbsent(ctx, t, s, "n") })
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for range cap(ended) {
				if err := <-ended; !is(err, storage.ErrClosed) && !is(err, storage.ErrUnavailable) && !is(err, storage.ErrUnknownOutcome) {
					t.Errorf("a call in flight during Close: %v, want ErrClosed, ErrUnavailable or ErrUnknownOutcome", err)
				}
			}
		}, ""},
	})
}
