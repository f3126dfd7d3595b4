package fibersession_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// unconfirmed is a new session on the node here, whose first save has an unknown outcome.
type unconfirmed struct {
	st          storage.Storage
	here, there *fibersession.Store
	h           *fibersession.Handle
	id          string
	log         *noticetest.Log // of here
}

// keepOpen is a storage that a wrapper around it does not close.
type keepOpen struct{ storage.Storage }

func (keepOpen) Close() error { return nil }

func (k keepOpen) Watch(fn func(storage.Change)) (storage.Watch, error) {
	return k.Storage.(storage.Feed).Watch(fn)
}

func (k keepOpen) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	return k.Storage.(storage.Index).AddMember(ctx, set, member, ttl)
}

// onUnconfirmed runs test for each layout, in memory and on Redis. stored tells whether the save
// happened.
func onUnconfirmed(t *testing.T, stored bool, test func(t *testing.T, u unconfirmed)) {
	layouts := map[string]fibersession.Config{
		"sealed":  {},
		"builtin": {Builtin: true},
		"express": expressConfig(fibersession.Config{}),
	}
	overStorages(t, func(t *testing.T, st storage.Storage) {
		for name, cfg := range layouts {
			t.Run(name, func(t *testing.T) {
				u := unconfirmed{st: st, log: new(noticetest.Log)}
				failing := faulty.New(keepOpen{st}, nil)
				cfg.Timeouts.Storage = waitLimit
				cfg.Storage = st
				u.there = newStore(t, cfg)
				cfg.Storage, cfg.Logger = failing, u.log.Logger()
				u.here = newStore(t, cfg)
				u.h = newSession(t, u.here)
				u.id = u.h.ID()
				u.h.Set("n", 1)
				fault := faulty.Fault{Lose: errBroken}
				if !stored {
					fault = faulty.Fault{Fail: storage.ErrUnknownOutcome}
				}
				failing.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
				if err := u.h.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) {
					t.Fatalf("the first save: got %v, want ErrUnknownOutcome", err)
				}
				failing.SetPlan(nil)
				if sessionIsStored(t, st, u.here, u.id) != stored {
					t.Fatalf("the session is stored: got %v, want %v", !stored, stored)
				}
				test(t, u)
			})
		}
	})
}

// wantEnded fails the test unless the session has ended for good.
func (u unconfirmed) wantEnded(t *testing.T) {
	t.Helper()
	for range 2 { // the second call gets the same error
		u.h.Set("n", 2)
		if err := u.h.Save(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
			t.Errorf("the next save: got %v, want ErrDestroyed", err)
		}
	}
	if sessionIsStored(t, u.st, u.here, u.id) {
		t.Error("the session is stored again")
	}
	if lines := u.log.Lines("session_unconfirmed"); len(lines) != 1 || u.here.Stats().Notices["session_unconfirmed"] != 1 {
		t.Errorf("got the lines %q, want one with notice=session_unconfirmed", lines)
	}
	if strings.Contains(u.log.String(), u.id) {
		t.Error("the log contains the session's ID")
	}
}

// The first save of a session did happen, although this node does not know. Another node
// destroys the session. This node must not store it again.
func TestN12_UnconfirmedCreation_DestroyedElsewhere(t *testing.T) {
	t.Parallel()
	onUnconfirmed(t, true, func(t *testing.T, u unconfirmed) {
		must(t, handleOf(t, u.there, u.id).Destroy(ctx))
		u.wantEnded(t)
	})
}

// The same, but the other node gave the session a new ID before it destroyed the session.
func TestN12_UnconfirmedCreation_RenewedAndDestroyedElsewhere(t *testing.T) {
	t.Parallel()
	onUnconfirmed(t, true, func(t *testing.T, u unconfirmed) {
		other := handleOf(t, u.there, u.id)
		must(t, other.Regenerate(ctx))
		must(t, other.Destroy(ctx))
		u.wantEnded(t)
	})
}

// This node cannot tell a save that never happened from one whose session was destroyed.
func TestN12_UnconfirmedCreation_NeverStored(t *testing.T) {
	t.Parallel()
	onUnconfirmed(t, false, func(t *testing.T, u unconfirmed) { u.wantEnded(t) })
}

// Without a logout, the next save continues in the session that the first one stored.
func TestN12_UnconfirmedCreation_Continues(t *testing.T) {
	t.Parallel()
	onUnconfirmed(t, true, func(t *testing.T, u unconfirmed) {
		if n, err := u.h.Incr(ctx, "n", 1); n != 2 || err != nil {
			t.Errorf("Incr: got %d, %v; want 2", n, err)
		}
		if got := handleOf(t, u.there, u.id).Get("n"); got != 2 {
			t.Errorf("the other node: got n = %v, want 2", got)
		}
	})
}

// A watched session learns of the logout without being used.
func TestN12_UnconfirmedCreation_WatchersAreTold(t *testing.T) {
	t.Parallel()
	onUnconfirmed(t, true, func(t *testing.T, u unconfirmed) {
		rec := recordEvents(t, u.h) // from here on, this node finds out what became of the save
		must(t, handleOf(t, u.there, u.id).Destroy(ctx))
		if e := rec.nextOfKind(fibersession.Ended); !errors.Is(e.Cause, fibersession.ErrDestroyed) {
			t.Errorf("got the cause %v, want ErrDestroyed", e.Cause)
		}
	})
}

// A save that certainly did not happen is made again.
func TestN12_RefusedCreationIsMadeAgain(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), faulty.OnMethod("CompareAndSwap", faulty.Fault{Fail: errBroken}))
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := newSession(t, s)
	h.Set("n", 1)
	if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnavailable) {
		t.Fatalf("the first save: got %v, want ErrUnavailable", err)
	}
	st.SetPlan(nil)
	must(t, h.Save(ctx))
	if !sessionIsStored(t, st, s, h.ID()) {
		t.Error("the session is not stored")
	}
}

// slowBasic is a fiber.Storage whose next Set takes a minute once slow is set.
type slowBasic struct {
	storage.Basic
	mu   sync.Mutex
	slow bool
}

func (b *slowBasic) Set(key string, val []byte, exp time.Duration) error {
	b.mu.Lock()
	slow := b.slow
	b.slow = false
	b.mu.Unlock()
	if slow {
		time.Sleep(time.Minute)
	}
	return b.Basic.Set(key, val, exp)
}

// The first save is still under way in a driver without contexts when its caller has given it
// up. What comes next waits for it, and neither ends the session wrongly nor misses it.
func TestN12_UnconfirmedCreation_StillUnderWay(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"save", "destroy"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &slowBasic{Basic: &keySpy{data: map[string][]byte{}, keys: map[string]bool{}}}
				st := storage.From(b)
				s := newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: time.Second}})
				h := newSession(t, s)
				id := h.ID()
				b.slow = true
				h.Set("n", 1)
				if err := h.Save(ctx); !errors.Is(err, fibersession.ErrUnknownOutcome) {
					t.Fatalf("the first save: got %v, want ErrUnknownOutcome", err)
				}
				do := func() error { h.Set("m", 1); return h.Save(ctx) }
				if act == "destroy" {
					do = func() error { return h.Destroy(ctx) }
				}
				if err := do(); !errors.Is(err, fibersession.ErrUnavailable) {
					t.Errorf("while the first save is under way: got %v, want ErrUnavailable", err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				must(t, do())
				if sessionIsStored(t, st, s, id) != (act == "save") {
					t.Errorf("after the %s: the session is stored: %v", act, act != "save")
				}
				h.Release()
				must(t, st.Close())
			})
		})
	}
}
