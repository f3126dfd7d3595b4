package redis_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

// A write whose reply was lost was executed, so it must return ErrUnknownOutcome. A
// retry would turn a swap into ErrConflict.
func TestLostRepliesAreUnknownOutcomes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	calls := []struct {
		name string
		call func(ctx context.Context, s storage.Storage, key string, rev storage.Revision) error
		want error
		left string // the value afterwards
	}{
		{"swap", func(ctx context.Context, s storage.Storage, key string, rev storage.Revision) error {
			_, err := s.CompareAndSwap(ctx, key, rev, []byte("new"), 0)
			return err
		}, storage.ErrUnknownOutcome, "new"},
		{"delete", func(ctx context.Context, s storage.Storage, key string, rev storage.Revision) error {
			return s.CompareAndDelete(ctx, key, rev)
		}, storage.ErrUnknownOutcome, ""},
		{"touch", func(ctx context.Context, s storage.Storage, key string, _ storage.Revision) error {
			return s.Touch(ctx, key, time.Hour)
		}, storage.ErrUnknownOutcome, "old"},
		{"set", func(_ context.Context, s storage.Storage, key string, _ storage.Revision) error {
			return s.Set(key, []byte("new"), 0)
		}, storage.ErrUnknownOutcome, "new"},
		{"load", func(ctx context.Context, s storage.Storage, key string, _ storage.Revision) error {
			_, err := s.Load(ctx, key)
			return err
		}, nil, "old"}, // a read is retried
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := redistest.NewProxy(t, server.Addr())
			s := open(t, p.URL())
			key := "key of " + tt.name
			rev, err := direct.CompareAndSwap(t.Context(), key, storage.Absent, []byte("old"), 0)
			if err != nil {
				t.Fatal(err)
			}
			_ = tt.call(t.Context(), s, "warm", "up") // so that the server knows the scripts
			p.DropReply(key)
			if err := tt.call(t.Context(), s, key, rev); !errors.Is(err, tt.want) || errors.Is(err, storage.ErrConflict) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if val, err := direct.Get(key); string(val) != tt.left || err != nil {
				t.Errorf("the value afterwards is %q (error %v), want %q", val, err, tt.left)
			}
			// The storage still works.
			if _, err := s.Load(t.Context(), "warm"); err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("Load afterwards: %v", err)
			}
		})
	}
}

// openSecondConnection makes the pool of s hold two connections. Otherwise the second request
// that a paused proxy counts is the HELLO of a new connection, and not the call of the test.
func openSecondConnection(t *testing.T, s storage.Storage, p *redistest.Proxy) {
	t.Helper()
	p.PauseReplies()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { // waited for below
			if _, err := s.Load(t.Context(), "k"); err != nil {
				t.Errorf("Load: %v", err)
			}
		})
		<-p.Requests()
	}
	p.Resume()
	wg.Wait()
}

// A call ends when its context is cancelled, even if the server does not reply.
func TestCallsEndWithTheContext(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL()+"?timeout=1m")
	if err := s.Set("k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	item, err := s.Load(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	openSecondConnection(t, s, p)
	p.PauseReplies()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // waited for below
		if _, err := s.Load(ctx, "k"); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Load: %v, want ErrUnavailable and context.Canceled", err)
		}
	})
	<-p.Requests() // one worker is busy; the next request occupies the other
	wg.Go(func() {
		_, err := s.CompareAndSwap(ctx, "k", item.Revision, []byte("w"), 0)
		if !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
			t.Errorf("CompareAndSwap: %v, want ErrUnknownOutcome and context.Canceled", err)
		}
	})
	<-p.Requests()

	// All redis.WorkersPerNode workers are busy now. Another request is not sent, and
	// its caller gets ErrUnavailable: certainly nothing happened.
	late, cancelLate := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelLate()
	if redis.WorkersPerNode != 2 {
		t.Fatal("the test assumes two workers")
	}
	_, err = s.CompareAndSwap(late, "never", storage.Absent, []byte("w"), 0)
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("CompareAndSwap in the queue: %v, want ErrUnavailable", err)
	}
	cancel()
	wg.Wait()
	p.Resume()
	if _, err := s.Load(t.Context(), "never"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the request abandoned in the queue was sent: Load returned %v", err)
	}
	if val, _ := s.Get("k"); string(val) != "w" {
		t.Errorf("k is %q, want w: the swap in flight was not executed", val)
	}
}

// A caller that has returned may reuse its memory while its request is still being
// sent.
func TestAbandonedRequestsKeepTheirValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL()+"?timeout=1m") // a loaded machine needs more than 3 s for 32 MiB
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL()+"?timeout=1m")
	if err := s.Set("warm", []byte("up"), 0); err != nil { // now the server knows the script
		t.Fatal(err)
	}
	p.Pause()
	val := bytes.Repeat([]byte("v"), 32<<20) // more than the socket buffers hold
	want := sha256.Sum256(val)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { // received below
		_, err := s.CompareAndSwap(ctx, "k", storage.Absent, val, 0)
		result <- err
	}()
	<-p.Requests()
	cancel()
	if err := <-result; !errors.Is(err, storage.ErrUnknownOutcome) {
		t.Fatalf("CompareAndSwap: %v, want ErrUnknownOutcome", err)
	}
	for i := range val {
		val[i] = 'x'
	}
	p.Resume()
	waitFor(t, "the value is stored", func() bool {
		got, err := direct.Get("k")
		if err != nil {
			t.Fatal(err)
		}
		if got != nil && sha256.Sum256(got) != want {
			t.Fatal("the stored value has the bytes that the caller wrote after the call returned")
		}
		return got != nil
	})
}

// No reply reaches another call, even when calls are abandoned.
func TestCVE_2025_29923_AnswersAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t).URL())
	const keys = 64
	for i := range keys {
		if err := s.Set(strconv.Itoa(i), []byte(strconv.Itoa(i)), 0); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() { // waited for below
			for n := range 300 {
				key := strconv.Itoa((g*31 + n) % keys)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*50*time.Microsecond)
				if n%7 == 0 {
					ctx = t.Context()
				}
				item, err := s.Load(ctx, key)
				cancel()
				if err == nil && string(item.Value) != key {
					t.Errorf("Load(%s) returned the value %q of another key", key, item.Value)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) { // of the call or of its batch
					t.Errorf("key %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
}

// When the server is down, every call of a batch gets an error; none may look
// successful.
func TestServerDownForMany(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL()+"?pool_size=4")
	if err := s.Set("k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() { // waited for below
			for range 10 {
				var err error
				if i%2 == 0 {
					_, err = s.Load(t.Context(), "k")
				} else {
					_, err = s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("w"), 0)
				}
				if !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Errorf("error %v, want ErrUnavailable or ErrUnknownOutcome", err)
				}
			}
		})
	}
	wg.Wait()

	// After any number of failed dials, the first call with the server back succeeds.
	for range 50 {
		if err := s.Touch(t.Context(), "k", 0); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("Touch without a connection: %v, want ErrUnavailable", err)
		}
	}
	server.Restart()
	if _, err := s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0); err != nil {
		t.Errorf("CompareAndSwap with the server back: %v", err)
	}
}

func TestServerDownAndBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL())
	changes := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("a", []byte("before"), 0); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; string(c.Item.Value) != "before" {
		t.Fatalf("notified of %+v, want the value before", c)
	}

	server.Kill()
	// A pooled connection may not have noticed yet; the outcome is then unknown.
	for i, unavailable := 0, false; !unavailable; i++ {
		err := s.Set("a", []byte("down"), 0)
		unavailable = errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome)
		if !unavailable && !errors.Is(err, storage.ErrUnknownOutcome) || i == 10 {
			t.Fatalf("Set with the server down: %v, want ErrUnavailable within 10 attempts", err)
		}
	}
	if _, err := s.Load(t.Context(), "a"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Load with the server down: %v, want ErrUnavailable", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Add(short, "c"); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Add with the server down: %v, want ErrUnavailable", err)
	}

	server.Restart()
	if err := w.Add(t.Context(), "c"); err != nil { // waits until the feed is connected
		t.Fatal(err)
	}
	// The new server knows no scripts, so this also tests the fallback to EVAL.
	for err = errors.New("not yet"); err != nil; {
		if err = s.Set("a", []byte("after"), 0); err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Fatal(err)
		}
	}
	gaps := 0
	for c := range changes {
		if c.Kind == storage.Gap {
			gaps++
		} else if string(c.Item.Value) == "after" {
			break
		}
	}
	if gaps == 0 {
		t.Error("no Gap between the changes before and after the restart")
	}
}
