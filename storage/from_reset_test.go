package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// unlisted hides the methods that fiber.Storage does not have, such as Keys.
type unlisted struct{ storage.Basic }

func TestF7_FromSuiteWithoutKeys(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, unlisted{&naive{}}) })
}

func put(t *testing.T, s storage.Storage, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := s.Set(key, []byte("v"), 0); err != nil {
			t.Fatalf("Set(%q): %v", key, err)
		}
	}
}

func reset(t *testing.T, s storage.Storage, prefix string) {
	t.Helper()
	if err := s.(storage.PrefixResetter).ResetPrefix(t.Context(), prefix); err != nil {
		t.Fatalf("ResetPrefix(%q): %v", prefix, err)
	}
}

// wantKeys checks which keys exist: those that begin with + do.
func wantKeys(t *testing.T, s storage.Storage, keys ...string) {
	t.Helper()
	for _, key := range keys {
		_, err := s.Load(t.Context(), key[1:])
		if exists := err == nil; exists != (key[0] == '+') || err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Load(%q): %v, want %q", key[1:], err, key)
		}
	}
}

// A storage without Keys keeps what a reset must not remove, and forgets what it must, also
// in the next process.
func TestF7_ResetWithoutKeysOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	b := &naive{}
	s := open(t, unlisted{b})
	put(t, s, "app:1", "app:s:1", "other:1")
	reset(t, s, "app:s:")
	wantKeys(t, s, "+app:1", "-app:s:1", "+other:1")
	put(t, s, "app:s:2")

	next := open(t, unlisted{b}) // the next process
	wantKeys(t, next, "+app:1", "-app:s:1", "+app:s:2", "+other:1")
	reset(t, next, "app:") // includes app:s:
	wantKeys(t, next, "-app:1", "-app:s:1", "-app:s:2", "+other:1")
	put(t, next, "app:s:3", "app:3")
	wantKeys(t, open(t, unlisted{b}), "-app:1", "-app:s:2", "+app:s:3", "+app:3", "+other:1")
	reset(t, next, "app:s:")
	wantKeys(t, next, "-app:s:3", "+app:3", "+other:1")

	if err := next.Reset(); err != nil { // everything, with the record of the resets
		t.Fatal(err)
	}
	wantKeys(t, next, "-app:3", "-other:1")
	put(t, next, "app:4")
	if val, _ := b.Get("app:4"); string(val) != "v" {
		t.Error("after a Reset of everything, the storage does not keep app:4 under its own name")
	}
}

// A driver that learns to list its keys in a later release must not bring back what was
// reset before, and deletes for real from then on.
func TestF7_ResetAfterTheDriverLearnedToList(t *testing.T) {
	t.Parallel()
	b := &naive{}
	s := open(t, unlisted{b})
	put(t, s, "app:old", "app:s:old", "other")
	reset(t, s, "app:s:")
	put(t, s, "app:s:new")

	s = open(t, b)
	wantKeys(t, s, "+app:old", "-app:s:old", "+app:s:new", "+other")
	reset(t, s, "app:")
	wantKeys(t, s, "-app:old", "-app:s:old", "-app:s:new", "+other")
	keys, _ := b.Keys()
	if len(keys) != 2 { // other, and the record of the resets
		t.Errorf("the storage still has %d values, want 2: %q", len(keys), keys)
	}

	// Under the generation of app: stand hashes. Some begin with the letters of another prefix.
	var prefixes []string
	for c := range strings.SplitSeq("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "") {
		prefixes = append(prefixes, "app:"+c)
	}
	unlike := []string{"app:~1", "app:~2", "app:~3", "app:~4", "app:~5", "app:~6"}
	put(t, s, unlike...)
	for _, prefix := range prefixes[:60] {
		reset(t, s, prefix)
	}
	for _, key := range unlike {
		wantKeys(t, s, "+"+key)
	}
	wantKeys(t, s, "+other")
}

// Another process notices a reset within half a minute, and does not read more often.
func TestF7_ResetByAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gets atomic.Int32
		b := unlisted{&naive{onGet: func(string) error { gets.Add(1); return nil }}}
		one, two := open(t, b), open(t, b)
		put(t, one, "app:1", "b")
		gapped := make(chan storage.Change, 8)
		w, err := two.(storage.Feed).Watch(func(c storage.Change) { gapped <- c })
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), "app:1"); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, two, "+app:1")
		reset(t, one, "app:")
		put(t, one, "app:2")

		gets.Store(0)
		for range 100 {
			wantKeys(t, two, "+app:1") // not noticed yet
		}
		if got := gets.Load(); got != 100 {
			t.Errorf("100 loads made %d calls of Get, want 100", got)
		}
		time.Sleep(30 * time.Second) // on the bubble's clock
		gets.Store(0)
		wantKeys(t, two, "-app:1", "+app:2", "+b")
		if got := gets.Load(); got != 4 {
			t.Errorf("three loads after half a minute made %d calls of Get, want 4", got)
		}
		if c := <-gapped; c.Kind != storage.Gap {
			t.Errorf("notified of %+v, want a Gap", c)
		}
		// What was read before the reset must not be written after it.
		if _, err := two.CompareAndSwap(t.Context(), "app:1", "some", []byte("back"), 0); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("CompareAndSwap: %v, want ErrConflict", err)
		}
	})
}

// While the record of resets cannot be read, nothing is: an ended session could come back.
func TestF7_ResetRecordFailsClosed(t *testing.T) {
	t.Parallel()
	b := &naive{}
	s := open(t, unlisted{b})
	put(t, s, "app:1")
	reset(t, s, "app:")
	down := true
	b.onGet = func(string) error {
		if down {
			return errBackend
		}
		return nil
	}
	next := open(t, unlisted{b})
	if _, err := next.Load(t.Context(), "app:1"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Load: %v, want ErrUnavailable", err)
	}
	down = false
	wantKeys(t, next, "-app:1")

	for _, bad := range []string{"x", "fbr1\x05app", "fbr1\x04app:short", "fbr1\x00", "fbr1" + strings.Repeat("\xff", 12)} {
		if err := b.Set("fiberbridge|resets", []byte(bad), 0); err != nil {
			t.Fatal(err)
		}
		next = open(t, unlisted{b})
		if _, err := next.Load(t.Context(), "app:1"); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "fiberbridge|resets") {
			t.Errorf("record %q: Load: %v, want ErrUnavailable that names the key", bad, err)
		}
		if err := next.Reset(); err != nil {
			t.Errorf("record %q: Reset: %v", bad, err)
		}
		wantKeys(t, next, "-app:1")
	}
}

// A reset whose record may not have been written reports it, and the next call reads the
// record.
func TestF7_ResetOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for name, written := range map[string]bool{"written": true, "not written": false} {
		b := &naive{}
		s := open(t, unlisted{b})
		put(t, s, "app:1")
		b.onSet = func(key string) error {
			if written {
				b.onSet = nil
				other := open(t, unlisted{b})
				reset(t, other, "app:")
			}
			return errBackend
		}
		err := s.(storage.PrefixResetter).ResetPrefix(t.Context(), "app:")
		if !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("%s: ResetPrefix: %v, want ErrUnknownOutcome", name, err)
		}
		b.onSet = nil
		if written {
			wantKeys(t, s, "-app:1")
		} else {
			wantKeys(t, s, "+app:1")
		}
	}
}

// A swap that has read before a reset by prefix must not restore its key after it, also if
// the caller of the reset gives up.
func TestF7_ResetWaitsForWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		b := &naive{}
		s := open(t, unlisted{b})
		put(t, s, "app:1")
		b.onSet = g.wait
		swapped := make(chan error, 1)
		go func() { // received below
			item, err := s.Load(context.Background(), "app:1")
			if err == nil {
				_, err = s.CompareAndSwap(context.Background(), "app:1", item.Revision, []byte("w"), 0)
			}
			swapped <- err
		}()
		synctest.Wait() // the swap has read, and is about to write
		if err := s.(storage.PrefixResetter).ResetPrefix(shortContext(t), "app:"); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("ResetPrefix: %v, want ErrUnavailable", err)
		}
		close(g.opened)
		if err := <-swapped; err != nil {
			t.Error(err)
		}
		reset(t, s, "app:")
		wantKeys(t, s, "-app:1")

		// A reset that was given up while it was written keeps its locks.
		g = newGate()
		b.onSet = g.wait
		if err := s.(storage.PrefixResetter).ResetPrefix(shortContext(t), "app:"); !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("ResetPrefix: %v, want ErrUnknownOutcome", err)
		}
		_, err := s.CompareAndSwap(shortContext(t), "app:1", storage.Absent, []byte("w"), 0)
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("CompareAndSwap during the reset: %v, want ErrUnavailable", err)
		}
		close(g.opened)
		synctest.Wait()
		wantKeys(t, s, "-app:1")
	})
}

func TestF7_ResetsAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, unlisted{&naive{}})
	for i := range 64 {
		reset(t, s, fmt.Sprint("user", 100+i, ":"))
	}
	put(t, s, "more:1", "user100:1")
	err := s.(storage.PrefixResetter).ResetPrefix(t.Context(), "more:")
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ResetPrefix of one more: %v, want errors.ErrUnsupported", err)
	}
	wantKeys(t, s, "+more:1")
	reset(t, s, "user100:")
	reset(t, s, "user") // replaces them all
	wantKeys(t, s, "+more:1", "-user100:1")
	reset(t, s, "more:")
	wantKeys(t, s, "-more:1")
}

func TestFromReservesTheKeyOfItsRecord(t *testing.T) {
	t.Parallel()
	s := open(t, &naive{})
	const key = "fiberbridge|resets"
	_, loadErr := s.Load(t.Context(), key)
	_, swapErr := s.CompareAndSwap(t.Context(), key, storage.Absent, []byte("v"), 0)
	for call, err := range map[string]error{
		"Load": loadErr, "CompareAndSwap": swapErr, "Set": s.Set(key, []byte("v"), 0), "Delete": s.Delete(key),
		"CompareAndDelete": s.CompareAndDelete(t.Context(), key, storage.Any), "Touch": s.Touch(t.Context(), key, 0),
	} {
		if !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", call, err)
		}
	}
}

// BenchmarkFromReset measures what resets add to each call: nothing but a comparison of
// the clock before the first, and a hash after it.
func BenchmarkFromReset(b *testing.B) {
	for _, prefix := range []string{"", "other:", "fiberbridge:s:"} {
		b.Run(fmt.Sprintf("after the reset of %q", prefix), func(b *testing.B) {
			s := storage.From(unlisted{&naive{}})
			defer func() { _ = s.Close() }()
			if prefix != "" {
				if err := s.(storage.PrefixResetter).ResetPrefix(b.Context(), prefix); err != nil {
					b.Fatal(err)
				}
			}
			key := "fiberbridge:s:" + strings.Repeat("k", 43)
			if err := s.Set(key, []byte("v"), 0); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Get(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// lateAnswer delays what Get returns for one key.
type lateAnswer struct {
	storage.Basic
	late func(key string)
}

func (l lateAnswer) Get(key string) ([]byte, error) {
	val, err := l.Basic.Get(key)
	l.late(key)
	return val, err
}

// A call that has read the record before a reset, and gets the answer after it, must not
// undo the reset.
func TestF7_ResetDuringTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, first := newGate(), true
		s := open(t, lateAnswer{&naive{data: map[string]entry{"app:1": {val: []byte("v")}}}, func(string) {
			if first {
				first = false
				_ = g.wait("")
			}
		}})
		loaded := make(chan error, 1)
		go func() { // received below
			_, err := s.Load(context.Background(), "app:1")
			loaded <- err
		}()
		synctest.Wait() // it has the record, but no answer yet
		reset(t, s, "app:")
		close(g.opened)
		if err := <-loaded; !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Load: %v, want ErrNotFound", err)
		}
		wantKeys(t, s, "-app:1")
	})
}
