package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// 64 goroutines count 200 times each through Update: half in HTTP requests, half
// through handles, on two nodes.
func TestN1_NoLostUpdate(t *testing.T) {
	const workers, times = 64, 200
	overStorages(t, func(t *testing.T, st storage.Storage) {
		here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		app := newApp(here, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			return fibersession.FromContext(c).Update(increment)
		}})
		h := stored(t, here, map[string]any{"n": 0})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				switch {
				case w%2 == 0:
					b := newBrowser(t, app)
					b.cookies["__Host-session"] = h.ID()
					for range times {
						if res := b.get("/"); res.status != 200 {
							t.Errorf("%d %s", res.status, res.body)
						}
					}
				default:
					mine := again(t, []*fibersession.Store{here, there}[w/2%2], h.ID())
					for range times {
						if err := mine.Update(ctx, increment); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		must(t, h.Reload(ctx))
		if got := h.Get("n"); got != workers*times {
			t.Errorf("counted %v, want %d", got, workers*times)
		}
		t.Logf("here: %+v", here.Stats())
		t.Logf("there: %+v", there.Stats())
	})
}

func increment(tx *fibersession.Tx) error {
	tx.Set("n", fibersession.Value[int](tx, "n")+1)
	return nil
}

func TestN1_IncrCountsAll(t *testing.T) {
	const workers, times = 64, 200
	overStorages(t, func(t *testing.T, st storage.Storage) {
		here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		h := stored(t, here, map[string]any{"n": 0})
		before := here.Stats().Writes + there.Stats().Writes
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				mine := again(t, []*fibersession.Store{here, there}[w%2], h.ID())
				last := 0
				for range times {
					n, err := mine.Incr(ctx, "n", 1)
					if err != nil || n <= last {
						t.Errorf("Incr: %d after %d, %v", n, last, err)
					}
					last = n
				}
			})
		}
		wg.Wait()
		must(t, h.Reload(ctx))
		if got := h.Get("n"); got != workers*times {
			t.Errorf("counted %v, want %d", got, workers*times)
		}
		t.Logf("%d increments took %d writes", workers*times, here.Stats().Writes+there.Stats().Writes-before)
	})
}

// 64 different keys, set and saved at once, all survive (D5: 20 of 20).
func TestN1_D5_DifferentKeysMerge(t *testing.T) {
	overStorages(t, func(t *testing.T, st storage.Storage) {
		for round := range 20 {
			here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
			there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
			app := newApp(here, map[string]fiber.Handler{"/:key": func(c *fiber.Ctx) error {
				sess := fibersession.FromContext(c)
				sess.Get("x") // loaded before the others save
				runtime.Gosched()
				sess.Set("k"+c.Params("key"), c.Params("key"))
				return nil
			}})
			h := stored(t, here, map[string]any{"old": 1, "gone": 1})
			var wg sync.WaitGroup
			for w := range 64 {
				wg.Go(func() {
					if w%2 == 0 {
						b := newBrowser(t, app)
						b.cookies["__Host-session"] = h.ID()
						if res := b.get(fmt.Sprintf("/%d", w)); res.status != 200 {
							t.Errorf("%d %s", res.status, res.body)
						}
						return
					}
					mine := again(t, []*fibersession.Store{here, there}[w/2%2], h.ID())
					mine.Set(fmt.Sprintf("k%d", w), fmt.Sprint(w))
					if w == 1 {
						mine.Delete("gone") // deletions merge as well
					}
					if err := mine.Save(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			must(t, h.Reload(ctx))
			for w := range 64 {
				if got := h.Get(fmt.Sprintf("k%d", w)); got != fmt.Sprint(w) {
					t.Errorf("round %d: k%d is %v", round, w, got)
				}
			}
			if h.Get("old") != 1 || slices.Contains(h.Keys(), "gone") {
				t.Errorf("round %d: old is %v, keys are %q", round, h.Get("old"), h.Keys())
			}
		}
	})
}

// Writers of one session on one node take turns in the store's stead: what waits is
// written together, and nobody conflicts.
func TestSave_WaitingWritersShareASwap(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gated{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := stored(t, s, map[string]any{"n": 0})
	before := s.Stats()
	st.on.Store(true)
	inside := st.waiting()
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
	eventually(t, func() bool { return fibersession.Queued(h) == 20 })
	st.on.Store(false)
	close(gate)
	wg.Wait()
	after := s.Stats()
	if w, c := after.Writes-before.Writes, after.Conflicts-before.Conflicts; w != 2 || c != 0 {
		t.Errorf("21 changes took %d writes and %d conflicts, want 2 and 0", w, c)
	}
	if h.Get("n") != 11 || len(h.Keys()) != 11 {
		t.Errorf("n is %v and there are %d keys, want 11 and 11", h.Get("n"), len(h.Keys()))
	}
}

// One of many who wait does something wrong; the others are stored all the same.
func TestSave_OneBadChangeFailsAlone(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	st := &gated{Storage: memory.New(), swap: gate}
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Limits: fibersession.Limits{MaxSize: 1000, MaxKeys: 4}})
	h := stored(t, s, map[string]any{"n": "text"})
	st.on.Store(true)
	inside := st.waiting()
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
			eventually(t, func() bool { return fibersession.Queued(h) == before+1 })
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
			t.Errorf("%s: %v, want %v", name, errs[name], want)
		}
	}
	must(t, h.Reload(ctx))
	if got, want := h.Keys(), []string{"a", "b", "d", "n"}; !slices.Equal(got, want) || h.Get("d") != 2 {
		t.Errorf("stored are %q, d is %v", got, h.Get("d"))
	}
}

// What is refused for what the session holds is refused for what it holds now, and not
// for what this node last saw.
func TestSave_RefusalRestsOnTheNewest(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 800)
	tests := map[string]struct {
		before map[string]any
		remove string                             // by another node
		change func(h *fibersession.Handle) error // then takes
	}{
		"no integer": {map[string]any{"n": "text"}, "n", func(h *fibersession.Handle) error {
			_, err := h.Incr(ctx, "n", 1)
			return err
		}},
		"too many keys": {map[string]any{"a": 1, "b": 1}, "a", func(h *fibersession.Handle) error {
			h.Set("c", 1)
			return h.Save(ctx)
		}},
		"too large": {map[string]any{"a": big, "b": 1}, "a", func(h *fibersession.Handle) error {
			h.Set("b", big)
			return h.Save(ctx)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, here, there := twoNodes(t, fibersession.Config{Limits: fibersession.Limits{MaxKeys: 2, MaxSize: 1000}})
			h := stored(t, here, tt.before)
			refused := tt.change(h)
			if refused == nil {
				t.Fatal("it is not refused at all")
			}
			must(t, h.Reload(ctx))

			far := again(t, there, h.ID())
			far.Delete(tt.remove)
			must(t, far.Save(ctx))
			if err := tt.change(h); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"a": 1, "b": 2})

	t.Run("sees its own changes", func(t *testing.T) {
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
			tx.Set("c", 3)
			tx.Delete("b")
			if tx.Get("a") != 1 || tx.Get("b") != nil || tx.Get("c") != 3 || !slices.Equal(tx.Keys(), []string{"a", "c"}) {
				t.Errorf("a=%v b=%v c=%v keys=%q", tx.Get("a"), tx.Get("b"), tx.Get("c"), tx.Keys())
			}
			return nil
		}))
		if !slices.Equal(h.Keys(), []string{"a", "c"}) {
			t.Errorf("stored are %q", h.Keys())
		}
	})
	t.Run("its error stores nothing", func(t *testing.T) {
		before, no := s.Stats().Writes, errors.New("no")
		if err := h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("a", 9); return no }); err != no {
			t.Errorf("%v, want the function's own error", err)
		}
		if h.Get("a") != 1 || s.Stats().Writes != before {
			t.Error("it stored something")
		}
	})
	t.Run("its panic leaves nothing locked", func(t *testing.T) {
		func() {
			defer func() { _ = recover() }()
			_ = h.Update(ctx, func(*fibersession.Tx) error { panic("oh") })
		}()
		must(t, h.Update(ctx, increment))
	})
	t.Run("a kept Tx is of no use", func(t *testing.T) {
		var kept *fibersession.Tx
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { kept = tx; tx.Set("kept", 1); return nil }))
		kept.Set("kept", 2)
		kept.Delete("a")
		if kept.Get("a") != nil || kept.Keys() != nil {
			t.Error("it still reads")
		}
		must(t, h.Reload(ctx))
		if h.Get("kept") != 1 || h.Get("a") == nil {
			t.Error("it still writes")
		}
	})
	t.Run("overrides unsaved changes of its keys alone", func(t *testing.T) {
		mine := h.Fork()
		defer mine.Release()
		mine.Set("x", "unsaved")
		mine.Set("y", "unsaved")
		must(t, mine.Update(ctx, func(tx *fibersession.Tx) error {
			if tx.Get("x") != nil {
				t.Error("it sees unsaved changes")
			}
			tx.Set("x", "updated")
			return nil
		}))
		if mine.Get("x") != "updated" || mine.Get("y") != "unsaved" {
			t.Errorf("x is %v, y is %v", mine.Get("x"), mine.Get("y"))
		}
	})
	t.Run("stores a new session", func(t *testing.T) {
		h := fresh(t, s)
		must(t, h.Update(ctx, increment))
		if h.Fresh() || h.Get("n") != 1 {
			t.Errorf("fresh %v, n %v", h.Fresh(), h.Get("n"))
		}
	})
}

// Another node changes what the function read: it runs again on the new value.
func TestUpdate_RunsAgain(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here := newStore(t, fibersession.Config{Storage: st})
	there := newStore(t, fibersession.Config{Storage: st})
	tests := map[string]struct {
		meanwhile func(other *fibersession.Handle) error
		read      func(tx *fibersession.Tx)
		runs      int
	}{
		"the key that it read, by another node": {
			func(o *fibersession.Handle) error { _, err := o.Incr(ctx, "n", 1); return err },
			func(tx *fibersession.Tx) { tx.Get("n") }, 2,
		},
		"another key": {
			func(o *fibersession.Handle) error { _, err := o.Incr(ctx, "other", 1); return err },
			func(tx *fibersession.Tx) { tx.Get("n") }, 1,
		},
		"any key, when it read the keys": {
			func(o *fibersession.Handle) error { _, err := o.Incr(ctx, "other", 1); return err },
			func(tx *fibersession.Tx) { tx.Keys() }, 2,
		},
		"a key that it read as absent": {
			func(o *fibersession.Handle) error { o.Set("new", 1); return o.Save(ctx) },
			func(tx *fibersession.Tx) { tx.Get("new") }, 2,
		},
	}
	for name, tt := range tests {
		for where, store := range map[string]*fibersession.Store{"this node": here, "another node": there} {
			t.Run(name+", on "+where, func(t *testing.T) {
				h := stored(t, here, map[string]any{"n": 0, "other": 0})
				other := again(t, store, h.ID())
				runs := 0
				must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
					runs++
					tt.read(tx)
					if runs == 1 {
						if err := onAnotherGoroutine(func() error { return tt.meanwhile(other) }); err != nil {
							t.Error(err)
						}
					}
					tx.Set("result", runs)
					return nil
				}))
				if runs != tt.runs {
					t.Errorf("it ran %d times, want %d", runs, tt.runs)
				}
			})
		}
	}
}

// A function that decides, from what it reads, to change nothing has to read the truth.
func TestUpdate_RefusalRestsOnTheNewest(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := stored(t, here, map[string]any{"credit": 0})
	rich := again(t, there, h.ID())
	rich.Set("credit", 100)
	must(t, rich.Save(ctx))

	err := h.Update(ctx, func(tx *fibersession.Tx) error {
		credit := fibersession.Value[int](tx, "credit")
		if credit < 10 {
			return errors.New("not enough")
		}
		tx.Set("credit", credit-10)
		return nil
	})
	if err != nil || h.Get("credit") != 90 {
		t.Errorf("%v, credit %v; want it to have seen the other node's 100", err, h.Get("credit"))
	}
}

func TestUpdate_Nested(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h, other := stored(t, s, map[string]any{"n": 0}), stored(t, s, map[string]any{"n": 0})
	fork := h.Fork()
	defer fork.Release()
	fork.Set("x", 1)
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
		if err := h.Update(ctx, increment); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Update: %v", err)
		}
		if err := fork.Update(ctx, increment); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Update of another handle: %v", err)
		}
		if err := fork.Save(ctx); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Save: %v", err)
		}
		if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Incr: %v", err)
		}
		if err := other.Update(ctx, increment); err != nil {
			t.Errorf("Update of another session: %v", err)
		}
		return increment(tx)
	}))
	if h.Get("n") != 1 || other.Get("n") != 1 {
		t.Errorf("counted %v and %v", h.Get("n"), other.Get("n"))
	}
	must(t, fork.Save(ctx)) // and now it may
}

// A slow function applies although other keys change all the time.
func TestUpdate_SlowIsNotStarved(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"slow": 0, "busy": 0})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := h.Incr(ctx, "busy", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	runs := 0
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
		runs++
		from := fibersession.Value[int](h, "busy")
		for fibersession.Value[int](h, "busy") < from+50 {
			runtime.Gosched()
		}
		tx.Set("slow", fibersession.Value[int](tx, "slow")+1)
		return nil
	}))
	stop.Store(true)
	wg.Wait()
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
}

func TestUpdate_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"n": 0})
	short, cancel := context.WithCancel(ctx)
	runs := 0
	err := h.Update(short, func(tx *fibersession.Tx) error {
		if runs++; runs == 10 {
			cancel()
		}
		tx.Get("n")
		tx.Set("m", 1)
		return onAnotherGoroutine(func() error { _, err := h.Incr(ctx, "n", 1); return err })
	})
	if !errors.Is(err, context.Canceled) || runs != 10 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

func onAnotherGoroutine(fn func() error) error {
	done := make(chan error)
	go func() { done <- fn() }() // the receive waits for it
	return <-done
}

func TestIncr(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	tests := map[string]struct {
		from  any
		delta int
		want  any
		err   error
	}{
		"absent":            {nil, 3, 3, nil},
		"int":               {4, -6, -2, nil},
		"zero":              {4, 0, 4, nil},
		"int8":              {int8(120), 7, int8(127), nil},
		"int8 overflow":     {int8(120), 8, int8(120), fibersession.ErrNotInteger},
		"uint":              {uint(2), -2, uint(0), nil},
		"uint below zero":   {uint(2), -3, uint(2), fibersession.ErrNotInteger},
		"uint64 large":      {uint64(1<<63 + 1), 0, uint64(1<<63 + 1), fibersession.ErrNotInteger},
		"int64":             {int64(1 << 40), 1, int64(1<<40 + 1), nil},
		"int overflow":      {int(^uint(0) >> 1), 1, int(^uint(0) >> 1), fibersession.ErrNotInteger},
		"int underflow":     {-int(^uint(0)>>1) - 1, -1, -int(^uint(0)>>1) - 1, fibersession.ErrNotInteger},
		"string":            {"4", 1, "4", fibersession.ErrNotInteger},
		"float":             {4.0, 1, 4.0, fibersession.ErrNotInteger},
		"duration, a named": {time.Second, 1, time.Second + 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := stored(t, s, map[string]any{})
			if tt.from != nil {
				h.Set("n", tt.from)
				must(t, h.Save(ctx))
			}
			_, err := h.Incr(ctx, "n", tt.delta)
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			must(t, h.Reload(ctx))
			if got := h.Get("n"); got != tt.want {
				t.Errorf("stored is %T %v, want %T %v", got, got, tt.want, tt.want)
			}
		})
	}
	t.Run("on an unsaved change", func(t *testing.T) {
		h := stored(t, s, map[string]any{"n": 1})
		h.Set("n", 10)
		h.Set("m", 1)
		if n, err := h.Incr(ctx, "n", 1); err != nil || n != 11 || h.Get("n") != 11 {
			t.Errorf("%d, %v, then %v", n, err, h.Get("n"))
		}
		if !h.Changed() || h.Get("m") != 1 {
			t.Error("the other unsaved change is gone")
		}
		h.Delete("n")
		if n, err := h.Incr(ctx, "n", 1); err != nil || n != 1 {
			t.Errorf("after Delete: %d, %v", n, err)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := stored(t, here, map[string]any{"a": 1, "b": []int{1}})
	var events []fibersession.Event // the calls of one session never overlap
	stop := h.Watch(func(e fibersession.Event) { events = append(events, e) })
	next := func() fibersession.Event {
		t.Helper()
		if len(events) == 0 {
			t.Fatal("no event")
		}
		e := events[0]
		events = events[1:]
		slices.Sort(e.Keys)
		return e
	}

	h.Set("a", 2)
	h.Delete("b")
	if len(events) != 0 {
		t.Error("an unsaved change is no news")
	}
	must(t, h.Save(ctx))
	if e := next(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"a", "b"}) {
		t.Errorf("after Save: %+v", e)
	}
	other := again(t, there, h.ID())
	other.Set("c", 1)
	other.Set("a", 2) // as it is
	must(t, other.Save(ctx))
	must(t, h.Reload(ctx))
	if e := next(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"c"}) {
		t.Errorf("after another node's Save and Reload: %+v", e)
	}
	must(t, h.Reload(ctx))
	must(t, h.Touch(ctx))
	must(t, h.Regenerate(ctx))
	if e := next(); e.Kind != fibersession.Renewed {
		t.Errorf("after Regenerate: %+v", e)
	}
	must(t, other.Reload(ctx)) // follows
	must(t, other.Destroy(ctx))
	if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
		t.Errorf("Reload: %v", err)
	}
	if e := next(); e.Kind != fibersession.Ended || !errors.Is(e.Cause, fibersession.ErrDestroyed) {
		t.Errorf("after another node's Destroy: %+v", e)
	}
	_ = h.Reload(ctx)
	if len(events) != 0 {
		t.Errorf("more news: %+v", events)
	}
	stop()
	stop()
}

// A watcher may use the session, and stop itself and others.
func TestWatch_CallsBack(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := stored(t, s, map[string]any{"n": 0})
	var seen []string
	var stopSecond func()
	stopFirst := h.Watch(func(e fibersession.Event) {
		seen = append(seen, "first")
		if len(seen) == 1 {
			stopSecond()
			if _, err := h.Incr(ctx, "n", 1); err != nil { // news again
				t.Error(err)
			}
		}
	})
	stopSecond = h.Watch(func(fibersession.Event) { seen = append(seen, "second") })
	_, err := h.Incr(ctx, "n", 1)
	must(t, err)
	stopFirst()
	_, err = h.Incr(ctx, "n", 1)
	must(t, err)
	if want := []string{"first", "first"}; !slices.Equal(seen, want) {
		t.Errorf("called were %q, want %q", seen, want)
	}
}

// Limits hold for the merged session, each at the limit and one beyond it.
func TestLimits(t *testing.T) {
	t.Parallel()
	overhead := func(values map[string]any) int {
		data, err := new(fibersession.Typed).Encode(values)
		must(t, err)
		return len(data)
	}
	const size = 600
	s := newStore(t, fibersession.Config{Limits: fibersession.Limits{MaxSize: size, MaxKeys: 3}})
	at := map[string]any{"k": string(make([]byte, 300))}
	fill := size - overhead(at) + 300 // the text's own length takes two bytes at both
	tests := map[string]struct {
		values map[string]any
		err    error
	}{
		"size at the limit":       {map[string]any{"k": string(make([]byte, fill))}, nil},
		"size beyond":             {map[string]any{"k": string(make([]byte, fill+1))}, fibersession.ErrTooLarge},
		"bytes beyond":            {map[string]any{"k": make([]byte, size)}, fibersession.ErrTooLarge},
		"keys at the limit":       {map[string]any{"a": 1, "b": 1, "c": 1}, nil},
		"keys beyond":             {map[string]any{"a": 1, "b": 1, "c": 1, "d": 1}, fibersession.ErrTooManyKeys},
		"key length at the limit": {map[string]any{strings.Repeat("k", 256): 1, "a": 1}, nil},
		"key length beyond":       {map[string]any{strings.Repeat("k", 257): 1}, fibersession.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := stored(t, s, map[string]any{"a": "old"})
			for k, v := range tt.values {
				h.Set(k, v)
			}
			h.Delete("nothing")
			if _, over := tt.values["k"]; over {
				h.Delete("a")
			}
			err := h.Save(ctx)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			must(t, h.Reload(ctx))
			want := tt.values
			if tt.err != nil {
				want = map[string]any{"a": "old"}
			}
			if got := h.Keys(); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Errorf("stored are %q", got)
			}
		})
	}
}

// A time in a zone with a name is the same when it comes back with the offset alone:
// nobody is told of a change, and no Update runs again for it.
func TestWatch_TimesInNamedZones(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.FixedZone("XYZ", 3*3600))
	h := stored(t, here, map[string]any{"at": at, "moved": at, "n": 1})
	n := newsOf(t, h)
	far := again(t, there, h.ID())
	far.Set("n", 2)
	far.Set("moved", at.UTC()) // the same moment, shown otherwise
	must(t, far.Save(ctx))
	must(t, h.Reload(ctx))
	keys := n.next().Keys
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"moved", "n"}) {
		t.Errorf("it was told of %q", keys)
	}
}
