package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

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

// TestM1_KeyUpdate: no update is lost, whether HTTP requests, handles or transactions make it, on
// the same node or on another.
func TestM1_KeyUpdate(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{}, func(t *testing.T, a, b *fibersession.Store) {
		const rounds = 15
		add := func(n int) (int, error) { return n + 1, nil }
		var updates []func() error
		var cookie string
		for _, s := range []*fibersession.Store{a, b} {
			app := newApp(s, map[string]fiber.Handler{"/add": func(c *fiber.Ctx) error {
				return countKey.Update(c.UserContext(), fibersession.FromContext(c), add)
			}})
			url := "http://" + serve(t, app) + "/add"
			if cookie == "" { // the first visit begins the session
				_, header := visit(t, url, "")
				cookie, _, _ = strings.Cut(header, ";")
			}
			updates = append(updates, func() error {
				req, err := http.NewRequest("GET", url, nil)
				if err != nil {
					return err
				}
				req.Header.Set("Cookie", cookie)
				res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
				if err != nil {
					return err
				}
				defer func() { _ = res.Body.Close() }()
				if res.StatusCode != fiber.StatusOK {
					return errors.New(res.Status)
				}
				return nil
			})
		}
		_, id, _ := strings.Cut(cookie, "=")
		ha, hb := handleOf(t, a, id), handleOf(t, b, id)
		for _, h := range []*fibersession.Handle{ha, hb} {
			updates = append(updates, func() error { return countKey.Update(ctx, h, add) }, func() error {
				return h.Update(ctx, func(tx *fibersession.Tx) error { return countKey.Update(ctx, tx, add) })
			})
		}
		var all sync.WaitGroup
		for _, update := range updates {
			for range 2 {
				all.Go(func() {
					for range rounds {
						if err := update(); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		must(t, ha.Reload(ctx))
		if n, err := countKey.Get(ha); n != 1+len(updates)*2*rounds || err != nil {
			t.Errorf("got %d, %v; want %d", n, err, 1+len(updates)*2*rounds)
		}
	})
}

// TestM1_KeyUpdateOfARequest: the first value of a visitor begins a session, of whose cookie the
// response tells, and the change is there before the request ends.
func TestM1_KeyUpdateOfARequest(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	b := newBrowser(t, newApp(s, map[string]fiber.Handler{"/add": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		err := cartKey.Update(c.UserContext(), sess, func(items []string) ([]string, error) { return append(items, "a"), nil })
		if items, _ := cartKey.Get(handleOf(t, s, sess.ID())); err == nil && len(items) == 0 {
			return errors.New("the change is not stored yet")
		}
		return err
	}, "/stop": func(c *fiber.Ctx) error {
		ended, cancel := context.WithCancel(c.UserContext())
		cancel()
		if err := cartKey.Update(ended, fibersession.FromContext(c), func([]string) ([]string, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("with a context that has ended: %w", err)
		}
		return nil
	}}))
	if err := cartKey.Update(ctx, (*fibersession.Session)(nil), nil); !errors.Is(err, fibersession.ErrNoHandler) {
		t.Errorf("without Handler: got %v, want ErrNoHandler", err)
	}
	for _, path := range []string{"/add", "/add", "/stop"} {
		if r := b.get(path); r.status != fiber.StatusOK {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
	}
	if items, err := cartKey.Get(handleOf(t, s, b.session())); len(items) != 2 || err != nil {
		t.Errorf("got %v, %v; want two items", items, err)
	}
}
