package fibersession_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// misbehave are the ways in which the app's code does not return.
var misbehave = map[string]func(){
	"panic":          func() { panic("secret of the app") },
	"runtime.Goexit": runtime.Goexit,
}

// A function of Watch that panics or ends its goroutine takes nothing with it: the session
// goes on, the other functions get the event and all later ones, and the log names Watch.
func TestR19_Watch(t *testing.T) {
	t.Parallel()
	for name, bad := range misbehave {
		for _, where := range []string{"own save", "other node", "end", "expiry"} {
			t.Run(name+" on "+where, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { testBadWatch(t, bad, where) })
			})
		}
	}
}

func testBadWatch(t *testing.T, bad func(), where string) {
	var log testlog.Log
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	here := newStore(t, fibersession.Config{Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	there := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, here, map[string]any{"a": 1})
	var seen []fibersession.EventKind // calls for one session never overlap
	h.Watch(func(fibersession.Event) { bad() })
	h.Watch(func(e fibersession.Event) { seen = append(seen, e.Kind) })
	other := handleOf(t, there, h.ID())
	synctest.Wait() // now h follows the other store
	kind := fibersession.Changed
	switch where {
	case "own save":
		go func() { h.Set("a", 2); _ = h.Save(ctx) }() // waited for below; its goroutine may end
	case "other node":
		other.Set("a", 2)
		must(t, other.Save(ctx))
	case "end":
		kind = fibersession.Ended
		must(t, other.Destroy(ctx))
	case "expiry":
		kind = fibersession.Ended
		time.Sleep(25 * time.Hour)
	}
	synctest.Wait()
	if !slices.Equal(seen, []fibersession.EventKind{kind}) {
		t.Errorf("the other function got %v, want one %d", seen, kind)
	}
	if !log.Has("notice=session_callback_panic") || !log.Has("where=Handle.Watch") {
		t.Errorf("the log does not name the function:\n%s", log.String())
	}
	if kind == fibersession.Changed {
		n := 2
		if where == "other node" {
			n = 70 // more than there are workers
		}
		for i := range n {
			other.Set("b", i)
			must(t, other.Save(ctx))
			synctest.Wait()
			if len(seen) != 2+i {
				t.Fatalf("change %d: the other function got %v", i, seen)
			}
		}
	}
}

// A storage that panics or ends the goroutine fails the calls that wait for it, and no later
// one. The process lives.
func TestR19_StorageAndCodec(t *testing.T) {
	t.Parallel()
	for name, bad := range misbehave {
		for _, method := range []string{"Load", "CompareAndSwap", "Watch", "Add"} {
			t.Run(name+" in "+method, func(t *testing.T) {
				t.Parallel()
				var armed atomic.Bool
				base := memory.New()
				strike := func(m string) {
					if m == method && armed.CompareAndSwap(true, false) {
						bad()
					}
				}
				st := badFeed{faulty.New(base, func(c faulty.Call) faulty.Fault { strike(c.Method); return faulty.Fault{} }), strike}
				defer func() { _ = st.Close() }()
				var log testlog.Log
				s := newStore(t, fibersession.Config{Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				h := storedSession(t, s, map[string]any{"a": 1})
				armed.Store(true)
				if method == "Watch" || method == "Add" {
					changed := make(chan struct{}, 8)
					h.Watch(func(fibersession.Event) { changed <- struct{}{} })
					waitFor(t, "the storage's feed", func() bool { return log.Has("where=storage.Feed") })
					other := handleOf(t, newStore(t, fibersession.Config{Storage: base}), h.ID())
					waitFor(t, "the subscription, which is tried again", func() bool { return s.Stats().Rereads > 0 })
					other.Set("a", 2)
					must(t, other.Save(ctx))
					<-changed
					return
				}
				var wg sync.WaitGroup
				var failed atomic.Int32
				for i := range 8 { // one leads the commit, and the others wait for it
					wg.Go(func() {
						own := h.Fork()
						defer own.Release()
						err := errors.New("the goroutine ended")
						defer func() {
							if err != nil {
								failed.Add(1)
							}
						}()
						if method == "Load" {
							err = own.Reload(ctx)
							return
						}
						own.Set("key", i)
						err = own.Save(ctx)
					})
				}
				wg.Wait()
				if failed.Load() == 0 {
					t.Error("no call failed")
				}
				if err := h.Reload(ctx); err != nil {
					t.Errorf("the next call failed too: %v", err)
				}
			})
		}
	}
}

// A function of Update runs on its caller's goroutine, and panics there. It holds nothing.
func TestR19_Update(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	h := storedSession(t, s, map[string]any{"user": "ann"})
	for name, bad := range misbehave {
		for what, call := range map[string]func(){
			"Update":     func() { _ = h.Update(ctx, func(*fibersession.Tx) error { bad(); return nil }) },
			"UpdateUser": func() { _, _ = s.UpdateUser(ctx, "ann", func(*fibersession.Tx) error { bad(); return nil }) },
		} {
			for range 20 {
				var wg sync.WaitGroup
				returned := false
				wg.Go(func() {
					defer func() { _ = recover() }()
					call()
					returned = true
				})
				wg.Wait()
				if returned {
					t.Errorf("%s with %s returned", what, name)
				}
			}
			n, err := s.UpdateUser(ctx, "ann", func(tx *fibersession.Tx) error { tx.Set(what, name); return nil })
			if n != 1 || err != nil {
				t.Errorf("after %s in %s: UpdateUser changed %d sessions, %v", name, what, n, err)
			}
			if n := h.RunningUpdates(); n != 0 {
				t.Errorf("after %s in %s: %d updates count as running", name, what, n)
			}
		}
	}
}

// badFeed is a storage whose feed can misbehave too.
type badFeed struct {
	*faulty.Storage
	strike func(method string)
}

func (b badFeed) Watch(fn func(storage.Change)) (storage.Watch, error) {
	b.strike("Watch")
	w, err := b.Storage.Watch(fn)
	return badWatch{w, b.strike}, err
}

type badWatch struct {
	storage.Watch
	strike func(method string)
}

func (w badWatch) Add(ctx context.Context, keys ...string) error {
	w.strike("Add")
	return w.Watch.Add(ctx, keys...)
}
