package fibersession_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func promote(tx *fibersession.Tx) error { tx.Set("role", "admin"); return nil }

// UpdateUser changes all sessions of the user on both nodes, a bounded number at a time, and
// no session of another user. Watchers on the other node hear of it.
func TestN14_UpdateUser(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, a, b *fibersession.Store) {
		const sessions = 200
		var all []*fibersession.Handle
		for i := range sessions {
			all = append(all, loggedIn(t, []*fibersession.Store{a, b}[i%2], "ada"))
		}
		other := loggedIn(t, a, "bob")
		var watched *eventRecorder
		waitForSubscription(t, b, func() { watched = recordEvents(t, all[1]) })
		var running, most atomic.Int64
		n, err := a.UpdateUser(ctx, "ada", func(tx *fibersession.Tx) error {
			now := running.Add(1)
			defer running.Add(-1)
			for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
			}
			return promote(tx)
		})
		if err != nil || n != sessions {
			t.Errorf("got %d sessions and error %v, want %d", n, err, sessions)
		}
		if most.Load() > 16 {
			t.Errorf("fn ran for %d sessions at once, want at most 16", most.Load())
		}
		if e := watched.nextOfKind(fibersession.Changed); !slices.Equal(e.Keys, []string{"role"}) {
			t.Errorf("the watched session on the other node: got changed keys %q, want role", e.Keys)
		}
		for i, h := range all {
			must(t, h.Reload(ctx))
			if h.Get("role") != "admin" || h.User() != "ada" {
				t.Errorf("session %d: got role %v of user %q, want admin of ada", i, h.Get("role"), h.User())
			}
		}
		must(t, other.Reload(ctx))
		if other.Get("role") != nil {
			t.Error("a session of another user was changed")
		}
	})
}

// A session in which the user logs in while UpdateUser runs is changed, because it is stored
// before the index was last read. So is one whose ID changes meanwhile, once.
func TestN14_UpdateUser_LoginsMeanwhile(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, a, b *fibersession.Store) {
		first, second, late := loggedIn(t, a, "ada"), loggedIn(t, a, "ada"), newSession(t, b)
		var once atomic.Bool
		runs := make(chan struct{}, 100)
		n, err := a.UpdateUser(ctx, "ada", func(tx *fibersession.Tx) error {
			runs <- struct{}{}
			if !once.Swap(true) {
				must(t, late.Login(ctx, "ada"))
				must(t, second.Regenerate(ctx))
			}
			tx.Set("n", valueOf[int](tx, "n")+1)
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("got %d sessions and error %v, want 3", n, err)
		}
		for name, h := range map[string]*fibersession.Handle{"first": first, "second": second, "late": late} {
			must(t, h.Reload(ctx))
			if h.Get("n") != 1 {
				t.Errorf("the %s session: got n = %v, want 1", name, h.Get("n"))
			}
		}
	})
}

// One session that fails stops no other. The error says how many failed, and names each
// cause once.
func TestN14_UpdateUser_Errors(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	var all []*fibersession.Handle
	for i := range 40 {
		h := loggedIn(t, s, "ada")
		h.Set("i", i)
		must(t, h.Save(ctx))
		all = append(all, h)
	}
	refused := errors.New("refused by fn")
	n, err := s.UpdateUser(ctx, "ada", func(tx *fibersession.Tx) error {
		tx.Set("role", "admin")
		if valueOf[int](tx, "i") < 10 {
			return refused
		}
		return nil
	})
	if n != 30 || !errors.Is(err, refused) {
		t.Errorf("fn failed for 10 of 40 sessions: got %d and %v, want 30 and fn's error", n, err)
	}
	if text := fmt.Sprint(err); !strings.Contains(text, "10 sessions") || strings.Count(text, "refused by fn") != 1 {
		t.Errorf("got %q, want the number of sessions and each cause once", text)
	}
	for i, h := range all {
		if got := h.Get("role"); (got == "admin") != (i >= 10) {
			t.Errorf("session %d: got role %v", i, got)
		}
	}

	broken := s.StoreKey(all[20].ID())
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		if c.Key == broken {
			return faulty.Fault{Fail: errBroken}
		}
		return faulty.Fault{}
	})
	if n, err = s.UpdateUser(ctx, "ada", promote); n != 39 || !errors.Is(err, fibersession.ErrUnavailable) || !errors.Is(err, errBroken) {
		t.Errorf("the storage fails for one session: got %d and %v, want 39 and ErrUnavailable", n, err)
	}
	st.SetPlan(faulty.OnMethod("Members", faulty.Fault{Fail: errBroken}))
	if n, err = s.UpdateUser(ctx, "ada", promote); n != 0 || !errors.Is(err, fibersession.ErrUnavailable) {
		t.Errorf("the index cannot be read: got %d and %v, want 0 and ErrUnavailable", n, err)
	}
	st.SetPlan(nil)

	must(t, st.Set(s.StoreKey(all[0].ID()), []byte("of another version"), 0))
	must(t, all[1].Destroy(ctx))
	if n, err = s.UpdateUser(ctx, "ada", promote); n != 38 || !errors.Is(err, fibersession.ErrCorrupt) {
		t.Errorf("one session ended and one cannot be decoded: got %d and %v, want 38 and ErrCorrupt", n, err)
	}

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if n, err = s.UpdateUser(ended, "ada", promote); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %d and %v, want 0 and context.Canceled", n, err)
	}
	if n, err = s.UpdateUser(ctx, "nobody", promote); n != 0 || err != nil {
		t.Errorf("a user without sessions: got %d and %v, want 0 and nil", n, err)
	}

	func() {
		defer func() {
			if p := recover(); !strings.Contains(fmt.Sprint(p), "fn panicked") {
				t.Errorf("got panic %v, want fn's", p)
			}
		}()
		_, _ = s.UpdateUser(ctx, "ada", func(*fibersession.Tx) error { panic("fn panicked") })
	}()
}

// fn can give the sessions to another user: the index follows.
func TestN14_UpdateUser_ChangesTheUser(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, a, b *fibersession.Store) {
		for range 3 {
			loggedIn(t, a, "ada")
		}
		loggedIn(t, b, "bob")
		if n, err := b.UpdateUser(ctx, "ada", func(tx *fibersession.Tx) error { tx.Set("user", "bob"); return nil }); n != 3 || err != nil {
			t.Errorf("got %d and %v, want 3", n, err)
		}
		for user, want := range map[string]int{"ada": 0, "bob": 4} {
			if all, err := a.Devices(ctx, user); err != nil || len(all) != want {
				t.Errorf("%s has %d sessions (error %v), want %d", user, len(all), err, want)
			}
		}
	})
}

// Without users or an index there is nothing to change.
func TestN14_UpdateUser_NeedsAnIndex(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	for name, tt := range map[string]struct {
		cfg  fibersession.Config
		want error
	}{
		"no UserKey": {fibersession.Config{}, fibersession.ErrUserKey},
		"no index":   {fibersession.Config{UserKey: "user", Storage: noIndex{storage.From(st)}}, fibersession.ErrNoIndex},
		"builtin":    {fibersession.Config{UserKey: "user", Builtin: true}, fibersession.ErrNoIndex},
	} {
		s := newStore(t, tt.cfg)
		if n, err := s.UpdateUser(ctx, "ada", promote); n != 0 || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %d and %v, want %v", name, n, err, tt.want)
		}
	}
}
