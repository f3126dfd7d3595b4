package fibersession_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"a": 1, "b": 2})

	t.Run("sees its own changes", func(t *testing.T) {
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
			tx.Set("c", 3)
			tx.Delete("b")
			if tx.Get("a") != 1 || tx.Get("b") != nil || tx.Get("c") != 3 || !slices.Equal(tx.Keys(), []string{"a", "c"}) {
				t.Errorf("in the function: got a = %v, b = %v, c = %v and the keys %q; want 1, nil, 3 and [a c]", tx.Get("a"), tx.Get("b"), tx.Get("c"), tx.Keys())
			}
			return nil
		}))
		if !slices.Equal(h.Keys(), []string{"a", "c"}) {
			t.Errorf("got the stored keys %q, want a and c", h.Keys())
		}
	})
	t.Run("an error of the function stores nothing", func(t *testing.T) {
		before, no := s.Stats().Writes, errors.New("no")
		if err := h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("a", 9); return no }); err != no {
			t.Errorf("got %v, want the function's own error", err)
		}
		if h.Get("a") != 1 || s.Stats().Writes != before {
			t.Error("the failed Update stored its change")
		}
	})
	t.Run("a panic of the function leaves nothing locked", func(t *testing.T) {
		func() {
			defer func() { _ = recover() }()
			_ = h.Update(ctx, func(*fibersession.Tx) error { panic("oh") })
		}()
		must(t, h.Update(ctx, increment))
	})
	t.Run("a Tx does nothing after its function returned", func(t *testing.T) {
		var kept *fibersession.Tx
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { kept = tx; tx.Set("kept", 1); return nil }))
		kept.Set("kept", 2)
		kept.Delete("a")
		if kept.Get("a") != nil || kept.Keys() != nil {
			t.Error("the Tx still reads")
		}
		must(t, h.Reload(ctx))
		if h.Get("kept") != 1 || h.Get("a") == nil {
			t.Error("the Tx still writes")
		}
	})
	t.Run("overwrites unsaved changes of its own keys only", func(t *testing.T) {
		mine := h.Fork()
		defer mine.Release()
		mine.Set("x", "unsaved")
		mine.Set("y", "unsaved")
		must(t, mine.Update(ctx, func(tx *fibersession.Tx) error {
			if tx.Get("x") != nil {
				t.Error("the function sees an unsaved change")
			}
			tx.Set("x", "updated")
			return nil
		}))
		if mine.Get("x") != "updated" || mine.Get("y") != "unsaved" {
			t.Errorf("got x = %v and y = %v, want \"updated\" and \"unsaved\"", mine.Get("x"), mine.Get("y"))
		}
	})
	t.Run("stores a new session", func(t *testing.T) {
		h := newSession(t, s)
		must(t, h.Update(ctx, increment))
		if h.Fresh() || h.Get("n") != 1 {
			t.Errorf("got Fresh %v and n = %v, want false and 1", h.Fresh(), h.Get("n"))
		}
	})
}

// If another commit changes what the function read, the function runs again with the new
// values.
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
		"a key that it read": {
			func(o *fibersession.Handle) error { _, err := o.Incr(ctx, "n", 1); return err },
			func(tx *fibersession.Tx) { tx.Get("n") }, 2,
		},
		"another key": {
			func(o *fibersession.Handle) error { _, err := o.Incr(ctx, "other", 1); return err },
			func(tx *fibersession.Tx) { tx.Get("n") }, 1,
		},
		"any key, if it read the list of keys": {
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
				h := storedSession(t, here, map[string]any{"n": 0, "other": 0})
				other := handleOf(t, store, h.ID())
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
					t.Errorf("the function ran %d times, want %d", runs, tt.runs)
				}
			})
		}
	}
}

// A function that changes nothing, because of what it read, must have read the latest
// values.
func TestUpdate_RejectionUsesTheLatestState(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, here, map[string]any{"credit": 0})
	other := handleOf(t, there, h.ID())
	other.Set("credit", 100)
	must(t, other.Save(ctx))

	err := h.Update(ctx, func(tx *fibersession.Tx) error {
		credit := valueOf[int](tx, "credit")
		if credit < 10 {
			return errors.New("not enough")
		}
		tx.Set("credit", credit-10)
		return nil
	})
	if err != nil || h.Get("credit") != 90 {
		t.Errorf("got %v and credit %v, want nil and 90: the other node had stored 100", err, h.Get("credit"))
	}
}

func TestUpdate_Nested(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h, other := storedSession(t, s, map[string]any{"n": 0}), storedSession(t, s, map[string]any{"n": 0})
	fork := h.Fork()
	defer fork.Release()
	fork.Set("x", 1)
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
		if err := h.Update(ctx, increment); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Update: got %v, want ErrNested", err)
			return errBroken // otherwise Update would run this again, without end
		}
		if err := fork.Update(ctx, increment); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Update of another handle of the session: got %v, want ErrNested", err)
			return errBroken
		}
		if err := fork.Save(ctx); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Save: got %v, want ErrNested", err)
			return errBroken
		}
		if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrNested) {
			t.Errorf("Incr: got %v, want ErrNested", err)
			return errBroken
		}
		if err := other.Update(ctx, increment); err != nil {
			t.Errorf("Update of another session: got %v, want nil", err)
		}
		return increment(tx)
	}))
	if h.Get("n") != 1 || other.Get("n") != 1 {
		t.Errorf("got n = %v and %v, want 1 and 1", h.Get("n"), other.Get("n"))
	}
	must(t, fork.Save(ctx)) // the change was kept
}

// Only a change inside the session's own Update is nested. A change inside the Update of another
// session is not, although a third goroutine runs an Update of the changed session.
func TestUpdate_NestedAmongManyFunctions(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	const functions = 33
	var handles []*fibersession.Handle
	for range functions {
		handles = append(handles, storedSession(t, s, map[string]any{"n": 0}))
	}
	var all, done sync.WaitGroup
	all.Add(functions)
	for i, h := range handles {
		other := handles[(i+1)%functions]
		done.Go(func() {
			first := true
			err := h.Update(ctx, func(tx *fibersession.Tx) error {
				if first {
					first = false
					all.Done()
				}
				all.Wait() // every function is running now
				if _, err := other.Incr(ctx, "others", 1); err != nil {
					t.Errorf("Incr of another session: got %v, want nil", err)
				}
				if _, err := h.Incr(ctx, "n", 1); !errors.Is(err, fibersession.ErrNested) {
					t.Errorf("Incr of the Update's own session: got %v, want ErrNested", err)
				}
				err := other.Update(ctx, func(*fibersession.Tx) error {
					if err := h.Update(ctx, func(*fibersession.Tx) error { return nil }); !errors.Is(err, fibersession.ErrNested) {
						t.Errorf("Update inside an Update inside its own Update: got %v, want ErrNested", err)
					}
					return nil
				})
				if err != nil {
					t.Errorf("Update of another session: got %v, want nil", err)
				}
				tx.Set("updated", true)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := h.Incr(ctx, "n", 1); err != nil {
				t.Errorf("Incr after the Update: got %v, want nil", err)
			}
		})
	}
	done.Wait()
}

// A slow function is applied even if other keys change all the time.
func TestUpdate_SlowIsNotStarved(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"slow": 0, "busy": 0})
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
		from := valueOf[int](h, "busy")
		for valueOf[int](h, "busy") < from+50 {
			runtime.Gosched()
		}
		tx.Set("slow", valueOf[int](tx, "slow")+1)
		return nil
	}))
	stop.Store(true)
	wg.Wait()
	if runs != 1 {
		t.Errorf("the function ran %d times, want 1", runs)
	}
}

func TestUpdate_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 0})
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
		t.Errorf("got %v after %d runs, want context.Canceled after 10", err, runs)
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
		"absent":               {nil, 3, 3, nil},
		"int":                  {4, -6, -2, nil},
		"zero":                 {4, 0, 4, nil},
		"int8":                 {int8(120), 7, int8(127), nil},
		"int8 overflow":        {int8(120), 8, int8(120), fibersession.ErrNotInteger},
		"uint":                 {uint(2), -2, uint(0), nil},
		"uint below zero":      {uint(2), -3, uint(2), fibersession.ErrNotInteger},
		"uint64 large":         {uint64(1<<63 + 1), 0, uint64(1<<63 + 1), fibersession.ErrNotInteger},
		"int64":                {int64(1 << 40), 1, int64(1<<40 + 1), nil},
		"int overflow":         {int(^uint(0) >> 1), 1, int(^uint(0) >> 1), fibersession.ErrNotInteger},
		"int underflow":        {-int(^uint(0)>>1) - 1, -1, -int(^uint(0)>>1) - 1, fibersession.ErrNotInteger},
		"string":               {"4", 1, "4", fibersession.ErrNotInteger},
		"an integral float":    {4.0, 1, 5.0, nil},
		"a fraction":           {4.5, 1, 4.5, fibersession.ErrNotInteger},
		"float without room":   {float64(1 << 53), 1, float64(1 << 53), fibersession.ErrNotInteger},
		"float32":              {float32(4), -5, float32(-1), nil},
		"infinity":             {math.Inf(1), 1, math.Inf(1), fibersession.ErrNotInteger},
		"a named integer type": {time.Second, 1, time.Second + 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := storedSession(t, s, map[string]any{})
			if tt.from != nil {
				h.Set("n", tt.from)
				must(t, h.Save(ctx))
			}
			_, err := h.Incr(ctx, "n", tt.delta)
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			must(t, h.Reload(ctx))
			if got := h.Get("n"); got != tt.want {
				t.Errorf("got %T %v stored, want %T %v", got, got, tt.want, tt.want)
			}
		})
	}
	t.Run("on an unsaved change", func(t *testing.T) {
		h := storedSession(t, s, map[string]any{"n": 1})
		h.Set("n", 10)
		h.Set("m", 1)
		if n, err := h.Incr(ctx, "n", 1); err != nil || n != 11 || h.Get("n") != 11 {
			t.Errorf("got %d, %v and n = %v; want 11", n, err, h.Get("n"))
		}
		if !h.Changed() || h.Get("m") != 1 {
			t.Error("Incr dropped another unsaved change")
		}
		h.Delete("n")
		if n, err := h.Incr(ctx, "n", 1); err != nil || n != 1 {
			t.Errorf("after Delete: got %d, %v; want 1", n, err)
		}
	})
}

// A watch function may change the session, also on the goroutine of the Update that it is
// notified of: the Update's own function has returned by then.
func TestUpdate_WatchFunctionMayChangeTheSession(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"n": 0})
	other := handleOf(t, s, h.ID())
	saved := make(chan error, 1)
	var once sync.Once
	stop := h.Watch(func(fibersession.Event) {
		once.Do(func() {
			other.Set("seen", true)
			saved <- other.Save(ctx)
		})
	})
	defer stop()
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("n", 1); return nil }))
	must(t, <-saved)
	must(t, h.Reload(ctx))
	if h.Get("seen") != true || h.Get("n") != 1 {
		t.Errorf("stored are n=%v and seen=%v, want 1 and true", h.Get("n"), h.Get("seen"))
	}
}
