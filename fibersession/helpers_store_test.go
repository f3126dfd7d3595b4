package fibersession_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

var ctx = context.Background()

// quiet discards what a test does not look at.
var quiet = slog.New(slog.DiscardHandler)

// newStore returns a store that ends with the test and must then hold no session.
func newStore(t testing.TB, cfg fibersession.Config) *fibersession.Store {
	t.Helper()
	if cfg.Storage == nil {
		st := memory.New()
		t.Cleanup(func() { _ = st.Close() })
		cfg.Storage = st
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	s := fibersession.New(cfg)
	t.Cleanup(func() {
		if stats := s.Stats(); stats.States != 0 || stats.Handles != 0 {
			t.Errorf("after the test there are still %d states and %d handles", stats.States, stats.Handles)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// overStorages runs a test on memory and on a real Redis.
func overStorages(t *testing.T, test func(t *testing.T, st storage.Storage)) {
	t.Run("memory", func(t *testing.T) {
		st := memory.New()
		defer func() { _ = st.Close() }()
		test(t, st)
	})
	t.Run("redis", func(t *testing.T) {
		st, err := storage.Open(redistest.Start(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		test(t, st)
	})
}

// stored returns a handle of a session that is stored with these values.
func stored(t testing.TB, s *fibersession.Store, values map[string]any) *fibersession.Handle {
	t.Helper()
	h := fresh(t, s)
	for k, v := range values {
		h.Set(k, v)
	}
	if len(values) == 0 {
		h.Set("nothing", nil)
	}
	must(t, h.Save(ctx))
	return h
}

// fresh returns the handle of a new session.
func fresh(t testing.TB, s *fibersession.Store) *fibersession.Handle {
	t.Helper()
	var h *fibersession.Handle
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) (err error) {
		h, err = s.Lift(c)
		return err
	})
	if res := newBrowser(t, app).get("/"); res.status != 200 {
		t.Fatalf("Lift failed: %d %s", res.status, res.body)
	}
	t.Cleanup(h.Release)
	return h
}

// again returns another handle of h's session, on any store of the same storage.
func again(t testing.TB, s *fibersession.Store, id string) *fibersession.Handle {
	t.Helper()
	h, err := s.GetByID(ctx, id)
	must(t, err)
	t.Cleanup(h.Release)
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inTime runs a test on a clock of its own, with a store that ends in it.
func inTime(t *testing.T, cfg fibersession.Config, test func(t *testing.T, s *fibersession.Store)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		cfg.Storage, cfg.Logger = st, quiet
		s := fibersession.New(cfg)
		test(t, s)
		if n := s.Stats().States; n != 0 {
			t.Errorf("%d states are left", n)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// keys is what the storage holds of sessions.
func sessionIsStored(t *testing.T, st storage.Storage, s *fibersession.Store, id string) bool {
	t.Helper()
	_, err := st.Load(ctx, s.StoreKey(id))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// loggedIn returns a handle of a new session of the user.
func loggedIn(t testing.TB, s *fibersession.Store, user string) *fibersession.Handle {
	t.Helper()
	h := fresh(t, s)
	must(t, h.Login(ctx, user))
	return h
}

// ended says whether nobody can use the session any more, on a node that asks the store.
func ended(h *fibersession.Handle) bool { return errors.Is(h.Reload(ctx), fibersession.ErrSessionGone) }

func valueOf(t testing.TB, st storage.Storage, key string) []byte {
	t.Helper()
	v, err := st.Get(key)
	must(t, err)
	if v == nil {
		t.Fatal("there is no value")
	}
	return v
}

func increment(tx *fibersession.Tx) error {
	tx.Set("n", fibersession.Value[int](tx, "n")+1)
	return nil
}
