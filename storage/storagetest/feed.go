package storagetest

import (
	"context"
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
	if _, ok := open(t).(storage.Feed); !ok {
		t.Skipf("SKIPPED: the storage is no storage.Feed")
	}
	rows(t, open, feedRows)
}

// log collects what a watch tells.
type log struct {
	storage.Watch
	changes chan storage.Change
	early   []string // changes from before Add, which a feed may tell late or not at all
}

func watch(t *testing.T, s storage.Storage) *log {
	t.Helper()
	l := &log{changes: make(chan storage.Change, 1<<12)}
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { l.changes <- c })
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	l.Watch = w
	t.Cleanup(func() { _ = w.Close() })
	return l
}

func (l *log) add(ctx context.Context, t *testing.T, keys ...string) {
	t.Helper()
	if err := l.Add(ctx, keys...); err != nil {
		t.Fatalf("Add(%q): %v", keys, err)
	}
}

// next returns the next change.
func (l *log) next(ctx context.Context, t *testing.T) storage.Change {
	t.Helper()
	select {
	case c := <-l.changes:
		return c
	case <-ctx.Done():
		t.Fatal("no change was told")
		panic("unreachable")
	}
}

// want compares the next changes, in their order, with "key=value" and "-key".
// There is an order among the changes of one key only.
func (l *log) want(ctx context.Context, t *testing.T, changes ...string) {
	t.Helper()
	for _, want := range changes {
		got := l.text(ctx, t)
		for slices.Contains(l.early, got) {
			got = l.text(ctx, t)
		}
		if got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
}

func (l *log) text(ctx context.Context, t *testing.T) string {
	t.Helper()
	switch c := l.next(ctx, t); c.Kind {
	case storage.Written:
		return c.Key + "=" + string(c.Item.Value)
	case storage.Removed:
		return "-" + c.Key
	default:
		return "gap"
	}
}

var feedRows = []row{
	{"every kind of change", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		l.add(ctx, t, "k")
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := l.next(ctx, t)
		if c.Kind != storage.Written || c.Key != "k" || string(c.Item.Value) != "one" || c.Item.Revision != rev {
			t.Errorf("told %+v, want k written, one, revision %q", c, rev)
		}
		if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("two"), 0); err != nil {
			t.Fatal(err)
		}
		put(t, s, "k", "three")
		// The revision that is told serves for the next swap, without a Load.
		l.want(ctx, t, "k=two")
		c = l.next(ctx, t)
		if _, err := s.CompareAndSwap(ctx, "k", c.Item.Revision, []byte("four"), 0); err != nil {
			t.Errorf("CompareAndSwap with the told revision: %v", err)
		}
		if err := s.CompareAndDelete(ctx, "k", storage.Any); err != nil {
			t.Fatal(err)
		}
		put(t, s, "k", "five")
		if err := s.Delete("k"); err != nil {
			t.Fatal(err)
		}
		l.want(ctx, t, "k=four", "-k", "k=five", "-k")
	}},
	{"what changes nothing is not told", func(ctx context.Context, t *testing.T, s storage.Storage) {
		put(t, s, "k", "one")
		l := watch(t, s)
		l.early = []string{"k=one"}
		l.add(ctx, t, "k", "none")
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
		put(t, s, "other", "x")
		put(t, s, "k", "end")
		l.want(ctx, t, "k=end")
	}},
	{"only the keys that are watched", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		put(t, s, "a", "before")
		l.early = []string{"a=before", "c=3"}
		l.add(ctx, t, "a", "b")
		l.add(ctx, t, "a") // again: no error, and not told twice
		put(t, s, "c", "3")
		put(t, s, "a", "1")
		l.want(ctx, t, "a=1")
		put(t, s, "b", "2")
		l.want(ctx, t, "b=2")
		l.Remove("a", "never added")
		l.add(ctx, t, "c")
		put(t, s, "c", "4")
		l.want(ctx, t, "c=4")
		put(t, s, "a", "5") // may be told by a slow feed, so it is not asserted
		l.add(ctx, t, "a")
		put(t, s, "a", "6")
		for c := l.next(ctx, t); string(c.Item.Value) != "6"; c = l.next(ctx, t) {
			if c.Key != "a" && c.Kind != storage.Gap {
				t.Fatalf("told %+v", c)
			}
		}
	}},
	{"several watches", func(ctx context.Context, t *testing.T, s storage.Storage) {
		one, two := watch(t, s), watch(t, s)
		one.add(ctx, t, "k")
		two.add(ctx, t, "k", "l")
		put(t, s, "k", "1")
		one.want(ctx, t, "k=1")
		two.want(ctx, t, "k=1")
		put(t, s, "l", "2")
		two.want(ctx, t, "l=2")
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		put(t, s, "k", "3")
		two.want(ctx, t, "k=3")
	}},
	{"in the order of changes", func(ctx context.Context, t *testing.T, s storage.Storage) {
		const writers, each = 8, 25
		l := watch(t, s)
		l.add(ctx, t, "n")
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() { // waited for below
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
			l.want(ctx, t, "n="+strconv.Itoa(i))
		}
	}},
	{"nothing is missed after Add", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		for i := range 50 {
			key := fmt.Sprint("k", i)
			l.add(ctx, t, key)
			put(t, s, key, "v")
			l.want(ctx, t, key+"=v")
		}
	}},
	{"many keys added at once by many", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() { // waited for below
				for j := range 16 {
					if err := l.Add(ctx, fmt.Sprint(i, "/", j), "shared"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i := range 16 {
			key := fmt.Sprint(i, "/", i)
			put(t, s, key, "v")
			l.want(ctx, t, key+"=v")
		}
		put(t, s, "shared", "v")
		l.want(ctx, t, "shared=v")
	}},
	{"what Lag says is so", lagIsTrue},
	{"the told value is not the writer's slice", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		l.add(ctx, t, "k")
		val := []byte("one")
		if err := s.Set("k", val, 0); err != nil {
			t.Fatal(err)
		}
		copy(val, "xxx")
		l.want(ctx, t, "k=one")
	}},
	{"a key that is removed while it is added", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		for range 100 {
			added := make(chan error)
			go func() { added <- l.Add(ctx, "k") }() // received below
			l.Remove("k")
			if err := <-added; err != nil {
				t.Fatalf("Add: %v", err)
			}
		}
	}},
	{"an ended context", func(ctx context.Context, t *testing.T, s storage.Storage) {
		l := watch(t, s)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := l.Add(ended, "k"); !is(err, storage.ErrUnavailable) || !is(err, context.Canceled) {
			t.Errorf("Add: %v, want ErrUnavailable and context.Canceled", err)
		}
		l.add(ctx, t, "k")
	}},
	{"no function", func(_ context.Context, t *testing.T, s storage.Storage) {
		if _, err := s.(storage.Feed).Watch(nil); !is(err, storage.ErrInvalid) {
			t.Errorf("Watch(nil): %v, want ErrInvalid", err)
		}
	}},
	{"Close waits, and nothing is told after it", func(ctx context.Context, t *testing.T, s storage.Storage) {
		started, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		after := false // written after Close, read by fn: a race if Close does not wait
		w, err := s.(storage.Feed).Watch(func(storage.Change) {
			once.Do(func() { close(started) })
			<-release
			if after {
				t.Error("told after Close returned")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			put(t, s, "k", strconv.Itoa(i))
		}
		<-started
		closed := make(chan struct{})
		go func() { // closed is received below
			_ = w.Close()
			close(closed)
		}()
		select {
		case <-closed:
			t.Error("Close returned while the function was running")
		default:
		}
		close(release)
		<-closed
		after = true
		put(t, s, "k", "late")
		if err := w.Add(ctx, "k"); !is(err, storage.ErrClosed) {
			t.Errorf("Add after Close: %v, want ErrClosed", err)
		}
		w.Remove("k")
		if err := w.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}},
}
