package fibersession_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

const (
	countKey = fibersession.Key[int]("count")
	cartKey  = fibersession.Key[[]string]("cart")
)

// TestM1_Key: a key reads and writes one type, through a handle and through a transaction.
func TestM1_Key(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"count": 2.0, "cart": "of another type"})
	if n, err := countKey.Get(h); n != 2 || err != nil {
		t.Errorf("a number of another type: got %d, %v; want 2", n, err)
	}
	if v, err := cartKey.Get(h); v != nil || !errors.Is(err, fibersession.ErrType) {
		t.Errorf("another type: got %v, %v; want ErrType", v, err)
	}
	if err := cartKey.Update(ctx, h, func([]string) ([]string, error) { return []string{"lost"}, nil }); !errors.Is(err, fibersession.ErrType) || h.Get("cart") != "of another type" {
		t.Errorf("Update of another type: got %v and %v, want ErrType and no change", err, h.Get("cart"))
	}
	cartKey.Set(h, []string{"a"})
	must(t, h.Save(ctx))
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
		items, ok, err := cartKey.Lookup(tx)
		if !ok || err != nil || len(items) != 1 {
			t.Errorf("in a transaction: got %v, %v, %v", items, ok, err)
		}
		cartKey.Set(tx, append(items, "b"))
		countKey.Delete(tx)
		return nil
	}))
	if items, err := cartKey.Get(h); len(items) != 2 || err != nil {
		t.Errorf("got %v, %v; want two items", items, err)
	}
	if n, ok, err := countKey.Lookup(h); n != 0 || ok || err != nil {
		t.Errorf("after Delete: got %d, %v, %v", n, ok, err)
	}
	stop := errors.New("stop")
	if err := countKey.Update(ctx, h, func(n int) (int, error) { return 9, stop }); !errors.Is(err, stop) || h.Get("count") != nil {
		t.Errorf("Update that fails: got %v and %v", err, h.Get("count"))
	}
}

// TestM1_KeyUpdate: concurrent updates of a key all count.
func TestM1_KeyUpdate(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, map[string]any{"count": 0})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := countKey.Update(ctx, h, func(n int) (int, error) { return n + 1, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n, err := countKey.Get(h); n != 160 || err != nil {
		t.Errorf("got %d, %v; want 160", n, err)
	}
}
