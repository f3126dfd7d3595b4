package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestChecker tests the ability storage.Checker: it skips storages without it, and
// those that have the method and cannot tell.
func TestChecker(t *testing.T, open Open) {
	if s := open(t); !checks(t.Context(), t, s) {
		t.Skipf("SKIPPED: the storage is no storage.Checker, or cannot tell without waiting")
	}
	checker := func(ctx context.Context, t *testing.T, s storage.Storage) (storage.Checker, storage.Revision) {
		t.Helper()
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := s.(storage.Checker)
		if !c.Holds("k", rev) {
			t.Fatal("Holds is false for what a swap stored")
		}
		return c, rev
	}
	rows(t, open, []row{
		{"what was loaded is held", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, _ := checker(ctx, t, s)
			if !c.Holds("k", load(ctx, t, s, "k").Revision) {
				t.Error("Holds is false for what Load returned")
			}
		}},
		{"no other revision is", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, rev := checker(ctx, t, s)
			for _, other := range []storage.Revision{storage.Absent, storage.Any, "some", rev + "x", rev[:len(rev)-1]} {
				if c.Holds("k", other) {
					t.Errorf("Holds(%q) is true, the revision is %q", other, rev)
				}
			}
			for _, key := range []string{"", "none"} {
				if c.Holds(key, rev) || c.Holds(key, storage.Absent) {
					t.Errorf("key %q, which is not there, is held", key)
				}
			}
		}},
		{"each kind of write is seen", func(ctx context.Context, t *testing.T, s storage.Storage) {
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
				put(t, s, "k", "old")
				rev := load(ctx, t, s, "k").Revision
				if !c.Holds("k", rev) {
					t.Fatalf("%s: not held before", name)
				}
				if err := write(rev); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if c.Holds("k", rev) {
					t.Errorf("%s: the old revision is held still", name)
				}
			}
		}},
		{"expiry is seen", func(ctx context.Context, t *testing.T, s storage.Storage) {
			c, rev := checker(ctx, t, s)
			if err := s.Touch(ctx, "k", 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			eventually(ctx, t, "k expires", func() bool { return gone(ctx, t, s, "k") })
			if c.Holds("k", rev) {
				t.Error("an expired key is held")
			}
		}},
	})
}

// checks says whether s has the ability.
func checks(ctx context.Context, t *testing.T, s storage.Storage) bool {
	t.Helper()
	c, ok := s.(storage.Checker)
	if !ok {
		return false
	}
	put(t, s, "k", "v")
	return c.Holds("k", load(ctx, t, s, "k").Revision)
}
