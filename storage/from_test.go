package storage_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

func open(t *testing.T, b storage.Basic) storage.Storage {
	s := storage.From(b)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFromSuite(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, &naive{}) })
}

func TestFromSuiteWithContexts(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, &contextual{}) })
}

func TestFromSuiteOfANonBlockingBasic(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, &nonBlocking{}) })
}

// nonBlocking is a naive storage that is storage.NonBlocking.
type nonBlocking struct {
	naive
	broken atomic.Bool
}

func (*nonBlocking) NonBlocking() {}

func (p *nonBlocking) Get(key string) ([]byte, error) {
	if p.broken.Load() {
		panic("broken")
	}
	return p.naive.Get(key)
}

// Holds returns false whenever it cannot check the revision without waiting.
func TestFromChecker(t *testing.T) {
	t.Parallel()
	broken := &nonBlocking{}
	for name, tt := range map[string]struct {
		s    storage.Storage
		want bool
	}{
		"non-blocking": {open(t, &nonBlocking{}), true},
		"blocking":     {open(t, &naive{}), false},
		"a view":       {storage.Prefix(open(t, &nonBlocking{}), "app:"), true},
		"view of bare": {storage.Prefix(bare{open(t, &nonBlocking{})}, "app:"), false},
		"panics":       {open(t, broken), false},
	} {
		rev, err := tt.s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0)
		if err != nil {
			t.Fatal(err)
		}
		broken.broken.Store(name == "panics")
		if got := tt.s.(storage.Checker).Holds("k", rev); got != tt.want {
			t.Errorf("%s: Holds = %v, want %v", name, got, tt.want)
		}
	}
}

func TestPrefixSuite(t *testing.T) {
	t.Parallel()
	view := func(t *testing.T) storage.Storage { return storage.Prefix(open(t, &naive{}), "app:") }
	storagetest.TestStorage(t, view)
	storagetest.TestFeed(t, view)
	storagetest.TestIndex(t, view)
	storagetest.TestReset(t, view)
	storagetest.TestChecker(t, func(t *testing.T) storage.Storage { return storage.Prefix(open(t, &nonBlocking{}), "app:") })
}

// contextual is a naive storage with gofiber's context methods.
type contextual struct {
	naive
	calls atomic.Int32
}

func (c *contextual) GetWithContext(ctx context.Context, key string) ([]byte, error) {
	c.calls.Add(1)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.Get(key)
}

func (c *contextual) SetWithContext(ctx context.Context, key string, val []byte, exp time.Duration) error {
	c.calls.Add(1)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.Set(key, val, exp)
}

func (c *contextual) DeleteWithContext(ctx context.Context, key string) error {
	c.calls.Add(1)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.Delete(key)
}

func TestFromPassesContexts(t *testing.T) {
	t.Parallel()
	b := &contextual{}
	s := open(t, b)
	rev, err := s.CompareAndSwap(t.Context(), "k", storage.Absent, []byte("v"), 0) // a get and a set
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CompareAndDelete(t.Context(), "k", rev); err != nil { // a get and a delete
		t.Fatal(err)
	}
	if got := b.calls.Load(); got != 5 {
		t.Errorf("%d calls had a context, want 5", got)
	}
}

func TestFromReturnsAStorageUnchanged(t *testing.T) {
	t.Parallel()
	s := open(t, &naive{})
	if storage.From(s) != s {
		t.Error("From wrapped a Storage")
	}
	defer func() {
		if recover() == nil {
			t.Error("From(nil) did not panic")
		}
	}()
	storage.From(nil)
}

// A failure of the backend is returned as an error, and leaves the key usable.
func TestD8_BackendErrorsReleaseTheKey(t *testing.T) {
	fail := func(string) error { return errBackend }
	panics := func(string) error { panic("backend is broken") }
	tests := []struct {
		name         string
		breakBackend func(*naive)
		call         func(context.Context, storage.Storage) error
		want         error
	}{
		{"load, get fails", func(b *naive) { b.onGet = fail }, loads, storage.ErrUnavailable},
		{"load, get panics", func(b *naive) { b.onGet = panics }, loads, storage.ErrUnavailable},
		{"swap, get fails", func(b *naive) { b.onGet = fail }, swaps, storage.ErrUnavailable},
		{"swap, get panics", func(b *naive) { b.onGet = panics }, swaps, storage.ErrUnavailable},
		{"swap, set fails", func(b *naive) { b.onSet = fail }, swaps, storage.ErrUnknownOutcome},
		{"swap, set panics", func(b *naive) { b.onSet = panics }, swaps, storage.ErrUnknownOutcome},
		{"delete, get fails", func(b *naive) { b.onGet = fail }, deletes, storage.ErrUnavailable},
		{"delete, delete fails", func(b *naive) { b.onDelete = fail }, deletes, storage.ErrUnknownOutcome},
		{"delete, delete panics", func(b *naive) { b.onDelete = panics }, deletes, storage.ErrUnknownOutcome},
		{"touch, get fails", func(b *naive) { b.onGet = fail }, touches, storage.ErrUnavailable},
		{"touch, set fails", func(b *naive) { b.onSet = fail }, touches, storage.ErrUnknownOutcome},
		{"plain set fails", func(b *naive) { b.onSet = fail }, sets, storage.ErrUnknownOutcome},
		{"plain set panics", func(b *naive) { b.onSet = panics }, sets, storage.ErrUnknownOutcome},
		{"add member, set fails", func(b *naive) { b.onSet = fail }, addsMember, storage.ErrUnknownOutcome},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &naive{}
			s := open(t, b)
			if err := s.Set("k", []byte("v"), 0); err != nil {
				t.Fatal(err)
			}
			tt.breakBackend(b)
			if err := tt.call(t.Context(), s); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			b.onGet, b.onSet, b.onDelete = nil, nil, nil
			for range 2 { // hangs if a lock or a slot was not released
				if err := tt.call(t.Context(), s); errors.Is(err, tt.want) {
					t.Errorf("with the backend repaired: %v", err)
				}
			}
		})
	}
}

func loads(ctx context.Context, s storage.Storage) error {
	_, err := s.Load(ctx, "k")
	return err
}

func swaps(ctx context.Context, s storage.Storage) error {
	item, err := s.Load(ctx, "k")
	if err != nil {
		return err
	}
	_, err = s.CompareAndSwap(ctx, "k", item.Revision, []byte("w"), 0)
	return err
}

func deletes(ctx context.Context, s storage.Storage) error {
	return s.CompareAndDelete(ctx, "k", storage.Any)
}
func touches(ctx context.Context, s storage.Storage) error { return s.Touch(ctx, "k", time.Hour) }
func sets(_ context.Context, s storage.Storage) error      { return s.Set("k", []byte("w"), 0) }
func addsMember(ctx context.Context, s storage.Storage) error {
	return s.(storage.Index).AddMember(ctx, "set", "m", 0)
}

// gate blocks the calls of a backend until it is opened, and counts them.
type gate struct {
	calls  atomic.Int32
	opened chan struct{}
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) wait(string) error {
	g.calls.Add(1)
	<-g.opened
	return nil
}

func TestFromEndsWithTheContext(t *testing.T) {
	t.Run("before the write: nothing is written, then or later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, sets := newGate(), atomic.Int32{}
			s := open(t, &naive{onGet: g.wait, onSet: func(string) error { sets.Add(1); return nil }})
			_, err := s.CompareAndSwap(shortContext(t), "k", storage.Absent, []byte("v"), 0)
			if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, storage.ErrUnknownOutcome) {
				t.Errorf("CompareAndSwap: %v, want ErrUnavailable and the context's error", err)
			}
			close(g.opened)
			synctest.Wait()
			if sets.Load() != 0 {
				t.Error("the value was written after the call had returned ErrUnavailable")
			}
		})
	})
	t.Run("during the write: unknown outcome, and the key stays locked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			s := open(t, &naive{onSet: g.wait})
			_, err := s.CompareAndSwap(shortContext(t), "k", storage.Absent, []byte("late"), 0)
			if !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("CompareAndSwap: %v, want ErrUnknownOutcome and the context's error", err)
			}
			// The first write must not overwrite that of a second writer.
			_, err = s.CompareAndSwap(shortContext(t), "k", storage.Absent, []byte("second"), 0)
			if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrUnknownOutcome) {
				t.Errorf("while the first write hangs: %v, want ErrUnavailable", err)
			}
			close(g.opened)
			synctest.Wait()
			if item, err := s.Load(t.Context(), "k"); err != nil || string(item.Value) != "late" {
				t.Errorf("Load = %q, %v, want the late value", item.Value, err)
			}
		})
	})
	t.Run("a load", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			s := open(t, &naive{onGet: g.wait})
			if _, err := s.Load(shortContext(t), "k"); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Load: %v, want ErrUnavailable", err)
			}
			close(g.opened)
		})
	})
}

// shortContext returns a context that ends after one second of the bubble's clock.
func shortContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestFromBoundsCallsInAHangingBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := open(t, &naive{onGet: g.wait})
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { // waited for below
				if _, err := s.Load(shortContext(t), strconv.Itoa(i)); !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("Load: %v, want ErrUnavailable", err)
				}
			})
		}
		wg.Wait()
		if got := g.calls.Load(); got != 256 {
			t.Errorf("%d calls in the backend, want 256", got)
		}
		close(g.opened)
	})
}

func TestFromCloseWaitsForTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := storage.From(&naive{onSet: g.wait})
		_, _ = s.CompareAndSwap(shortContext(t), "k", storage.Absent, []byte("v"), 0)
		closed := make(chan struct{})
		go func() { // ends when the gate opens; received below
			_ = s.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned while the backend had a call")
		default:
		}
		close(g.opened)
		<-closed
	})
}

// A swap that has read before a Reset must not restore its key after it.
func TestFromResetWaitsForWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		s := open(t, &naive{onSet: g.wait})
		var swapErr, resetErr error
		var wg sync.WaitGroup
		wg.Go(func() { // waited for below
			_, swapErr = s.CompareAndSwap(context.Background(), "k", storage.Absent, []byte("v"), 0)
		})
		synctest.Wait() // the swap has read, and is about to write
		wg.Go(func() { resetErr = s.Reset() })
		synctest.Wait()
		close(g.opened)
		wg.Wait()
		if swapErr != nil || resetErr != nil {
			t.Fatal(swapErr, resetErr)
		}
		if _, err := s.Load(t.Context(), "k"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after Reset: %v, want ErrNotFound", err)
		}
	})
}

// Fiber reuses the memory of its strings for the next request.
func TestD19_FromKeepsKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	s := open(t, &naive{})
	changed := make(chan string, 3)
	w, err := s.(storage.Feed).Watch(func(c storage.Change) { changed <- c.Key })
	if err != nil {
		t.Fatal(err)
	}
	buffer := []byte("00000")
	key := func(name string) string { copy(buffer, name); return unsafe.String(&buffer[0], len(buffer)) }
	if err := w.Add(t.Context(), key("watch")); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(key("plain"), []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompareAndSwap(t.Context(), key("swaps"), storage.Absent, []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Touch(t.Context(), key("swaps"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.(storage.Index).AddMember(t.Context(), "set", key("membe"), 0); err != nil {
		t.Fatal(err)
	}
	key("evil!")
	for _, k := range []string{"plain", "swaps"} {
		if _, err := s.Load(t.Context(), k); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	for member := range s.(storage.Index).Members(t.Context(), "set") {
		if member != "membe" {
			t.Errorf("member %q", member)
		}
	}
	if err := s.Set("watch", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if k := <-changed; k != "watch" {
		t.Errorf("notified of %q, want watch", k)
	}
}

func TestFromFeedReportsGaps(t *testing.T) {
	t.Run("when its queue overflows", func(t *testing.T) {
		t.Parallel()
		s := open(t, &naive{})
		first, release := make(chan struct{}), make(chan struct{})
		var changes []storage.Change
		done := make(chan struct{})
		w, err := s.(storage.Feed).Watch(func(c storage.Change) {
			if len(changes) == 0 {
				close(first)
				<-release
			}
			changes = append(changes, c)
			if string(c.Item.Value) == "last" {
				close(done)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		set := func(val string) {
			if err := s.Set("k", []byte(val), 0); err != nil {
				t.Fatal(err)
			}
		}
		set("first")
		<-first // the callback blocks on this change; later changes are queued
		for range 3000 {
			set("many")
		}
		set("last")
		close(release)
		<-done
		gaps := 0
		for i, c := range changes {
			if c.Kind == storage.Gap {
				gaps++
				if i != 1 {
					t.Errorf("Gap at index %d, want 1, before the changes that were kept", i)
				}
			}
		}
		if gaps != 1 || len(changes) > 1100 {
			t.Errorf("%d changes with %d gaps, want at most 1,100 changes with one Gap", len(changes), gaps)
		}
	})
	for name, b := range map[string]*naive{
		"when the outcome of a write is unknown": {onSet: func(string) error { return errBackend }},
		"when a write panics":                    {onSet: func(string) error { panic("broken") }},
		"when all keys are reset":                {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, b)
			changes := make(chan storage.Change, 1)
			w, err := s.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Add(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			if b.onSet != nil {
				if err := s.Set("k", []byte("v"), 0); !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Fatal(err)
				}
			} else if err := s.Reset(); err != nil {
				t.Fatal(err)
			}
			if c := <-changes; c.Kind != storage.Gap {
				t.Errorf("notified of %+v, want a Gap", c)
			}
		})
	}
}

// BenchmarkRevision is the measurement behind the hash of a Revision; see
// docs/decisions.md.
func BenchmarkRevision(b *testing.B) {
	val := make([]byte, 1024)
	seed := maphash.MakeSeed()
	b.Run("maphash", func(b *testing.B) {
		for b.Loop() {
			maphash.Bytes(seed, val)
		}
	})
	b.Run("sha256", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256(val)
		}
	})
}
