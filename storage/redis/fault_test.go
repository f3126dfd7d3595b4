package redis_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

func open(t testing.TB, url string) storage.Storage {
	t.Helper()
	s, err := storage.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A swap whose answer was lost has happened. It must be neither a success nor a
// conflict: the latter is what sending it again would make of it.
func TestLostAnswersAreUnknown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	calls := []struct {
		name string
		call func(ctx context.Context, s storage.Storage, key string, rev storage.Revision) error
		want error
		left string // of the key
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
		}, nil, "old"}, // a read is sent again
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
			_ = tt.call(t.Context(), s, "warm", "up") // so that the scripts are known
			p.DropReply(key)
			if err := tt.call(t.Context(), s, key, rev); !errors.Is(err, tt.want) || errors.Is(err, storage.ErrConflict) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if val, err := direct.Get(key); string(val) != tt.left || err != nil {
				t.Errorf("left %q, %v, want %q", val, err, tt.left)
			}
			// The storage itself is whole again.
			if _, err := s.Load(t.Context(), "warm"); err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A call ends when its context is cancelled, while the server says nothing.
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
	p.PauseReplies()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // waited for below
		if _, err := s.Load(ctx, "k"); !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Load: %v, want ErrUnavailable and context.Canceled", err)
		}
	})
	<-p.Requests() // the one request is under way; the next takes the other worker
	wg.Go(func() {
		_, err := s.CompareAndSwap(ctx, "k", item.Revision, []byte("w"), 0)
		if !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
			t.Errorf("CompareAndSwap: %v, want ErrUnknownOutcome and context.Canceled", err)
		}
	})
	<-p.Requests()

	// All workers wait now (redis.WorkersPerNode of them). What comes is not sent,
	// and who gives up hears that for certain nothing happened.
	late, cancelLate := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelLate()
	if redis.WorkersPerNode != 2 {
		t.Fatal("the test counts on two workers")
	}
	_, err = s.CompareAndSwap(late, "never", storage.Absent, []byte("w"), 0)
	if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("CompareAndSwap in the queue: %v, want ErrUnavailable", err)
	}
	cancel()
	wg.Wait()
	p.Resume()
	if _, err := s.Load(t.Context(), "never"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what was given up in the queue was sent: %v", err)
	}
	if val, _ := s.Get("k"); string(val) != "w" {
		t.Errorf("k is %q: the swap that was under way should have happened", val)
	}
}

// A caller who has left may use its memory again while its request is still being
// written.
func TestLeftRequestsKeepTheirValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL()+"?timeout=1m")
	if err := s.Set("warm", []byte("up"), 0); err != nil { // the script is known from here on
		t.Fatal(err)
	}
	p.Pause()
	val := bytes.Repeat([]byte("v"), 32<<20) // more than the buffers between here and there
	want := sha256.Sum256(val)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { // received below
		_, err := s.CompareAndSwap(ctx, "k", storage.Absent, val, 0)
		left <- err
	}()
	<-p.Requests()
	cancel()
	if err := <-left; !errors.Is(err, storage.ErrUnknownOutcome) {
		t.Fatalf("%v, want ErrUnknownOutcome", err)
	}
	for i := range val {
		val[i] = 'x'
	}
	p.Resume()
	wait(t, "the value is stored", func() bool {
		got, err := direct.Get("k")
		if err != nil {
			t.Fatal(err)
		}
		if got != nil && sha256.Sum256(got) != want {
			t.Fatal("the stored value changed with the caller's slice")
		}
		return got != nil
	})
}

// No answer ever reaches another call, however calls are given up.
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
					t.Errorf("key %s has %q", key, item.Value)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("key %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
}

// With the server down, every call of a batch hears of it: none is left with what
// looks like an answer.
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
					t.Errorf("%v, want ErrUnavailable or ErrUnknownOutcome", err)
				}
			}
		})
	}
	wg.Wait()

	// However many attempts failed, the first call that finds the server works.
	for range 50 {
		if err := s.Touch(t.Context(), "k", 0); !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnavailable: there is no connection to send on", err)
		}
	}
	server.Restart()
	if _, err := s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0); err != nil {
		t.Errorf("when the server is back: %v", err)
	}
}

func TestServerDownAndBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server.URL())
	told := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { told <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("a", []byte("before"), 0); err != nil {
		t.Fatal(err)
	}
	if c := <-told; string(c.Item.Value) != "before" {
		t.Fatalf("told %+v", c)
	}

	server.Kill()
	// A pooled connection may not know yet; then nobody can say what happened.
	for i, unavailable := 0, false; !unavailable; i++ {
		err := s.Set("a", []byte("down"), 0)
		unavailable = errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome)
		if !unavailable && !errors.Is(err, storage.ErrUnknownOutcome) || i == 10 {
			t.Fatalf("with the server down: %v", err)
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
	if err := w.Add(t.Context(), "c"); err != nil { // waits until the feed is back
		t.Fatal(err)
	}
	// The new server knows no script, so this also takes the way round.
	for err = errors.New("not yet"); err != nil; {
		if err = s.Set("a", []byte("after"), 0); err != nil && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrUnknownOutcome) {
			t.Fatal(err)
		}
	}
	gaps := 0
	for c := range told {
		if c.Kind == storage.Gap {
			gaps++
		} else if string(c.Item.Value) == "after" {
			break
		}
	}
	if gaps == 0 {
		t.Error("no Gap between what was told before and after")
	}
}

// A connection that died without a word is found and replaced.
func TestFeedFindsADeadConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL())
	s.(*redis.Storage).SetSilence(20 * time.Millisecond)
	told := make(chan storage.Change, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { told <- c })
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	p.PauseReplies()
	// From now on nothing comes, and no connection is closed either.
	if err := direct.Set("k", []byte("missed"), 0); err != nil {
		t.Fatal(err)
	}
	<-p.Requests() // it is asked whether it lives
	<-p.Requests() // and another connection is tried
	p.Resume()
	for c := range told {
		if string(c.Item.Value) == "heard" {
			break
		}
		if c.Kind == storage.Gap { // on a slow machine there are several
			if err := direct.Set("k", []byte("heard"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// While a connection is silent its bound grows: what it misses is never older than
// that. When it is lost there is no bound until the new one was asked.
func TestLagGrowsWhileNothingIsHeard(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	direct := open(t, server.URL())
	p := redistest.NewProxy(t, server.Addr())
	s := open(t, p.URL())
	s.(*redis.Storage).SetSilence(time.Minute) // beats every 6 s, but at once when the first key is added
	gaps := make(chan struct{}, 100)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) {
		if c.Kind == storage.Gap {
			gaps <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	lag := w.(storage.LagReporter).Lag
	if _, known := lag(); known {
		t.Error("a bound before anything was asked")
	}
	if err := w.Add(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	wait(t, "a bound", func() bool { _, known := lag(); return known })
	p.PauseReplies()
	if err := direct.Set("k", []byte("missed"), 0); err != nil {
		t.Fatal(err)
	}
	for answered, n := time.Now(), 0; n < 100; n++ {
		since := time.Since(answered)
		if d, known := lag(); known && d < since {
			t.Fatalf("a bound of %v with a change missing for %v", d, since)
		}
		time.Sleep(time.Millisecond)
	}
	p.Pause() // the new connection gets through to nobody
	p.Disconnect()
	wait(t, "no bound", func() bool { _, known := lag(); return !known })
	p.Resume()
	<-gaps
	wait(t, "a bound again", func() bool { _, known := lag(); return known })
}

// On a new connection the answer to a question would come before the Gap, if it were
// asked before the channels are subscribed to again: a bound of what is not heard.
func TestLagIsNotAskedForBeforeTheChannelsAreBack(t *testing.T) {
	t.Parallel()
	if redis.AsksBeforeFlush(open(t, redistest.Start(t).URL()).(*redis.Storage)) {
		t.Error("it asks first")
	}
}

func TestManyWatchesEndWithTheStorage(t *testing.T) {
	t.Parallel()
	s, err := storage.Open(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		w, err := s.(storage.Feed).Watch(func(storage.Change) {})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := w.Add(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.(storage.Feed).Watch(func(storage.Change) {}); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Watch after Close: %v, want ErrClosed", err)
	}
}
