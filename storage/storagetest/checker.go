package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestChecker tests storage.Checker. It skips storages that do not implement it, and
// those whose Holds cannot check without waiting.
func TestChecker(t *testing.T, open Open, without ...Ability) {
	if s := open(t); !canCheck(t.Context(), t, s) {
		skip(t, "storage.Checker, or it would have to wait", "a reader could verify its copy of a value without a Load")
	}
	checker := func(ctx context.Context, t *testing.T, s storage.Storage) (storage.Checker, storage.Revision) {
		t.Helper()
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := s.(storage.Checker)
		if !c.Holds("k", rev) {
			t.Fatal("Holds = false for the revision that CompareAndSwap returned")
		}
		return c, rev
	}
	runCases(t, open, []testCase{
		{"the loaded revision is held", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, _ := checker(ctx, t, s)
			if !c.Holds("k", load(ctx, t, s, "k").Revision) {
				t.Error("Holds = false for the revision that Load returned")
			}
		}, ""},
		{"no other revision is held", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, rev := checker(ctx, t, s)
			for _, other := range []storage.Revision{storage.Absent, storage.Any, "some", rev + "x", rev[:len(rev)-1]} {
				if c.Holds("k", other) {
					t.Errorf("Holds(%q) = true, but the revision is %q", other, rev)
				}
			}
			for _, key := range []string{"", "none"} {
				if c.Holds(key, rev) || c.Holds(key, storage.Absent) {
					t.Errorf("Holds = true for the absent key %q", key)
				}
			}
		}, ""},
		{"every kind of write changes the result", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, _ := checker(ctx, t, s)
			for name, write := range map[string]func(rev storage.Revision) error{
				"swap": func(rev storage.Revision) error {
					_, err := s.CompareAndSwap(ctx, "k", rev, []byte("two"), 0)
					return err
				},
				"set":          func(storage.Revision) error { return s.Set("k", []byte("three"), 0) },
				"delete":       func(storage.Revision) error { return s.Delete("k") },
				"swap, delete": func(rev storage.Revision) error { return s.CompareAndDelete(ctx, "k", rev) },
			} {
				set(t, s, "k", "old")
				rev := load(ctx, t, s, "k").Revision
				if !c.Holds("k", rev) {
					t.Fatalf("%s: Holds = false before the write", name)
				}
				if err := write(rev); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if c.Holds("k", rev) {
					t.Errorf("%s: Holds = true for the old revision after the write", name)
				}
			}
		}, ""},
		{"an expired key is not held", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, rev := checker(ctx, t, s)
			if err := s.Touch(ctx, "k", 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			waitFor(ctx, t, "k expires", func() bool { return isAbsent(ctx, t, s, "k") })
			if c.Holds("k", rev) {
				t.Error("Holds = true for an expired key")
			}
		}, Expiry},
	}, without...)
}

// canCheck reports whether s implements Checker and can check without waiting.
func canCheck(ctx context.Context, t *testing.T, s storage.Storage) bool {
	t.Helper()
	c, ok := s.(storage.Checker)
	if !ok {
		return false
	}
	set(t, s, "k", "v")
	return c.Holds("k", load(ctx, t, s, "k").Revision)
}
