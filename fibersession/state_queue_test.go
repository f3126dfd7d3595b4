package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Reloads that are queued at the same time share one load, which begins after each of them
// was requested.
func TestReload_QueuedReloadsShareALoad(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gatedStorage{Storage: memory.New(), load: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"n": 1})
	before := s.Stats().Loads

	var wg sync.WaitGroup
	st.on.Store(true)
	first := st.nextBlocked()
	wg.Go(func() { must(t, h.Reload(ctx)) })
	<-first // blocked in Load
	for range 20 {
		wg.Go(func() { must(t, h.Reload(ctx)) })
	}
	waitForQueued(t, h, 20)
	st.on.Store(false)
	close(gate)
	wg.Wait()
	if loads := s.Stats().Loads - before; loads != 2 {
		t.Errorf("1 and then 20 reloads made %d loads, want 2", loads)
	}
}

// A change that is made while an earlier one is being saved stays unsaved, and is not lost.
func TestSave_KeepsChangesMadeMeanwhile(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gatedStorage{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"n": 1})
	h.Set("n", 2)
	st.on.Store(true)
	inside := st.nextBlocked()
	saved := make(chan error, 1)
	go func() { saved <- h.Save(ctx) }() // the receive below waits for it
	<-inside
	h.Set("n", 3)
	st.on.Store(false)
	close(gate)
	must(t, <-saved)
	if h.Get("n") != 3 || !h.Changed() {
		t.Errorf("got n = %v and Changed %v, want 3 and true", h.Get("n"), h.Changed())
	}
	must(t, h.Save(ctx))
	if got := h.Fork(); got.Get("n") != 3 {
		t.Error("the later change was not stored")
	} else {
		got.Release()
	}
}

// A queued call returns when its context ends, and its change is not stored.
func TestSave_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gatedStorage{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
	h := storedSession(t, s, nil)
	st.on.Store(true)
	inside := st.nextBlocked()
	first, second := h.Fork(), h.Fork()
	defer first.Release()
	defer second.Release()
	first.Set("a", 1)
	second.Set("b", 1)
	saved := make(chan error, 1)
	go func() { saved <- first.Save(ctx) }() // the receive below waits for it
	<-inside

	short, cancel := context.WithCancel(ctx)
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- second.Save(short) }() // the receive below waits for it
	waitForQueued(t, h, 1)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !errors.Is(err, fibersession.ErrUnavailable) {
		t.Errorf("Save with a canceled context: got %v, want context.Canceled and ErrUnavailable", err)
	}
	st.on.Store(false)
	close(gate)
	must(t, <-saved)
	must(t, h.Reload(ctx))
	if h.Get("a") != 1 || h.Get("b") != nil {
		t.Errorf("got a = %v and b = %v stored, want 1 and nothing", h.Get("a"), h.Get("b"))
	}
	if err := second.Save(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Save with an ended context: got %v, want context.Canceled", err)
	}
	must(t, second.Save(ctx)) // the change was kept
}

// Queued changes of one session on one node are written with a single swap, and do not
// conflict.
func TestSave_QueuedChangesShareASwap(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gatedStorage{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"n": 0})
	before := s.Stats()
	st.on.Store(true)
	inside := st.nextBlocked()
	var wg sync.WaitGroup
	wg.Go(func() { _, err := h.Incr(ctx, "n", 1); must(t, err) })
	<-inside
	for w := range 20 {
		wg.Go(func() {
			mine := h.Fork()
			defer mine.Release()
			if w%2 == 0 {
				must(t, mine.Update(ctx, increment))
				return
			}
			mine.Set(fmt.Sprint(w), w)
			must(t, mine.Save(ctx))
		})
	}
	waitForQueued(t, h, 20)
	st.on.Store(false)
	close(gate)
	wg.Wait()
	after := s.Stats()
	if w, c := after.Writes-before.Writes, after.Conflicts-before.Conflicts; w != 2 || c != 0 {
		t.Errorf("21 changes took %d writes and %d conflicts, want 2 and 0", w, c)
	}
	if h.Get("n") != 11 || len(h.Keys()) != 11 {
		t.Errorf("got n = %v and %d keys, want 11 and 11", h.Get("n"), len(h.Keys()))
	}
}

// An invalid change among the queued ones fails alone; the others are stored.
func TestSave_InvalidChangeFailsAlone(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gatedStorage{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Limits: fibersession.Limits{MaxSize: 1000, MaxKeys: 4}})
	h := storedSession(t, s, map[string]any{"n": "text"})
	st.on.Store(true)
	inside := st.nextBlocked()
	change := func(key string, v any) error {
		mine := h.Fork()
		defer mine.Release()
		mine.Set(key, v)
		return mine.Save(ctx)
	}
	errs := make(map[string]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	run := func(name string, fn func() error) {
		before := fibersession.Queued(h)
		wg.Go(func() {
			err := fn()
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
		if name != "first" {
			waitForQueued(t, h, before+1)
		}
	}
	run("first", func() error { return change("a", 1) })
	<-inside
	run("large", func() error { return change("b", string(make([]byte, 600))) })
	run("too large with it", func() error { return change("c", string(make([]byte, 600))) })
	run("not a number", func() error { _, err := h.Incr(ctx, "n", 1); return err })
	run("small", func() error { return change("d", 1) })
	run("a key too many", func() error { return change("e", 1) })
	run("small again", func() error { return change("d", 2) })
	st.on.Store(false)
	close(gate)
	wg.Wait()
	for name, want := range map[string]error{
		"first": nil, "large": nil, "too large with it": fibersession.ErrTooLarge,
		"not a number": fibersession.ErrNotInteger, "small": nil,
		"a key too many": fibersession.ErrTooManyKeys, "small again": nil,
	} {
		if !errors.Is(errs[name], want) || (errs[name] == nil) != (want == nil) {
			t.Errorf("%s: got %v, want %v", name, errs[name], want)
		}
	}
	must(t, h.Reload(ctx))
	if got, want := h.Keys(), []string{"a", "b", "d", "n"}; !slices.Equal(got, want) || h.Get("d") != 2 {
		t.Errorf("got the stored keys %q and d = %v, want %q and 2", got, h.Get("d"), want)
	}
}
