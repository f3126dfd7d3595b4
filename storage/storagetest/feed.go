package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// TestFeed tests storage.Feed.
func TestFeed(t *testing.T, open Open) {
	if !hasFeed(open(t)) {
		skip(t, "storage.Feed", "a change would be pushed to the watches of its key")
	}
	runCases(t, open, feedCases)
}

// hasFeed reports whether s implements Feed.
func hasFeed(s storage.Storage) bool {
	f, ok := s.(storage.Feed)
	if !ok {
		return false
	}
	w, err := f.Watch(func(storage.Change) {})
	if err == nil {
		_ = w.Close()
	}
	return !is(err, errors.ErrUnsupported)
}

// maxGaps is how many gaps one watch may report in a test. A machine under load can lose
// a connection to its store; more are a fault of the storage.
const maxGaps = 3

// recorder records the changes that a watch reports.
type recorder struct {
	storage.Watch
	s       storage.Storage
	changes chan storage.Change
	early   []string // changes that the feed may report or not, because they are from before Add or a gap
	gaps    int
}

func watch(t *testing.T, s storage.Storage) *recorder {
	t.Helper()
	r := &recorder{s: s, changes: make(chan storage.Change, 1<<12)}
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { r.changes <- c })
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	r.Watch = w
	t.Cleanup(func() { _ = w.Close() })
	return r
}

func (r *recorder) add(ctx context.Context, t *testing.T, keys ...string) {
	t.Helper()
	if err := r.Add(ctx, keys...); err != nil {
		t.Fatalf("Add(%q): %v", keys, err)
	}
}

// next returns the next change.
func (r *recorder) next(ctx context.Context, t *testing.T) storage.Change {
	t.Helper()
	select {
	case c := <-r.changes:
		return c
	case <-ctx.Done():
		t.Fatal("timed out waiting for a change")
		panic("unreachable")
	}
}

// want compares the next changes, in order, with "key=value" and "-key". Only the
// changes of the same key have an order. The caller has made all of them before. If there
// is a gap, any of them may be missing.
func (r *recorder) want(ctx context.Context, t *testing.T, changes ...string) {
	t.Helper()
	end := "" // after a gap: the change that no earlier one follows
	for len(changes) > 0 {
		got := r.text(ctx, t)
		i := slices.Index(changes, got)
		switch {
		case got == "gap":
			r.early = append(r.early, end)
			end = r.afterGap(ctx, t)
		case got == end:
			r.early = append(r.early, changes...)
			return
		case i == 0, i > 0 && end != "":
			r.early = append(r.early, changes[:i]...)
			changes = changes[i+1:]
		case !slices.Contains(r.early, got):
			t.Fatalf("notified of %q, want %q", got, changes[0])
		}
	}
	if end != "" {
		r.early = append(r.early, end)
	}
}

// afterGap makes a change that the watch must report, as it is connected again, and
// returns its text.
func (r *recorder) afterGap(ctx context.Context, t *testing.T) string {
	t.Helper()
	if r.gaps++; r.gaps > maxGaps {
		t.Fatalf("the watch reports %d gaps", r.gaps)
	}
	t.Logf("the watch reports a gap: it may have missed changes")
	key := fmt.Sprint("after gap ", r.gaps)
	r.add(ctx, t, key)
	set(t, r.s, key, "v")
	return key + "=v"
}

func (r *recorder) text(ctx context.Context, t *testing.T) string {
	t.Helper()
	switch c := r.next(ctx, t); c.Kind {
	case storage.Written:
		return c.Key + "=" + string(c.Item.Value)
	case storage.Removed:
		return "-" + c.Key
	default:
		return "gap"
	}
}

var feedCases = []testCase{
	{"every kind of change", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		r.add(ctx, t, "k")
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := r.next(ctx, t)
		if c.Kind != storage.Written || c.Key != "k" || string(c.Item.Value) != "one" || c.Item.Revision != rev {
			t.Errorf("notified of %+v, want k written, value one, revision %q", c, rev)
		}
		if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("two"), 0); err != nil {
			t.Fatal(err)
		}
		set(t, s, "k", "three")
		// The reported revision is valid for the next swap, without a Load.
		r.want(ctx, t, "k=two")
		c = r.next(ctx, t)
		if _, err := s.CompareAndSwap(ctx, "k", c.Item.Revision, []byte("four"), 0); err != nil {
			t.Errorf("CompareAndSwap with the reported revision: %v", err)
		}
		if err := s.CompareAndDelete(ctx, "k", storage.Any); err != nil {
			t.Fatal(err)
		}
		set(t, s, "k", "five")
		if err := s.Delete("k"); err != nil {
			t.Fatal(err)
		}
		r.want(ctx, t, "k=four", "-k", "k=five", "-k")
	}, ""},
	{"calls that change nothing are not reported", func(ctx context.Context, t *testing.T, s storage.Storage) {
		set(t, s, "k", "one")
		r := watch(t, s)
		r.early = []string{"k=one"}
		r.add(ctx, t, "k", "none")
		if _, err := s.CompareAndSwap(ctx, "k", "some", []byte("two"), 0); !is(err, storage.ErrConflict) {
			t.Fatal(err)
		}
		if err := s.CompareAndDelete(ctx, "k", "some"); !is(err, storage.ErrConflict) {
			t.Fatal(err)
		}
		if err := s.CompareAndDelete(ctx, "none", storage.Any); !is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		if err := s.Touch(ctx, "k", time.Hour); err != nil {
			t.Fatal(err)
		}
		_ = load(ctx, t, s, "k")
		set(t, s, "other", "x")
		set(t, s, "k", "end")
		r.want(ctx, t, "k=end")
	}, ""},
	{"only watched keys", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		set(t, s, "a", "before")
		r.early = []string{"a=before", "c=3"}
		r.add(ctx, t, "a", "b")
		r.add(ctx, t, "a") // adding again is no error, and does not duplicate reports
		set(t, s, "c", "3")
		set(t, s, "a", "1")
		r.want(ctx, t, "a=1")
		set(t, s, "b", "2")
		r.want(ctx, t, "b=2")
		r.Remove("a", "never added")
		r.add(ctx, t, "c")
		set(t, s, "c", "4")
		r.want(ctx, t, "c=4")
		set(t, s, "a", "5") // a slow feed may still report this one
		r.add(ctx, t, "a")
		set(t, s, "a", "6")
		for c := r.next(ctx, t); string(c.Item.Value) != "6"; c = r.next(ctx, t) {
			if c.Key != "a" && c.Kind != storage.Gap {
				t.Fatalf("notified of %+v, which is not watched", c)
			}
		}
	}, ""},
	{"several watches", func(ctx context.Context, t *testing.T, s storage.Storage) {
		one, two := watch(t, s), watch(t, s)
		one.add(ctx, t, "k")
		two.add(ctx, t, "k", "l")
		set(t, s, "k", "1")
		one.want(ctx, t, "k=1")
		two.want(ctx, t, "k=1")
		set(t, s, "l", "2")
		two.want(ctx, t, "l=2")
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		set(t, s, "k", "3")
		two.want(ctx, t, "k=3")
	}, ""},
	{"in the order of changes", func(ctx context.Context, t *testing.T, s storage.Storage) {
		const writers, each = 8, 25
		r := watch(t, s)
		r.add(ctx, t, "n")
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() { // joined by wg.Wait
				for range each {
					if err := increment(ctx, s, "n"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		for i := 1; i <= writers*each; i++ {
			r.want(ctx, t, "n="+strconv.Itoa(i))
		}
	}, ""},
	{"nothing is missed after Add", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		for i := range 50 {
			key := fmt.Sprint("k", i)
			r.add(ctx, t, key)
			set(t, s, key, "v")
			r.want(ctx, t, key+"=v")
		}
	}, ""},
	{"concurrent Adds of many keys", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() { // joined by wg.Wait
				for j := range 16 {
					if err := r.Add(ctx, fmt.Sprint(i, "/", j), "shared"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i := range 16 {
			key := fmt.Sprint(i, "/", i)
			set(t, s, key, "v")
			r.want(ctx, t, key+"=v")
		}
		set(t, s, "shared", "v")
		r.want(ctx, t, "shared=v")
	}, ""},
	{"Lag is an upper bound", testLag, ""},
	{"the reported value is not the writer's slice", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		r.add(ctx, t, "k")
		val := []byte("one")
		if err := s.Set("k", val, 0); err != nil {
			t.Fatal(err)
		}
		copy(val, "xxx")
		r.want(ctx, t, "k=one")
	}, ""},
	{"Remove during Add", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		for range 100 {
			added := make(chan error)
			go func() { added <- r.Add(ctx, "k") }() // received below
			r.Remove("k")
			if err := <-added; err != nil {
				t.Fatalf("Add: %v", err)
			}
		}
	}, ""},
	{"an ended context", func(ctx context.Context, t *testing.T, s storage.Storage) {
		r := watch(t, s)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := r.Add(ended, "k"); !is(err, storage.ErrUnavailable) || !is(err, context.Canceled) {
			t.Errorf("Add: %v, want ErrUnavailable and context.Canceled", err)
		}
		r.add(ctx, t, "k")
	}, ""},
	{"no function", func(_ context.Context, t *testing.T, s storage.Storage) {
		if _, err := s.(storage.Feed).Watch(nil); !is(err, storage.ErrInvalid) {
			t.Errorf("Watch(nil): %v, want ErrInvalid", err)
		}
	}, ""},
	{"Close waits, and nothing is reported after it", func(ctx context.Context, t *testing.T, s storage.Storage) {
		started, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		after := false // written after Close, read by fn: a race if Close does not wait
		w, err := s.(storage.Feed).Watch(func(storage.Change) {
			once.Do(func() { close(started) })
			<-release
			if after {
				t.Error("notified after Close returned")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			set(t, s, "k", strconv.Itoa(i))
		}
		<-started
		closed := make(chan struct{})
		go func() { // closed is received below
			_ = w.Close()
			close(closed)
		}()
		select {
		case <-closed:
			t.Error("Close returned while the callback was running")
		default:
		}
		close(release)
		<-closed
		after = true
		set(t, s, "k", "late")
		if err := w.Add(ctx, "k"); !is(err, storage.ErrClosed) {
			t.Errorf("Add after Close: %v, want ErrClosed", err)
		}
		w.Remove("k")
		if err := w.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}, ""},
}
