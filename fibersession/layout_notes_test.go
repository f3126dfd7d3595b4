package fibersession_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// However often a session's ID changed, and on which nodes, its end leaves no key in Redis.
func TestN5_TheEndRemovesTheNotesOfFormerIDs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, end := range map[string]func(h *fibersession.Handle, other *fibersession.Store) error{
		"Destroy": func(h *fibersession.Handle, _ *fibersession.Store) error { return h.Destroy(ctx) },
		"EndAll on another node": func(h *fibersession.Handle, other *fibersession.Store) error {
			_, err := other.EndAll(ctx, h.User())
			return err
		},
		"EndDevice on another node": func(h *fibersession.Handle, other *fibersession.Store) error {
			all, err := other.Devices(ctx, h.User())
			if err != nil || len(all) != 1 {
				return fmt.Errorf("%d devices: %w", len(all), err)
			}
			return other.EndDevice(ctx, h.User(), all[0].ID)
		},
		"EndAll by a node with another codec": func(h *fibersession.Handle, other *fibersession.Store) error {
			json := fibersession.New(fibersession.Config{Storage: other.Config.Storage, UserKey: "user", OldLogins: fibersession.OldLogins{Off: true}, Codec: fibersession.JSON{}, Logger: discardLogger})
			_, err := json.EndAll(ctx, h.User())
			return errors.Join(err, json.Close())
		},
	} {
		for _, moves := range []int{1, 7, 8, 9, 20, 40} {
			t.Run(fmt.Sprintf("%s after %d", name, moves), func(t *testing.T) {
				server.Do("flushall")
				cfg := fibersession.Config{UserKey: "user", OldLogins: fibersession.OldLogins{Off: true}} // or EndAll leaves its mark
				cfg.Timeouts.Storage = 20 * time.Second                                                   // for a busy machine
				cfg.Storage = openStorage(t, server.URL())
				a := newStore(t, cfg)
				cfg.Storage = openStorage(t, server.URL())
				b := newStore(t, cfg)
				ha := loggedIn(t, a, "ada")
				must(t, ha.Reload(ctx))
				hb := handleOf(t, b, ha.ID())
				for i := range moves {
					h := []*fibersession.Handle{ha, hb}[i%2]
					must(t, h.Reload(ctx))
					must(t, h.Regenerate(ctx))
				}
				if got := server.Do("dbsize"); got == "1" {
					t.Fatal("there are no notes to remove")
				}
				must(t, hb.Reload(ctx))
				must(t, end(hb, a))
				if got := server.Do("dbsize"); got != "0" {
					t.Errorf("got %s keys after the end, want 0: %s", got, server.Do("keys", "*"))
				}
				if err := ha.Reload(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
					t.Errorf("the handle on the other node: got %v, want ErrDestroyed", err)
				}
			})
		}
	}
}

// A node that missed all moves, whose feed is silent, and whose key has no note any more
// learns that the session has ended, and cannot bring it back.
func TestN12_LogoutSticksWithoutTheNotes(t *testing.T) {
	t.Parallel()
	for _, moves := range []int{1, 20} {
		t.Run(fmt.Sprint(moves), func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			deaf := faulty.New(st, nil)
			here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: deaf})
			h := storedSession(t, here, map[string]any{"n": 1})
			first := h.ID()
			missed := handleOf(t, there, first)
			waitForSubscription(t, there, func() { t.Cleanup(missed.Watch(func(fibersession.Event) {})) })
			deaf.Mute(true)
			for range moves {
				must(t, h.Regenerate(ctx))
			}
			must(t, h.Destroy(ctx))
			missed.Set("n", 2)
			if err := missed.Save(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
				t.Errorf("a save by the node that missed it all: got %v, want ErrDestroyed", err)
			}
			for _, s := range []*fibersession.Store{here, there} {
				if _, err := s.GetByID(ctx, first); !errors.Is(err, fibersession.ErrNotFound) {
					t.Errorf("the first ID: got %v, want ErrNotFound", err)
				}
			}
		})
	}
}

// While the session lives, a node that missed many moves still finds it.
func TestN5_ANodeThatMissedManyMovesFindsTheSession(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	h := storedSession(t, here, nil)
	missed := handleOf(t, there, h.ID())
	for range 30 {
		must(t, h.Regenerate(ctx))
	}
	missed.Set("n", 1)
	must(t, missed.Save(ctx))
	must(t, h.Reload(ctx))
	if h.Get("n") != 1 {
		t.Error("the change of the node that missed the moves is not in the session")
	}
}

// The notes of a session that expired are removed with it. A key that belongs to another
// session by now stays.
func TestN5_NotesOfAnExpiredSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		id := func(c string) string { return "an-ID-of-forty-three-characters-number-" + c }
		next := id("one") // New takes the first one
		s := fibersession.New(fibersession.Config{Storage: st, Expiration: time.Hour, Logger: discardLogger, KeyGenerator: func() string { return next }})
		h := storedSession(t, s, nil)
		next = id("two")
		must(t, h.Regenerate(ctx))
		time.Sleep(50 * time.Minute)
		must(t, h.Touch(ctx))
		next = id("six")
		must(t, h.Regenerate(ctx))
		for range 2 {
			time.Sleep(50 * time.Minute)
			must(t, h.Touch(ctx))
		}
		must(t, st.Delete(s.StoreKey(id("one")))) // as its TTL did, which has no fake clock
		next = id("one")
		other := storedSession(t, s, nil)
		second := s.StoreKey(id("two"))
		if v, _ := st.Get(second); v == nil {
			t.Fatal("there is no note under the second ID")
		}
		must(t, other.Reload(ctx))
		time.Sleep(50 * time.Minute)
		must(t, other.Touch(ctx))
		time.Sleep(10*time.Minute + time.Second)
		if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrExpired) {
			t.Errorf("got %v, want ErrExpired", err)
		}
		if v, _ := st.Get(second); v != nil {
			t.Error("the note outlived its session, which was found expired")
		}
		if err := other.Reload(ctx); err != nil {
			t.Errorf("the other session, which has the first ID now: got %v, want nil", err)
		}
		h.Release()
		other.Release()
		_ = st.Close()
	})
}

// If a note cannot be removed, the session has ended all the same. The note has a TTL.
func TestN5_NotesThatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	st := faulty.New(openStorage(t, server.URL()), nil)
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, nil)
	old := s.StoreKey(h.ID())
	must(t, h.Regenerate(ctx))
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		if c.Key == old {
			return faulty.Fault{Fail: errBroken}
		}
		return faulty.Fault{}
	})
	must(t, h.Destroy(ctx))
	if ttl := server.Do("ttl", old); ttl == "-1" || ttl == "-2" {
		t.Errorf("got a TTL of %s for the note that stays, want the remaining seconds", ttl)
	}
}
