package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

func is(err, target error) bool { return errors.Is(err, target) }

// TestStorage tests storage.Storage, but for the abilities in without.
func TestStorage(t *testing.T, open Open, without ...Ability) {
	runCases(t, open, storageCases, without...)
	runCases(t, open, keyCases)
}

var storageCases = []testCase{
	{"an absent key", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if val, err := s.Get("k"); val != nil || err != nil {
			t.Errorf("Get = %q, %v, want nil, nil", val, err)
		}
		if _, err := s.Load(ctx, "k"); !is(err, storage.ErrNotFound) {
			t.Errorf("Load: %v, want ErrNotFound", err)
		}
		if err := s.Delete("k"); err != nil {
			t.Errorf("Delete: %v, want nil", err)
		}
		for _, old := range []storage.Revision{storage.Absent, storage.Any, "some"} {
			if err := s.CompareAndDelete(ctx, "k", old); !is(err, storage.ErrNotFound) {
				t.Errorf("CompareAndDelete(%q): %v, want ErrNotFound", old, err)
			}
		}
		if err := s.Touch(ctx, "k", time.Hour); !is(err, storage.ErrNotFound) {
			t.Errorf("Touch: %v, want ErrNotFound", err)
		}
		if _, err := s.CompareAndSwap(ctx, "k", "some", []byte("v"), 0); !is(err, storage.ErrConflict) {
			t.Errorf("CompareAndSwap: %v, want ErrConflict", err)
		}
		if !isAbsent(ctx, t, s, "k") {
			t.Error("a failed call stored a value")
		}
	}, ""},
	{"ping", func(ctx context.Context, t *testing.T, s storage.Storage) {
		if err := storage.Ping(ctx, s); err != nil {
			t.Errorf("Ping: %v", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := storage.Ping(ended, s); !is(err, storage.ErrUnavailable) {
			t.Errorf("Ping with a context that has ended: %v, want ErrUnavailable", err)
		}
	}, ""},
	{"set, get, delete", func(ctx context.Context, t *testing.T, s storage.Storage) {
		set(t, s, "k", "one")
		set(t, s, "k", "two")
		set(t, s, "other", "three")
		if val, err := s.Get("k"); string(val) != "two" || err != nil {
			t.Errorf("Get = %q, %v, want two", val, err)
		}
		if err := s.Delete("k"); err != nil {
			t.Error(err)
		}
		if val, err := s.Get("k"); val != nil || err != nil {
			t.Errorf("Get after Delete = %q, %v, want nil, nil", val, err)
		}
		if val, _ := s.Get("other"); string(val) != "three" {
			t.Errorf("another key = %q, want three", val)
		}
	}, ""},
	{"swap", func(ctx context.Context, t *testing.T, s storage.Storage) {
		first, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil || first == storage.Absent || first == storage.Any {
			t.Fatalf("CompareAndSwap of an absent key = %q, %v", first, err)
		}
		if item := load(ctx, t, s, "k"); string(item.Value) != "one" || item.Revision != first {
			t.Errorf("Load = %q %q, want one %q", item.Value, item.Revision, first)
		}
		second, err := s.CompareAndSwap(ctx, "k", first, []byte("two"), 0)
		if err != nil || second == first {
			t.Fatalf("CompareAndSwap = %q, %v, want a new revision", second, err)
		}
		for _, old := range []storage.Revision{storage.Absent, storage.Any, first, "some"} {
			if rev, err := s.CompareAndSwap(ctx, "k", old, []byte("three"), 0); !is(err, storage.ErrConflict) || rev != storage.Absent {
				t.Errorf("CompareAndSwap(old %q) = %q, %v, want ErrConflict", old, rev, err)
			}
		}
		if item := load(ctx, t, s, "k"); string(item.Value) != "two" || item.Revision != second {
			t.Errorf("Load = %q %q, want two %q", item.Value, item.Revision, second)
		}
	}, ""},
	{"swap to the same value", func(ctx context.Context, t *testing.T, s storage.Storage) {
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if rev, err = s.CompareAndSwap(ctx, "k", rev, []byte("one"), 0); err != nil {
			t.Fatal(err)
		}
		if got := load(ctx, t, s, "k").Revision; got != rev {
			t.Errorf("Load returned revision %q, CompareAndSwap %q", got, rev)
		}
	}, ""},
	{"a plain set changes the revision", func(ctx context.Context, t *testing.T, s storage.Storage) {
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		set(t, s, "k", "by another")
		if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("two"), 0); !is(err, storage.ErrConflict) {
			t.Errorf("CompareAndSwap: %v, want ErrConflict", err)
		}
		if err := s.CompareAndDelete(ctx, "k", rev); !is(err, storage.ErrConflict) {
			t.Errorf("CompareAndDelete: %v, want ErrConflict", err)
		}
		if item := load(ctx, t, s, "k"); string(item.Value) != "by another" {
			t.Errorf("value %q, want the one that Set stored", item.Value)
		}
	}, ""},
	{"delete by revision", func(ctx context.Context, t *testing.T, s storage.Storage) {
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range []storage.Revision{storage.Absent, "some"} {
			if err := s.CompareAndDelete(ctx, "k", old); !is(err, storage.ErrConflict) {
				t.Errorf("CompareAndDelete(%q): %v, want ErrConflict", old, err)
			}
		}
		if err := s.CompareAndDelete(ctx, "k", rev); err != nil || !isAbsent(ctx, t, s, "k") {
			t.Errorf("CompareAndDelete: %v", err)
		}
		// A caller that read the key before the delete must not restore it.
		if _, err := s.CompareAndSwap(ctx, "k", rev, []byte("back"), 0); !is(err, storage.ErrConflict) {
			t.Errorf("CompareAndSwap after the delete: %v, want ErrConflict", err)
		}
		set(t, s, "k", "two")
		if err := s.CompareAndDelete(ctx, "k", storage.Any); err != nil || !isAbsent(ctx, t, s, "k") {
			t.Errorf("CompareAndDelete(Any): %v", err)
		}
	}, ""},
	{"empty keys and values", func(ctx context.Context, t *testing.T, s storage.Storage) {
		set(t, s, "k", "one")
		if err := s.Set("", []byte("v"), 0); err != nil {
			t.Errorf("Set of an empty key: %v, want nil", err)
		}
		for _, empty := range [][]byte{nil, {}} {
			if err := s.Set("k", empty, 0); err != nil {
				t.Errorf("Set of an empty value: %v, want nil", err)
			}
			if _, err := s.CompareAndSwap(ctx, "new", storage.Absent, empty, 0); !is(err, storage.ErrInvalid) {
				t.Errorf("CompareAndSwap of an empty value: %v, want ErrInvalid", err)
			}
		}
		if val, err := s.Get(""); val != nil || err != nil {
			t.Errorf("Get of an empty key = %q, %v", val, err)
		}
		if err := s.Delete(""); err != nil {
			t.Errorf("Delete of an empty key: %v", err)
		}
		if _, err := s.Load(ctx, ""); !is(err, storage.ErrNotFound) {
			t.Errorf("Load of an empty key: %v, want ErrNotFound", err)
		}
		if _, err := s.CompareAndSwap(ctx, "", storage.Absent, []byte("v"), 0); !is(err, storage.ErrInvalid) {
			t.Errorf("CompareAndSwap of an empty key: %v, want ErrInvalid", err)
		}
		if err := s.CompareAndDelete(ctx, "", storage.Any); !is(err, storage.ErrNotFound) {
			t.Errorf("CompareAndDelete of an empty key: %v, want ErrNotFound", err)
		}
		if err := s.Touch(ctx, "", 0); !is(err, storage.ErrNotFound) {
			t.Errorf("Touch of an empty key: %v, want ErrNotFound", err)
		}
		if got := string(load(ctx, t, s, "k").Value); got != "one" {
			t.Errorf("value %q, want one", got)
		}
	}, ""},
	{"negative ttl", func(ctx context.Context, t *testing.T, s storage.Storage) {
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.CompareAndSwap(ctx, "k", rev, []byte("two"), -1)
		for call, err := range map[string]error{
			"CompareAndSwap": err,
			"Touch":          s.Touch(ctx, "k", -time.Second),
			"Set":            s.Set("k", []byte("two"), -1),
		} {
			if !is(err, storage.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", call, err)
			}
		}
		if got := string(load(ctx, t, s, "k").Value); got != "one" {
			t.Errorf("value %q, want one", got)
		}
	}, ""},
	{"a value of any bytes", func(ctx context.Context, t *testing.T, s storage.Storage) {
		val := make([]byte, 256)
		for i := range val {
			val[i] = byte(i)
		}
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, val, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if item := load(ctx, t, s, "k"); !bytes.Equal(item.Value, val) || item.Revision != rev {
			t.Errorf("Load = %q %q, want %q %q", item.Value, item.Revision, val, rev)
		}
	}, ""},
	{"a value of 48 KiB", valueOf(48 << 10), ""},
	{"a value of 1 MiB", valueOf(1 << 20), LargeValues},
	{"values are private", func(ctx context.Context, t *testing.T, s storage.Storage) {
		scribble := func(b []byte) {
			for i := range b {
				b[i] = 'x'
			}
		}
		const want = "private"
		given := []byte(want)
		if _, err := s.CompareAndSwap(ctx, "swapped", storage.Absent, given, 0); err != nil {
			t.Fatal(err)
		}
		scribble(given)
		given = []byte(want)
		if err := s.Set("set", given, 0); err != nil {
			t.Fatal(err)
		}
		scribble(given)
		for _, key := range []string{"swapped", "set"} {
			if got := string(load(ctx, t, s, key).Value); got != want {
				t.Errorf("%s: the value is %q after the caller changed its own slice", key, got)
			}
			rev := load(ctx, t, s, key).Revision
			scribble(load(ctx, t, s, key).Value)
			got, _ := s.Get(key)
			scribble(got)
			if item := load(ctx, t, s, key); string(item.Value) != want || item.Revision != rev {
				t.Errorf("%s: the value is %q after the caller changed a returned slice", key, item.Value)
			}
		}
	}, ""},
	{"expiry", func(ctx context.Context, t *testing.T, s storage.Storage) {
		const brief = 50 * time.Millisecond
		const long = 3 * time.Second // long enough to be touched before it expires
		rev, err := s.CompareAndSwap(ctx, "touched", storage.Absent, []byte("v"), long)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Touch(ctx, "touched", time.Hour); err != nil {
			t.Fatal(err)
		}
		set(t, s, "shortened", "v")
		set(t, s, "rewritten", "v")
		_, err = s.CompareAndSwap(ctx, "swapped", storage.Absent, []byte("v"), brief)
		for call, err := range map[string]error{
			"swap":              err,
			"set":               s.Set("set", []byte("v"), brief),
			"touch":             s.Touch(ctx, "shortened", brief),
			"set with a ttl":    s.Set("freed", []byte("v"), long),
			"touch without ttl": s.Touch(ctx, "freed", 0),
			"set again":         s.Set("rewritten", []byte("w"), brief),
		} {
			if err != nil {
				t.Fatalf("%s: %v", call, err)
			}
		}
		for _, key := range []string{"swapped", "set", "shortened", "rewritten"} {
			waitFor(ctx, t, key+" expires", func() bool { return isAbsent(ctx, t, s, key) })
		}
		if _, err := s.CompareAndSwap(ctx, "swapped", storage.Absent, []byte("again"), 0); err != nil {
			t.Errorf("CompareAndSwap of an expired key: %v", err)
		}
		if err := s.Touch(ctx, "set", time.Hour); !is(err, storage.ErrNotFound) {
			t.Errorf("Touch of an expired key: %v, want ErrNotFound", err)
		}
		// The companion has the ttl that these keys had before. Once it has expired, that ttl has passed.
		if err := s.Set("companion", []byte("v"), long); err != nil {
			t.Fatal(err)
		}
		waitFor(ctx, t, "companion expires", func() bool { return isAbsent(ctx, t, s, "companion") })
		if item := load(ctx, t, s, "touched"); item.Revision != rev {
			t.Error("Touch changed the revision")
		}
		if isAbsent(ctx, t, s, "freed") {
			t.Error("Touch with ttl 0 did not remove the expiry")
		}
	}, Expiry},
	{"a long ttl", func(ctx context.Context, t *testing.T, s storage.Storage) {
		for i, ttl := range []time.Duration{24 * time.Hour, 100 * 365 * 24 * time.Hour, 1<<63 - 1} {
			key := strconv.Itoa(i)
			if _, err := s.CompareAndSwap(ctx, key, storage.Absent, []byte("v"), ttl); err != nil {
				t.Errorf("ttl %v: %v", ttl, err)
			} else if isAbsent(ctx, t, s, key) {
				t.Errorf("ttl %v: the key is absent right after the write", ttl)
			}
		}
	}, ""},
	{"ended contexts", func(ctx context.Context, t *testing.T, s storage.Storage) {
		rev, err := s.CompareAndSwap(ctx, "k", storage.Absent, []byte("one"), 0)
		if err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
		defer cancel()
		for name, ended := range map[string]context.Context{"cancelled": cancelled, "expired": late} {
			_, loadErr := s.Load(ended, "k")
			_, swapErr := s.CompareAndSwap(ended, "k", rev, []byte("two"), 0)
			for call, err := range map[string]error{
				"Load":             loadErr,
				"CompareAndSwap":   swapErr,
				"CompareAndDelete": s.CompareAndDelete(ended, "k", rev),
				"Touch":            s.Touch(ended, "k", time.Second),
			} {
				if !is(err, storage.ErrUnavailable) || !is(err, ended.Err()) || is(err, storage.ErrUnknownOutcome) {
					t.Errorf("%s, %s: %v, want ErrUnavailable and %v", name, call, err, ended.Err())
				}
			}
		}
		if item := load(ctx, t, s, "k"); item.Revision != rev {
			t.Error("a call with an ended context changed the value")
		}
	}, ""},
	{"64 goroutines increment to the exact total", func(ctx context.Context, t *testing.T, s storage.Storage) {
		const most = 4000 // attempts, of which most fail; a slow store needs a minute for more
		var attempts, done atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { // joined by wg.Wait
				for attempts.Load() < most {
					n, err := tryIncrement(ctx, s, "n")
					attempts.Add(n)
					if err != nil {
						t.Error(err)
						return
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
		if got := string(load(ctx, t, s, "n").Value); got != strconv.FormatInt(done.Load(), 10) {
			t.Errorf("the total is %s, want %d", got, done.Load())
		}
	}, ""},
	{"one winner per race", func(ctx context.Context, t *testing.T, s storage.Storage) {
		for round := range 20 {
			key := strconv.Itoa(round)
			var created, deleted atomic.Int32
			race := func(fn func(i int) (won bool, err error)) {
				var wg sync.WaitGroup
				for i := range 16 {
					wg.Go(func() { // joined by wg.Wait
						if _, err := fn(i); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			}
			race(func(i int) (bool, error) {
				_, err := s.CompareAndSwap(ctx, key, storage.Absent, fmt.Append(nil, i), 0)
				return count(&created, err, storage.ErrConflict)
			})
			rev := load(ctx, t, s, key).Revision
			race(func(int) (bool, error) {
				return count(&deleted, s.CompareAndDelete(ctx, key, rev), storage.ErrNotFound)
			})
			if created.Load() != 1 || deleted.Load() != 1 {
				t.Fatalf("round %d: %d callers created the key and %d deleted it, want one each", round, created.Load(), deleted.Load())
			}
		}
	}, ""},
}

// valueOf tests a value of size bytes.
func valueOf(size int) func(ctx context.Context, t *testing.T, s storage.Storage) {
	return func(ctx context.Context, t *testing.T, s storage.Storage) {
		val := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		if _, err := s.CompareAndSwap(ctx, "k", storage.Absent, val, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(load(ctx, t, s, "k").Value, val) {
			t.Error("Load returned a different value")
		}
	}
}

// count counts a success. It returns err unless err is lost, the error of a lost race.
func count(n *atomic.Int32, err, lost error) (bool, error) {
	if err == nil {
		n.Add(1)
		return true, nil
	}
	if is(err, lost) {
		return false, nil
	}
	return false, err
}

// increment adds one to the number at key, and retries on conflicts.
func increment(ctx context.Context, s storage.Storage, key string) error {
	_, err := tryIncrement(ctx, s, key)
	return err
}

// tryIncrement is increment, and returns the number of attempts.
func tryIncrement(ctx context.Context, s storage.Storage, key string) (attempts int64, err error) {
	for {
		attempts++
		item, err := s.Load(ctx, key)
		if err != nil && !is(err, storage.ErrNotFound) {
			return attempts, err
		}
		n, _ := strconv.Atoi(string(item.Value))
		_, err = s.CompareAndSwap(ctx, key, item.Revision, strconv.AppendInt(nil, int64(n+1), 10), time.Hour)
		if !is(err, storage.ErrConflict) {
			return attempts, err
		}
	}
}
