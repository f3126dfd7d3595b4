package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestReset tests Reset, storage.PrefixResetter, and the views of storage.Prefix on
// the storage.
func TestReset(t *testing.T, open Open) {
	runCases(t, open, []testCase{{"all keys", resetAll, ""}})
	if !canResetPrefix(t.Context(), open(t)) {
		t.Run("by prefix", func(t *testing.T) {
			skip(t, "storage.PrefixResetter", "one app's sessions could be ended without emptying the storage")
		})
		return
	}
	runCases(t, open, resetCases)
}

// canResetPrefix reports whether s implements PrefixResetter.
func canResetPrefix(ctx context.Context, s storage.Storage) bool {
	r, ok := s.(storage.PrefixResetter)
	return ok && !is(r.ResetPrefix(ctx, "app:"), errors.ErrUnsupported)
}

func resetAll(ctx context.Context, t *testing.T, s storage.Storage) {
	rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("v"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		set(t, s, fmt.Sprint("other", i), "v")
	}
	if err := s.Reset(); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	if !isAbsent(ctx, t, s, "k") {
		t.Error("k survived Reset")
	}
	for i := range 100 {
		if key := fmt.Sprint("other", i); !isAbsent(ctx, t, s, key) {
			t.Fatalf("%s survived Reset", key)
		}
	}
	if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("back"), 0); !is(err, storage.ErrConflict) {
		t.Errorf("CompareAndSwap after Reset: %v, want ErrConflict", err)
	}
}

var resetCases = []testCase{
	{"by prefix", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := s.(storage.PrefixResetter)
		for i := range 1200 { // more than one page of any listing
			set(t, s, fmt.Sprint("app:", i), "v")
		}
		// Keys that a pattern could match but the prefix does not.
		others := []string{"ap", "app", "app2:x", "xapp:x", "a*x", "a?x", "ab:"}
		for _, key := range others {
			set(t, s, key, "v")
		}
		if err := r.ResetPrefix(ctx, "app:"); err != nil {
			t.Fatal(err)
		}
		for i := range 1200 {
			if key := fmt.Sprint("app:", i); !isAbsent(ctx, t, s, key) {
				t.Fatalf("%s survived ResetPrefix", key)
			}
		}
		for _, wild := range []string{"a[", "a[a-z]", `a\`, "?", "*", "a*:"} {
			if err := r.ResetPrefix(ctx, wild); err != nil {
				t.Errorf("ResetPrefix(%q): %v", wild, err)
			}
		}
		for _, key := range others {
			if isAbsent(ctx, t, s, key) {
				t.Errorf("ResetPrefix of other prefixes removed %q", key)
			}
		}
		set(t, s, "[x]*:1", "v")
		if err := r.ResetPrefix(ctx, "[x]*:"); err != nil || !isAbsent(ctx, t, s, "[x]*:1") {
			t.Errorf("ResetPrefix of a prefix with wildcards: %v", err)
		}
		if err := r.ResetPrefix(ctx, ""); !is(err, storage.ErrInvalid) || isAbsent(ctx, t, s, "app") {
			t.Errorf("ResetPrefix of an empty prefix: %v, want ErrInvalid", err)
		}
	}, ""},
	{"views are independent", func(ctx context.Context, t *testing.T, s storage.Storage) {
		one, two := storage.Prefix(s, "one:"), storage.Prefix(s, "two:")
		set(t, s, "k", "base")
		set(t, one, "k", "1")
		set(t, two, "k", "2")
		if got, _ := s.Get("one:k"); string(got) != "1" {
			t.Errorf("the base's value of one:k is %q, want 1", got)
		}
		if err := one.Reset(); err != nil {
			t.Fatal(err)
		}
		if !isAbsent(ctx, t, one, "k") || isAbsent(ctx, t, two, "k") || isAbsent(ctx, t, s, "k") {
			t.Error("Reset of a view must remove the keys of that view only")
		}
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		if got, err := two.Get("k"); string(got) != "2" || err != nil {
			t.Errorf("Get = %q, %v after Close of another view, want 2", got, err)
		}
		if storage.Prefix(s, "") != s {
			t.Error("Prefix with an empty prefix did not return the storage itself")
		}
	}, ""},
	{"a reset removes sets", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if !hasIndex(ctx, s) {
			skip(t, "storage.Index", "a reset would have to remove its sets")
		}
		one, two := storage.Prefix(s, "one:"), storage.Prefix(s, "two:")
		add(ctx, t, one, "set", "m", 0)
		add(ctx, t, two, "set", "n", 0)
		if err := one.Reset(); err != nil {
			t.Fatal(err)
		}
		wantMembers(ctx, t, one, "set")
		wantMembers(ctx, t, two, "set", "n")
	}, ""},
	{"a reset by prefix is reported", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if !hasFeed(s) {
			skip(t, "storage.Feed", "a reset would be pushed to the watches of a removed key")
		}
		view := storage.Prefix(s, "one:")
		r := watch(t, view)
		set(t, view, "k", "v")
		r.early = []string{"k=v"}
		r.add(ctx, t, "k")
		if err := view.Reset(); err != nil {
			t.Fatal(err)
		}
		r.want(ctx, t, "-k")
	}, ""},
}
