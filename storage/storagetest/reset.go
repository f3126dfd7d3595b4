package storagetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestReset tests Reset, storage.PrefixResetter, and the views that
// storage.Prefix makes of the storage.
func TestReset(t *testing.T, open Open) {
	rows(t, open, []row{{"everything", resetAll}})
	if _, ok := open(t).(storage.PrefixResetter); !ok {
		t.Run("a part", func(t *testing.T) { t.Skipf("SKIPPED: the storage is no storage.PrefixResetter") })
		return
	}
	rows(t, open, resetRows)
}

func resetAll(ctx context.Context, t *testing.T, s storage.Storage) {
	rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("v"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reset(); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	if !gone(ctx, t, s, "k") {
		t.Error("k survived Reset")
	}
	if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("back"), 0); !is(err, storage.ErrConflict) {
		t.Errorf("CompareAndSwap of what was reset: %v, want ErrConflict", err)
	}
}

var resetRows = []row{
	{"by prefix", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := s.(storage.PrefixResetter)
		for i := range 1200 { // more than one page of any listing
			put(t, s, fmt.Sprint("app:", i), "v")
		}
		// What a pattern would take and a prefix must not.
		stay := []string{"ap", "app", "app2:x", "xapp:x", "a*x", "a?x", "ab:"}
		for _, key := range stay {
			put(t, s, key, "v")
		}
		if err := r.ResetPrefix(ctx, "app:"); err != nil {
			t.Fatal(err)
		}
		for i := range 1200 {
			if key := fmt.Sprint("app:", i); !gone(ctx, t, s, key) {
				t.Fatalf("%s survived", key)
			}
		}
		for _, wild := range []string{"a[", "a[a-z]", `a\`, "?", "*", "a*:"} {
			if err := r.ResetPrefix(ctx, wild); err != nil {
				t.Errorf("ResetPrefix(%q): %v", wild, err)
			}
		}
		for _, key := range stay {
			if gone(ctx, t, s, key) {
				t.Errorf("%q is gone", key)
			}
		}
		put(t, s, "[x]*:1", "v")
		if err := r.ResetPrefix(ctx, "[x]*:"); err != nil || !gone(ctx, t, s, "[x]*:1") {
			t.Errorf("ResetPrefix of a prefix with wildcards: %v", err)
		}
		if err := r.ResetPrefix(ctx, ""); !is(err, storage.ErrInvalid) || gone(ctx, t, s, "app") {
			t.Errorf("ResetPrefix of an empty prefix: %v, want ErrInvalid", err)
		}
	}},
	{"views are apart", func(ctx context.Context, t *testing.T, s storage.Storage) {
		one, two := storage.Prefix(s, "one:"), storage.Prefix(s, "two:")
		put(t, s, "k", "base")
		put(t, one, "k", "1")
		put(t, two, "k", "2")
		if got, _ := s.Get("one:k"); string(got) != "1" {
			t.Errorf("the base has %q under one:k, want 1", got)
		}
		if err := one.Reset(); err != nil {
			t.Fatal(err)
		}
		if !gone(ctx, t, one, "k") || gone(ctx, t, two, "k") || gone(ctx, t, s, "k") {
			t.Error("Reset of a view did not clear that view alone")
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		if got, err := two.Get("k"); string(got) != "2" || err != nil {
			t.Errorf("after Close of another view: %q, %v", got, err)
		}
		if storage.Prefix(s, "") != s {
			t.Error("an empty prefix is not the storage itself")
		}
	}},
	{"a reset takes sets along", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if _, ok := s.(storage.Index); !ok {
			t.Skipf("SKIPPED: the storage is no storage.Index")
		}
		one, two := storage.Prefix(s, "one:"), storage.Prefix(s, "two:")
		add(ctx, t, one, "set", "m", 0)
		add(ctx, t, two, "set", "n", 0)
		if err := one.Reset(); err != nil {
			t.Fatal(err)
		}
		wantMembers(ctx, t, one, "set")
		wantMembers(ctx, t, two, "set", "n")
	}},
	{"a reset by prefix is told", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if _, ok := s.(storage.Feed); !ok {
			t.Skipf("SKIPPED: the storage is no storage.Feed")
		}
		view := storage.Prefix(s, "one:")
		l := watch(t, view)
		put(t, view, "k", "v")
		l.early = []string{"k=v"}
		l.add(ctx, t, "k")
		if err := view.Reset(); err != nil {
			t.Fatal(err)
		}
		l.want(ctx, t, "-k")
	}},
}
