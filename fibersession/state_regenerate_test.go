package fibersession_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
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
		"/who": func(c *fiber.Ctx) error {
			return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
		},
	})
	b := newBrowser(t, app)
	b.get("/")
	old := b.session()
	socket, far := handleOf(t, here, old), handleOf(t, there, old)

	if res := b.get("/login"); res.status != 200 || len(res.set) != 1 {
		t.Fatalf("%d %s, %d cookies", res.status, res.body, len(res.set))
	}
	id := b.session()
	if id == old {
		t.Fatal("the ID is the old one")
	}
	for where, s := range map[string]*fibersession.Store{"here": here, "there": there} {
		if _, err := s.GetByID(ctx, old); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("the old ID %s: %v, want ErrNotFound", where, err)
		}
	}
	thief := newBrowser(t, app)
	thief.cookies["__Host-session"] = old
	if res := thief.get("/who"); res.body != "" || len(res.set) != 0 {
		t.Errorf("the old cookie is %q, with %d cookies", res.body, len(res.set))
	}
	// Who held the session holds it still.
	if socket.ID() != id || socket.Get("user") != "alice" || socket.Get("cart") != 3 {
		t.Errorf("the socket here: same ID %v, user %v, cart %v", socket.ID() == id, socket.Get("user"), socket.Get("cart"))
	}
	must(t, far.Reload(ctx))
	if far.Get("user") != "alice" || far.ID() != "" {
		t.Errorf("the socket there: user %v; it must not know the ID: %v", far.Get("user"), far.ID() == "")
	}
	far.Set("late", true)
	must(t, far.Save(ctx))
	must(t, socket.Reload(ctx))
	if socket.Get("late") != true {
		t.Error("what the other node saved is not in the session")
	}
}

// Changes are saved, on this node and another, while the ID changes again and again:
// none is lost, and no old ID ever works.
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
				t.Errorf("an old ID: %v", err)
			}
		}
	}
	wg.Wait()
	must(t, h.Reload(ctx))
	if got := h.Get("n"); got != workers*times {
		t.Errorf("counted %v, want %d", got, workers*times)
	}
	for _, id := range old {
		if _, err := there.GetByID(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("an old ID there: %v", err)
		}
	}
}

// Two requests of one browser are under way when one of them logs in. The other's
// response must not carry the new ID: its sender may be an attacker who knows the old.
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
		t.Errorf("the other request got %d with %d cookies", res.status, len(res.set))
	}
	if got := handleOf(t, s, b.session()).Get("b"); got != 1 {
		t.Error("the other request's change is lost")
	}
}

// A session that another node renewed is met here under its new ID first; those who
// hold it under the old one join it, with their watchers.
func TestRegenerate_StatesJoin(t *testing.T) {
	t.Parallel()
	st, here, _ := twoNodes(t, fibersession.Config{})
	there := newStore(t, fibersession.Config{Storage: struct{ storage.Storage }{st}}) // no feed tells it
	h := storedSession(t, here, map[string]any{"n": 1})
	far := handleOf(t, there, h.ID())
	var events []fibersession.EventKind
	stop := far.Watch(func(e fibersession.Event) { events = append(events, e.Kind) })
	defer stop()
	must(t, h.Regenerate(ctx))

	met := handleOf(t, there, h.ID()) // there, by its new ID
	if got := there.Stats().States; got != 2 {
		t.Errorf("%d states before they meet", got)
	}
	must(t, far.Reload(ctx))
	if far.ID() != h.ID() {
		t.Error("the old handle does not know the ID that this node met")
	}
	met.Set("n", 2)
	must(t, met.Save(ctx))
	if far.Get("n") != 2 {
		t.Errorf("the old handle sees %v", far.Get("n"))
	}
	if len(events) < 2 || events[0] != fibersession.Renewed || events[len(events)-1] != fibersession.Changed {
		t.Errorf("its watcher saw %v", events)
	}
	must(t, far.Update(ctx, increment))
	far.Release()
	if met.Get("n") != 3 || met.Err() != nil {
		t.Errorf("after the release of the old handle n is %v, %v", met.Get("n"), met.Err())
	}
}

// joining is a session that "here" is about to give a new ID, and that "there" holds too
// and will meet again under it: no feed tells it.
func sessionOnTwoKeys(t *testing.T) (here, there *fibersession.Store, h, far *fibersession.Handle) {
	st, here, _ := twoNodes(t, fibersession.Config{})
	there = newStore(t, fibersession.Config{Storage: struct{ storage.Storage }{st}})
	h = storedSession(t, here, map[string]any{"n": 1})
	return here, there, h, handleOf(t, there, h.ID())
}

// An Update that began on the old state must not write what it read there onto what the
// state that took over knows.
func TestRegenerate_StatesJoinDuringAnUpdate(t *testing.T) {
	t.Parallel()
	_, there, h, far := sessionOnTwoKeys(t)
	runs := 0
	err := far.Update(ctx, func(tx *fibersession.Tx) error {
		n := fibersession.Value[int](tx, "n")
		if runs++; runs == 1 {
			must(t, h.Regenerate(ctx))
			handleOf(t, there, h.ID())
			_, err := h.Incr(ctx, "n", 10)
			must(t, err)
			must(t, far.Reload(ctx))
		}
		tx.Set("n", n+1)
		return nil
	})
	must(t, err)
	must(t, h.Reload(ctx))
	if h.Get("n") != 12 || runs != 2 {
		t.Errorf("n is %v after %d runs", h.Get("n"), runs)
	}
}

// Those who watch the old state hear of what the state that took over knew before.
func TestRegenerate_StatesJoinAndTellWhatChanged(t *testing.T) {
	t.Parallel()
	_, there, h, far := sessionOnTwoKeys(t)
	rec := recordEvents(t, far)
	must(t, h.Regenerate(ctx))
	h.Set("user", "alice")
	must(t, h.Save(ctx))
	handleOf(t, there, h.ID())
	must(t, far.Reload(ctx))
	if e := rec.nextEvent(); e.Kind != fibersession.Renewed {
		t.Errorf("first it was told %v", e)
	}
	if e := rec.nextEvent(); e.Kind != fibersession.Changed || !slices.Equal(e.Keys, []string{"user"}) {
		t.Errorf("then it was told %v", e)
	}
}

// The state that took over does not tell a watcher which the old one is telling.
func TestRegenerate_StatesJoinWhileAWatcherIsTold(t *testing.T) {
	t.Parallel()
	_, there, h, far := sessionOnTwoKeys(t)
	told, goOn := make(chan fibersession.EventKind), make(chan struct{})
	stop := far.Watch(func(e fibersession.Event) {
		told <- e.Kind
		<-goOn
	})
	defer stop()
	one := handleOf(t, there, h.ID())
	done := make(chan error)
	go func() {
		_, err := one.Incr(ctx, "n", 1)
		done <- err
	}()
	if kind := <-told; kind != fibersession.Changed {
		t.Errorf("first it was told %v", kind)
	}
	must(t, h.Regenerate(ctx))
	met := handleOf(t, there, h.ID())
	joined := make(chan error)
	go func() { joined <- far.Reload(ctx) }()
	select {
	case kind := <-told:
		t.Fatalf("it was told %v beside the first", kind)
	case err := <-joined:
		must(t, err)
	}
	if far.ID() != met.ID() {
		t.Error("the states did not join")
	}
	goOn <- struct{}{}
	if kind := <-told; kind != fibersession.Renewed {
		t.Errorf("then it was told %v", kind)
	}
	close(goOn)
	must(t, <-done)
}

// A Watch that found the old state just before is one of the state that took over.
func TestRegenerate_StatesJoinDuringAWatch(t *testing.T) {
	t.Parallel()
	_, there, h, far := sessionOnTwoKeys(t)
	watch := fibersession.FoundToWatch(far)
	must(t, h.Regenerate(ctx))
	met := handleOf(t, there, h.ID())
	must(t, far.Reload(ctx))
	var events []fibersession.EventKind
	defer watch(func(e fibersession.Event) { events = append(events, e.Kind) })()
	must(t, met.Destroy(ctx))
	if !slices.Equal(events, []fibersession.EventKind{fibersession.Ended}) {
		t.Errorf("it was told %v", events)
	}
}

// A state that nobody holds any more when it yields leaves nothing behind.
func TestRegenerate_StatesJoinAfterTheLastRelease(t *testing.T) {
	t.Parallel()
	st, here, _ := twoNodes(t, fibersession.Config{})
	g := &gatedStorage{Storage: struct{ storage.Storage }{st}, load: make(chan struct{})}
	there := newStore(t, fibersession.Config{Storage: g, Timeouts: fibersession.Timeouts{Storage: waitLimit}}) // which then has no state
	h := storedSession(t, here, nil)
	far := handleOf(t, there, h.ID())
	must(t, h.Regenerate(ctx))
	handleOf(t, there, h.ID())
	waits := g.nextBlocked()
	g.on.Store(true)
	done := make(chan error)
	go func() { done <- far.Reload(ctx) }()
	<-waits
	far.Release()
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
		t.Errorf("fresh %v, %d writes", h.Fresh(), s.Stats().Writes)
	}
	h.Set("n", 1)
	must(t, h.Save(ctx))
	if got := handleOf(t, s, h.ID()).Get("n"); got != 1 {
		t.Errorf("n is %v", got)
	}
	if _, err := s.GetByID(ctx, old); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("the old ID: %v", err)
	}
}

// Two who ask for a new ID at once do not end each other's.
func TestRegenerate_ByTwoAtOnce(t *testing.T) {
	t.Parallel()
	_, here, there := twoNodes(t, fibersession.Config{})
	for range 50 {
		h := storedSession(t, here, map[string]any{"n": 1})
		far := handleOf(t, there, h.ID())
		var wg sync.WaitGroup
		for _, mine := range []*fibersession.Handle{h, h.Fork(), far} {
			wg.Go(func() { must(t, mine.Regenerate(ctx)) })
		}
		wg.Wait()
		must(t, h.Reload(ctx))
		must(t, far.Reload(ctx))
		if h.Get("n") != 1 || far.Get("n") != 1 {
			t.Errorf("n is %v and %v", h.Get("n"), far.Get("n"))
		}
		if (h.ID() == "") == (far.ID() == "") {
			t.Error("not exactly one of the nodes knows the ID")
		}
	}
}
