package fibersession_test

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

// 64 goroutines increment 200 times each through Update: half of them in HTTP requests,
// half through handles, on two nodes.
func TestN1_NoLostUpdate(t *testing.T) {
	const workers, times = 64, 200
	overStorages(t, func(t *testing.T, st storage.Storage) {
		here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		app := newApp(here, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			return fibersession.FromContext(c).Update(increment)
		}})
		h := storedSession(t, here, map[string]any{"n": 0})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				switch {
				case w%2 == 0:
					b := newBrowser(t, app)
					b.cookies["__Host-session"] = h.ID()
					for range times {
						if res := b.get("/"); res.status != 200 {
							t.Errorf("got status %d: %s", res.status, res.body)
						}
					}
				default:
					mine := handleOf(t, []*fibersession.Store{here, there}[w/2%2], h.ID())
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
			t.Errorf("got n = %v, want %d", got, workers*times)
		}
		t.Logf("first node: %+v", here.Stats())
		t.Logf("second node: %+v", there.Stats())
	})
}

func TestN1_IncrCountsAll(t *testing.T) {
	const workers, times = 64, 200
	overStorages(t, func(t *testing.T, st storage.Storage) {
		here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
		h := storedSession(t, here, map[string]any{"n": 0})
		before := here.Stats().Writes + there.Stats().Writes
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				mine := handleOf(t, []*fibersession.Store{here, there}[w%2], h.ID())
				last := 0
				for range times {
					n, err := mine.Incr(ctx, "n", 1)
					if err != nil || n <= last {
						t.Errorf("Incr: got %d after %d, %v; want it to grow", n, last, err)
					}
					last = n
				}
			})
		}
		wg.Wait()
		must(t, h.Reload(ctx))
		if got := h.Get("n"); got != workers*times {
			t.Errorf("got n = %v, want %d", got, workers*times)
		}
		t.Logf("%d increments took %d writes", workers*times, here.Stats().Writes+there.Stats().Writes-before)
	})
}

// Concurrent saves of 64 different keys are all kept, in 20 of 20 rounds (D5).
func TestN1_D5_DifferentKeysMerge(t *testing.T) {
	overStorages(t, func(t *testing.T, st storage.Storage) {
		for round := range 20 {
			here := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
			there := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Minute}})
			app := newApp(here, map[string]fiber.Handler{"/:key": func(c *fiber.Ctx) error {
				sess := fibersession.FromContext(c)
				sess.Get("x") // load before the other saves
				runtime.Gosched()
				sess.Set("k"+c.Params("key"), c.Params("key"))
				return nil
			}})
			h := storedSession(t, here, map[string]any{"old": 1, "removed": 1})
			var wg sync.WaitGroup
			for w := range 64 {
				wg.Go(func() {
					if w%2 == 0 {
						b := newBrowser(t, app)
						b.cookies["__Host-session"] = h.ID()
						if res := b.get(fmt.Sprintf("/%d", w)); res.status != 200 {
							t.Errorf("got status %d: %s", res.status, res.body)
						}
						return
					}
					mine := handleOf(t, []*fibersession.Store{here, there}[w/2%2], h.ID())
					mine.Set(fmt.Sprintf("k%d", w), fmt.Sprint(w))
					if w == 1 {
						mine.Delete("removed") // deletions are merged, too
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
					t.Errorf("round %d: got k%d = %v, want %d", round, w, got, w)
				}
			}
			if h.Get("old") != 1 || slices.Contains(h.Keys(), "removed") {
				t.Errorf("round %d: got old = %v and the keys %q, want 1 and no \"removed\"", round, h.Get("old"), h.Keys())
			}
		}
	})
}

// A save is rejected because of what is stored now, not because of what this node saw last.
func TestSave_RejectionUsesTheLatestState(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 800)
	tests := map[string]struct {
		before map[string]any
		remove string                             // key that the other node deletes
		change func(h *fibersession.Handle) error // fails before that and succeeds after it
	}{
		"not an integer": {map[string]any{"n": "text"}, "n", func(h *fibersession.Handle) error {
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
			h := storedSession(t, here, tt.before)
			refused := tt.change(h)
			if refused == nil {
				t.Fatal("the change was accepted before the other node's save, want an error")
			}
			must(t, h.Reload(ctx))

			remote := handleOf(t, there, h.ID())
			remote.Delete(tt.remove)
			must(t, remote.Save(ctx))
			if err := tt.change(h); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each limit applies to the merged session. Test each at the limit and one above it.
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
	fill := size - overhead(at) + 300 // the string's length prefix takes two bytes for both
	tests := map[string]struct {
		values map[string]any
		err    error
	}{
		"size at the limit":       {map[string]any{"k": string(make([]byte, fill))}, nil},
		"size above":              {map[string]any{"k": string(make([]byte, fill+1))}, fibersession.ErrTooLarge},
		"byte slice above":        {map[string]any{"k": make([]byte, size)}, fibersession.ErrTooLarge},
		"keys at the limit":       {map[string]any{"a": 1, "b": 1, "c": 1}, nil},
		"keys above":              {map[string]any{"a": 1, "b": 1, "c": 1, "d": 1}, fibersession.ErrTooManyKeys},
		"key length at the limit": {map[string]any{strings.Repeat("k", 256): 1, "a": 1}, nil},
		"key length above":        {map[string]any{strings.Repeat("k", 257): 1}, fibersession.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := storedSession(t, s, map[string]any{"a": "old"})
			for k, v := range tt.values {
				h.Set(k, v)
			}
			h.Delete("nothing")
			if _, over := tt.values["k"]; over {
				h.Delete("a")
			}
			err := h.Save(ctx)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			must(t, h.Reload(ctx))
			want := tt.values
			if tt.err != nil {
				want = map[string]any{"a": "old"}
			}
			if got := h.Keys(); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Errorf("got the stored keys %q, want %q", got, slices.Sorted(maps.Keys(want)))
			}
		})
	}
}
