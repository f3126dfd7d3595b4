package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestIndex tests storage.Index.
func TestIndex(t *testing.T, open Open) {
	if !hasIndex(t.Context(), open(t)) {
		skip(t, "storage.Index", "a user's sessions could be listed and ended together")
	}
	runCases(t, open, indexCases)
}

// hasIndex reports whether s implements Index.
func hasIndex(ctx context.Context, s storage.Storage) bool {
	x, ok := s.(storage.Index)
	return ok && !is(first(x.Members(ctx, "set")), errors.ErrUnsupported)
}

func add(ctx context.Context, t *testing.T, s storage.Storage, set, member string, ttl time.Duration) {
	t.Helper()
	if err := s.(storage.Index).AddMember(ctx, set, member, ttl); err != nil {
		t.Fatalf("AddMember(%q, %q): %v", set, member, err)
	}
}

// members returns the members of set, sorted and without duplicates.
func members(ctx context.Context, t *testing.T, s storage.Storage, set string) []string {
	t.Helper()
	var all []string
	for member, err := range s.(storage.Index).Members(ctx, set) {
		if err != nil {
			t.Fatalf("Members(%q): %v", set, err)
		}
		all = append(all, member)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func wantMembers(ctx context.Context, t *testing.T, s storage.Storage, set string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := members(ctx, t, s, set); !slices.Equal(got, want) {
		t.Errorf("members of %q: %q, want %q", set, got, want)
	}
}

var indexCases = []testCase{
	{"add, list, remove", func(ctx context.Context, t *testing.T, s storage.Storage) {
		x := s.(storage.Index)
		wantMembers(ctx, t, s, "set")
		add(ctx, t, s, "set", "a", time.Hour)
		add(ctx, t, s, "set", "b", 0)
		add(ctx, t, s, "set", "a", 0)
		add(ctx, t, s, "other", "c", time.Hour)
		wantMembers(ctx, t, s, "set", "a", "b")
		for _, member := range []string{"a", "a", "never there"} {
			if err := x.RemoveMember(ctx, "set", member); err != nil {
				t.Errorf("RemoveMember(%q): %v", member, err)
			}
		}
		wantMembers(ctx, t, s, "set", "b")
		wantMembers(ctx, t, s, "other", "c")
		if err := x.RemoveMember(ctx, "set", "b"); err != nil {
			t.Error(err)
		}
		wantMembers(ctx, t, s, "set")
	}, ""},
	{"a set and a key of the same name", func(ctx context.Context, t *testing.T, s storage.Storage) {
		set(t, s, "name", "value")
		add(ctx, t, s, "name", "member", 0)
		if err := s.Delete("name"); err != nil {
			t.Fatal(err)
		}
		wantMembers(ctx, t, s, "name", "member")
		if !isAbsent(ctx, t, s, "name") {
			t.Error("the key has the value of the set")
		}
	}, ""},
	{"members expire one by one", func(ctx context.Context, t *testing.T, s storage.Storage) {
		add(ctx, t, s, "set", "brief", 50*time.Millisecond)
		add(ctx, t, s, "set", "long", time.Hour)
		add(ctx, t, s, "set", "prolonged", 50*time.Millisecond)
		add(ctx, t, s, "set", "prolonged", time.Hour)
		add(ctx, t, s, "brief", "only", 50*time.Millisecond)
		waitFor(ctx, t, "brief members expire", func() bool {
			return len(members(ctx, t, s, "brief")) == 0 && !slices.Contains(members(ctx, t, s, "set"), "brief")
		})
		wantMembers(ctx, t, s, "set", "long", "prolonged")
		// A member with a short ttl, added later, must not expire the whole set.
		add(ctx, t, s, "set", "brief", 50*time.Millisecond)
		waitFor(ctx, t, "brief expires again", func() bool { return !slices.Contains(members(ctx, t, s, "set"), "brief") })
		wantMembers(ctx, t, s, "set", "long", "prolonged")
	}, ""},
	{"a member without ttl keeps the set", func(ctx context.Context, t *testing.T, s storage.Storage) {
		add(ctx, t, s, "set", "permanent", 0)
		add(ctx, t, s, "set", "brief", 50*time.Millisecond)
		waitFor(ctx, t, "brief expires", func() bool { return !slices.Contains(members(ctx, t, s, "set"), "brief") })
		wantMembers(ctx, t, s, "set", "permanent")
	}, ""},
	{"members of any bytes", func(ctx context.Context, t *testing.T, s storage.Storage) {
		names := []string{"a b\r\n", "\x00\xff", "{x}", "*", "ü", "0", "-1", "+inf"}
		for _, name := range names {
			add(ctx, t, s, "set", name, time.Hour)
		}
		wantMembers(ctx, t, s, "set", names...)
	}, ""},
	{"many members", func(ctx context.Context, t *testing.T, s storage.Storage) {
		var want []string
		for i := range 700 { // more than one page of any listing
			want = append(want, fmt.Sprint("member", i))
			add(ctx, t, s, "set", want[i], time.Hour)
		}
		wantMembers(ctx, t, s, "set", want...)
		n := 0
		for range s.(storage.Index).Members(ctx, "set") {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("%d members were yielded before the break, want 3", n)
		}
	}, ""},
	{"concurrent changes", func(ctx context.Context, t *testing.T, s storage.Storage) {
		var wg sync.WaitGroup
		var want []string
		for i := range 16 {
			stays, removed := fmt.Sprint("stays", i), fmt.Sprint("removed", i)
			want = append(want, stays)
			wg.Go(func() { // joined by wg.Wait
				x := s.(storage.Index)
				for _, err := range []error{
					x.AddMember(ctx, "set", stays, time.Hour),
					x.AddMember(ctx, "set", removed, time.Hour),
					x.RemoveMember(ctx, "set", removed),
				} {
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		wantMembers(ctx, t, s, "set", want...)
	}, ""},
	{"invalid arguments and ended contexts", func(ctx context.Context, t *testing.T, s storage.Storage) {
		x := s.(storage.Index)
		for call, err := range map[string]error{
			"AddMember, empty set":    x.AddMember(ctx, "", "m", 0),
			"AddMember, empty member": x.AddMember(ctx, "s", "", 0),
			"AddMember, negative ttl": x.AddMember(ctx, "s", "m", -1),
			"RemoveMember, empty set": x.RemoveMember(ctx, "", "m"),
			"Members, empty set":      first(x.Members(ctx, "")),
		} {
			if !is(err, storage.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", call, err)
			}
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for call, err := range map[string]error{
			"AddMember":    x.AddMember(ended, "s", "m", 0),
			"RemoveMember": x.RemoveMember(ended, "s", "m"),
			"Members":      first(x.Members(ended, "s")),
		} {
			if !is(err, storage.ErrUnavailable) || !is(err, context.Canceled) {
				t.Errorf("%s, ended context: %v, want ErrUnavailable and context.Canceled", call, err)
			}
		}
		wantMembers(ctx, t, s, "s")
	}, ""},
}

// first returns the first error of a sequence.
func first(seq func(func(string, error) bool)) (err error) {
	seq(func(_ string, e error) bool {
		err = e
		return e == nil
	})
	return err
}
