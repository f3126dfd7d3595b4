package fibersession_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestN5_Regenerate(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	app := newApp(here, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("cart", 3)
			return nil
		},
		"/login": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			if err := sess.Regenerate(); err != nil {
				return err
			}
			sess.Set("user", "alice")
			return nil
		},
		"/user": func(c *fiber.Ctx) error {
			return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
		},
	})
	b := newBrowser(t, app)
	b.get("/")
	old := b.session()
	socket, remote := handleOf(t, here, old), handleOf(t, there, old)

	if res := b.get("/login"); res.status != 200 || len(res.set) != 1 {
		t.Fatalf("got %d %s with %d cookies, want 200 with 1", res.status, res.body, len(res.set))
	}
	id := b.session()
	if id == old {
		t.Fatal("the login did not change the ID")
	}
	for where, s := range map[string]*fibersession.Store{"here": here, "there": there} {
		if _, err := s.GetByID(ctx, old); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("the old ID on node %s: got %v, want ErrNotFound", where, err)
		}
	}
	attacker := newBrowser(t, app)
	attacker.cookies["__Host-session"] = old
	if res := attacker.get("/user"); res.body != "" || len(res.set) != 0 {
		t.Errorf("the old cookie: got user %q with %d cookies, want neither", res.body, len(res.set))
	}
	// Handles keep their session.
	if socket.ID() != id || socket.Get("user") != "alice" || socket.Get("cart") != 3 {
		t.Errorf("the handle on this node: got the new ID %v, user %v and cart %v; want true, alice and 3", socket.ID() == id, socket.Get("user"), socket.Get("cart"))
	}
	must(t, remote.Reload(ctx))
	if remote.Get("user") != "alice" || remote.ID() != "" {
		t.Errorf("the handle on the other node: got user %v, ID unknown: %v; want alice and true", remote.Get("user"), remote.ID() == "")
	}
	remote.Set("late", true)
	must(t, remote.Save(ctx))
	must(t, socket.Reload(ctx))
	if socket.Get("late") != true {
		t.Error("the other node's change is not in the session")
	}
}

// Both nodes save changes while the ID changes again and again. No change is lost, and no
// old ID works.
func TestN5_RegenerateWhileOthersSave(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	h := storedSession(t, here, map[string]any{"n": 0})
	const workers, times, renewals = 8, 100, 30
	var wg sync.WaitGroup
	for w := range workers {
		mine := handleOf(t, []*fibersession.Store{here, there}[w%2], h.ID())
		wg.Go(func() {
			for range times {
				if _, err := mine.Incr(ctx, "n", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var old []string
	for range renewals {
		old = append(old, h.ID())
		must(t, h.Regenerate(ctx))
		for _, id := range old {
			if _, err := here.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
				t.Errorf("an old ID: got %v, want ErrNotFound", err)
			}
		}
	}
	wg.Wait()
	must(t, h.Reload(ctx))
	if got := h.Get("n"); got != workers*times {
		t.Errorf("got n = %v, want %d", got, workers*times)
	}
	for _, id := range old {
		if _, err := there.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("an old ID on the other node: got %v, want ErrNotFound", err)
		}
	}
}

// Two requests with the same cookie are in flight, and one of them logs in. The response to
// the other must not carry the new ID: it may go to an attacker who planted the old one.
func TestRegenerate_OtherRequestsGetNoCookie(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	loaded, renewed := make(chan struct{}), make(chan struct{})
	app := newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("a", 1); return nil },
		"/slow": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("b", 1)
			close(loaded)
			<-renewed
			return sess.Save()
		},
		"/login": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Regenerate() },
	})
	b := newBrowser(t, app)
	b.get("/")
	other := newBrowser(t, app)
	other.cookies["__Host-session"] = b.session()
	answer := make(chan response, 1)
	go func() { answer <- other.get("/slow") }() // the receive below waits for it
	<-loaded
	b.get("/login")
	close(renewed)
	if res := <-answer; res.status != 200 || len(res.set) != 0 {
		t.Errorf("the other request: got status %d with %d cookies, want 200 with none", res.status, len(res.set))
	}
	if got := handleOf(t, s, b.session()).Get("b"); got != 1 {
		t.Error("the other request's change was lost")
	}
}

// Another node gives a session a new ID, and this node first sees the new ID in a request.
// The state that it has under the old ID then forwards to the new state, with its handles
// and watchers.
func TestRegenerate_OldStateForwards(t *testing.T) {
	t.Parallel()
	st, here, _ := twoNodes(t, fibersession.Config{})
	there := newStore(t, fibersession.Config{Storage: struct{ storage.Storage }{st}}) // without a feed
	h := storedSession(t, here, map[string]any{"n": 1})
	remote := handleOf(t, there, h.ID())
	var events []fibersession.EventKind
	stop := remote.Watch(func(e fibersession.Event) { events = append(events, e.Kind) })
	defer stop()
	must(t, h.Regenerate(ctx))

	renewed := handleOf(t, there, h.ID()) // creates a second state, under the new ID
	if got := there.Stats().States; got != 2 {
		t.Errorf("before the reload: got %d states, want 2", got)
	}
	must(t, remote.Reload(ctx))
	if remote.ID() != h.ID() {
		t.Error("the old handle does not know the new ID")
	}
	renewed.Set("n", 2)
	must(t, renewed.Save(ctx))
	if remote.Get("n") != 2 {
		t.Errorf("the old handle: got n = %v, want 2", remote.Get("n"))
	}
	if len(events) < 2 || events[0] != fibersession.Renewed || events[len(events)-1] != fibersession.Changed {
		t.Errorf("the old handle's watcher got the events %v, want Renewed first and Changed last", events)
	}
	must(t, remote.Update(ctx, increment))
	remote.Release()
	if renewed.Get("n") != 3 || renewed.Err() != nil {
		t.Errorf("after the release of the old handle: got n = %v and Err %v, want 3 and nil", renewed.Get("n"), renewed.Err())
	}
}

// sessionOnTwoKeys returns a session on two nodes. Node there has no feed: if here gives
// the session a new ID and there loads it by that ID, there has a second state of it until
// remote is reloaded.
func sessionOnTwoKeys(t *testing.T) (here, there *fibersession.Store, h, remote *fibersession.Handle) {
	st, here, _ := twoNodes(t, fibersession.Config{})
	there = newStore(t, fibersession.Config{Storage: struct{ storage.Storage }{st}})
	h = storedSession(t, here, map[string]any{"n": 1})
	return here, there, h, handleOf(t, there, h.ID())
}

// An Update that began on the old state does not write what it read there over newer values
// of the state it forwards to.
func TestRegenerate_OldStateForwardsDuringAnUpdate(t *testing.T) {
	t.Parallel()
	_, there, h, remote := sessionOnTwoKeys(t)
	runs := 0
	err := remote.Update(ctx, func(tx *fibersession.Tx) error {
		n := valueOf[int](tx, "n")
		if runs++; runs == 1 {
			must(t, h.Regenerate(ctx))
			handleOf(t, there, h.ID())
			_, err := h.Incr(ctx, "n", 10)
			must(t, err)
			must(t, remote.Reload(ctx))
		}
		tx.Set("n", n+1)
		return nil
	})
	must(t, err)
	must(t, h.Reload(ctx))
	if h.Get("n") != 12 || runs != 2 {
		t.Errorf("got n = %v after %d runs, want 12 after 2", h.Get("n"), runs)
	}
}

// Watchers of the old state are notified of the changes that the new state already had.
func TestRegenerate_ForwardedWatcherGetsMissedChanges(t *testing.T) {
	t.Parallel()
	_, there, h, remote := sessionOnTwoKeys(t)
	rec := recordEvents(t, remote)
	must(t, h.Regenerate(ctx))
	h.Set("user", "alice")
	must(t, h.Save(ctx))
	handleOf(t, there, h.ID())
	must(t, remote.Reload(ctx))
	if e := rec.nextEvent(); e.Kind != fibersession.Renewed {
		t.Errorf("first event: got %+v, want Renewed", e)
	}
	if e := rec.nextEvent(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"user"}) {
		t.Errorf("second event: got %+v, want Changed with the key user", e)
	}
}

// A watcher that the old state is calling is not called by the new state at the same time.
func TestRegenerate_ForwardedWatcherIsNotCalledTwice(t *testing.T) {
	t.Parallel()
	_, there, h, remote := sessionOnTwoKeys(t)
	calls, proceed := make(chan fibersession.EventKind), make(chan struct{})
	stop := remote.Watch(func(e fibersession.Event) {
		calls <- e.Kind
		<-proceed
	})
	defer stop()
	one := handleOf(t, there, h.ID())
	done := make(chan error)
	go func() {
		_, err := one.Incr(ctx, "n", 1)
		done <- err
	}()
	if kind := <-calls; kind != fibersession.Changed {
		t.Errorf("first event: got %v, want Changed", kind)
	}
	must(t, h.Regenerate(ctx))
	renewed := handleOf(t, there, h.ID())
	reloaded := make(chan error)
	go func() { reloaded <- remote.Reload(ctx) }()
	select {
	case kind := <-calls:
		t.Fatalf("the watcher got %v while its first call was running", kind)
	case err := <-reloaded:
		must(t, err)
	}
	if remote.ID() != renewed.ID() {
		t.Error("the old handle does not know the new ID")
	}
	proceed <- struct{}{}
	if kind := <-calls; kind != fibersession.Renewed {
		t.Errorf("second event: got %v, want Renewed", kind)
	}
	close(proceed)
	must(t, <-done)
}

// A Watch that had already found the old state is registered with the new one.
func TestRegenerate_OldStateForwardsDuringAWatch(t *testing.T) {
	t.Parallel()
	_, there, h, remote := sessionOnTwoKeys(t)
	watch := fibersession.ResolveWatch(remote)
	must(t, h.Regenerate(ctx))
	renewed := handleOf(t, there, h.ID())
	must(t, remote.Reload(ctx))
	var events []fibersession.EventKind
	defer watch(func(e fibersession.Event) { events = append(events, e.Kind) })()
	must(t, renewed.Destroy(ctx))
	if !slices.Equal(events, []fibersession.EventKind{fibersession.Ended}) {
		t.Errorf("got the events %v, want Ended", events)
	}
}

// A state whose last handle is released before it forwards leaves nothing in the table.
func TestRegenerate_OldStateForwardsAfterTheLastRelease(t *testing.T) {
	t.Parallel()
	st, here, _ := twoNodes(t, fibersession.Config{})
	g := &gatedStorage{Storage: struct{ storage.Storage }{st}, load: make(chan struct{})}
	there := newStore(t, fibersession.Config{Storage: g, Timeouts: fibersession.Timeouts{Storage: waitLimit}}) // checks at its end that no state is left
	h := storedSession(t, here, nil)
	remote := handleOf(t, there, h.ID())
	must(t, h.Regenerate(ctx))
	handleOf(t, there, h.ID())
	waits := g.nextBlocked()
	g.on.Store(true)
	done := make(chan error)
	go func() { done <- remote.Reload(ctx) }()
	<-waits
	remote.Release()
	close(g.load)
	must(t, <-done)
}

func TestRegenerate_OfANewSession(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := newSession(t, s)
	old := h.ID()
	must(t, h.Regenerate(ctx))
	if h.ID() == old || !h.Fresh() || s.Stats().Writes != 0 {
		t.Errorf("got a new ID %v, Fresh %v and %d writes; want true, true and none", h.ID() != old, h.Fresh(), s.Stats().Writes)
	}
	h.Set("n", 1)
	must(t, h.Save(ctx))
	if got := handleOf(t, s, h.ID()).Get("n"); got != 1 {
		t.Errorf("got n = %v, want 1", got)
	}
	if _, err := s.GetByID(ctx, old); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("the old ID: got %v, want ErrNotFound", err)
	}
}

// Concurrent calls of Regenerate do not end the session.
func TestRegenerate_Concurrent(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	for range 50 {
		h := storedSession(t, here, map[string]any{"n": 1})
		remote := handleOf(t, there, h.ID())
		var wg sync.WaitGroup
		for _, mine := range []*fibersession.Handle{h, h.Fork(), remote} {
			wg.Go(func() { must(t, mine.Regenerate(ctx)) })
		}
		wg.Wait()
		must(t, h.Reload(ctx))
		must(t, remote.Reload(ctx))
		if h.Get("n") != 1 || remote.Get("n") != 1 {
			t.Errorf("got n = %v and %v, want 1", h.Get("n"), remote.Get("n"))
		}
		if (h.ID() == "") == (remote.ID() == "") {
			t.Error("want exactly one of the two nodes to know the ID")
		}
	}
}

// Calls that were queued in a state when another state took over do nothing in it. A load would
// enter the state under a later ID of the session, where the other state would find it and
// forward back to it: every later call of the session, and then of its table's shard, would hang.
func TestRegenerate_QueuedCallsOfAForwardedState(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	held := &heldLoads{Storage: st}
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: held, Timeouts: fibersession.Timeouts{Storage: waitLimit}})
	h := storedSession(t, here, map[string]any{"n": 1})
	first, old := h.ID(), handleOf(t, there, h.ID())
	must(t, h.Regenerate(ctx))
	second, newer := h.ID(), handleOf(t, there, h.ID()) // has a state of its own, because old has not heard of the new ID
	blocked, releaseFirst := held.next(there.StoreKey(first))
	errs := make(chan error, 3)
	reload := func(h *fibersession.Handle) { errs <- h.Reload(ctx) } // received below
	go reload(old)
	<-blocked
	go reload(old)
	waitForQueued(t, old, 1)
	blocked, releaseSecond := held.next(there.StoreKey(second))
	go reload(newer)
	<-blocked
	must(t, h.Regenerate(ctx))
	releaseFirst() // old's state hands over to newer's, which has a call under way
	waitForQueued(t, newer, 2)
	releaseSecond()
	for range cap(errs) {
		select {
		case err := <-errs:
			must(t, err)
		case <-time.After(waitLimit):
			t.Fatal("a call hangs")
		}
	}
	must(t, h.Update(ctx, increment))
	for _, other := range []*fibersession.Handle{old, newer} {
		must(t, other.Reload(ctx))
		if got := other.Get("n"); got != 2 {
			t.Errorf("got n = %v, want 2", got)
		}
	}
}

// heldLoads is a storage that holds the result of chosen loads back.
type heldLoads struct {
	storage.Storage
	mu   sync.Mutex
	hold map[string]func()
}

// next holds the next load of key before it reads: blocked is closed when it waits.
func (l *heldLoads) next(key string) (blocked <-chan struct{}, release func()) {
	waits, released := make(chan struct{}), make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold == nil {
		l.hold = map[string]func(){}
	}
	l.hold[key] = func() { close(waits); <-released }
	return waits, func() { close(released) }
}

func (l *heldLoads) Load(ctx context.Context, key string) (storage.Item, error) {
	l.mu.Lock()
	wait := l.hold[key]
	delete(l.hold, key)
	l.mu.Unlock()
	if wait != nil {
		wait()
	}
	return l.Storage.Load(ctx, key)
}

// Another node saves the session after Regenerate has written the new key, and ends it before
// Regenerate tries again. The new key must not stay in the store: it would be a live session
// under an ID that no client has.
func TestRegenerate_EndedMeanwhileLeavesNothing(t *testing.T) {
	t.Parallel()
	st, _, there := twoNodes(t, fibersession.Config{})
	hooked := &hookedStorage{Storage: st, beforeLoad: func(string) {}, beforeSwap: func(string, storage.Revision) {}}
	here := newStore(t, fibersession.Config{Storage: hooked})
	h := storedSession(t, here, map[string]any{"n": 1})
	remote := handleOf(t, there, h.ID())
	var newKey string
	var loads int
	hooked.beforeSwap = func(key string, old storage.Revision) {
		switch {
		case old == storage.Absent:
			newKey = key
		case loads == 0: // Regenerate is about to replace the old key
			remote.Set("n", 2)
			must(t, remote.Save(ctx))
		}
	}
	hooked.beforeLoad = func(string) {
		if loads++; loads == 2 { // the first one found the conflict's reason
			must(t, remote.Destroy(ctx))
		}
	}
	if err := h.Regenerate(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
		t.Errorf("Regenerate = %v, want ErrDestroyed", err)
	}
	if loads < 2 || newKey == "" {
		t.Fatalf("the store was read %d times, and the new key is %q: the race did not take place", loads, newKey)
	}
	if _, err := st.Load(ctx, newKey); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the new key: got %v, want ErrNotFound", err)
	}
}

// Row 5: what another node saves between the two writes of Regenerate is kept.
func TestN5_RegenerateKeepsASaveInBetween(t *testing.T) {
	t.Parallel()
	base := memory.New()
	st := faulty.New(base, nil)
	defer func() { _ = st.Close() }()
	here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: base})
	h := storedSession(t, here, map[string]any{"n": 0})
	other, old := handleOf(t, there, h.ID()), here.StoreKey(h.ID())
	var once sync.Once
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		if c.Key == old && c.Method != "Load" { // the new key is written already
			once.Do(func() {
				_, err := other.Incr(ctx, "n", 1)
				must(t, err)
			})
		}
		return faulty.Fault{}
	})
	must(t, h.Regenerate(ctx))
	st.SetPlan(nil)
	must(t, h.Reload(ctx))
	if got := h.Get("n"); got != 1 {
		t.Errorf("got n = %v, want 1", got)
	}
}
