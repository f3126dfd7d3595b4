package drivers_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

// longPrefix is the longest Config.Prefix that fits into the key column of postgres.
const longPrefix = "nineteen-characters"

func newStore(t *testing.T, b fiber.Storage, cfg fibersession.Config) *fibersession.Store {
	t.Helper()
	cfg.Storage, cfg.UserKey, cfg.Logger = b, "user", slog.New(slog.DiscardHandler)
	cfg.Timeouts.Storage = time.Minute
	s := fibersession.New(cfg)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// raw returns the values that a driver keeps under a prefix.
func raw(t *testing.T, b lister, prefix string) (keys []string) {
	t.Helper()
	all, err := b.Keys()
	must(t, err)
	for _, key := range all {
		if strings.HasPrefix(string(key), prefix) {
			keys = append(keys, string(key))
		}
	}
	return keys
}

// handle returns a handle of the browser's session, as a socket holds one.
func handle(t *testing.T, s *fibersession.Store, b *browser) *fibersession.Handle {
	t.Helper()
	h, err := s.GetByID(t.Context(), b.get("/id"))
	must(t, err)
	t.Cleanup(h.Release)
	return h
}

// ended returns a channel that is closed when the handle's session ends.
func ended(t *testing.T, h *fibersession.Handle) <-chan struct{} {
	t.Helper()
	over := make(chan struct{})
	stop := h.Watch(func(e fibersession.Event) {
		if e.Kind == fibersession.Ended {
			close(over)
		}
	})
	t.Cleanup(stop)
	return over
}

func waitFor(t *testing.T, event string, over <-chan struct{}) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Fatalf("timed out waiting until %s", event)
	}
}

func TestF7_SessionFlows(t *testing.T) {
	t.Parallel()
	flows := map[string]func(t *testing.T, newPlace func(*testing.T) place){
		"login and logout":              loginAndLogout,
		"regenerate":                    regenerate,
		"end all of a user":             endAll,
		"reset":                         reset,
		"reset with keys":               resetWithKeys,
		"reset of all that Fiber keeps": resetBuiltin,
		"two stores":                    twoStores,
		"expiry":                        expiry,
		"set expiry":                    setExpiry,
		"restart":                       restart,
		"concurrent":                    concurrent,
		"tickets":                       tickets,
		"a session of the largest size": largest,
	}
	drivers(t, func(t *testing.T, _ string, newPlace func(*testing.T) place) {
		for name, flow := range flows {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				flow(t, newPlace)
			})
		}
	})
}

func loginAndLogout(t *testing.T, newPlace func(*testing.T) place) {
	b := newPlace(t).open()
	s := newStore(t, open(t, unlisted{b}), fibersession.Config{Prefix: longPrefix})
	app := newApp(s)
	ada, eve := newBrowser(t, app), newBrowser(t, app)
	ada.get("/login")
	eve.get("/login?user=eve")
	ada.want("/", "ada")
	eve.want("/", "eve")
	copied := newBrowser(t, app)
	copied.cookies = maps.Clone(ada.cookies)
	over := ended(t, handle(t, s, ada))
	ada.get("/logout")
	waitFor(t, "the logout ends the session", over)
	ada.want("/", "")
	copied.want("/", "")
	eve.want("/", "eve")
	if got := len(raw(t, b, longPrefix+"s:")); got != 1 {
		t.Errorf("the storage has %d sessions, want 1", got)
	}
}

func regenerate(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{})
	ada := newBrowser(t, newApp(s))
	ada.get("/login")
	ada.want("/count", "1")
	h, old := handle(t, s, ada), ada.get("/id")
	ada.get("/regenerate")
	if id := ada.get("/id"); id == old || h.ID() != id {
		t.Errorf("Regenerate: the ID is %q and was %q; the handle has %q", id, old, h.ID())
	}
	ada.want("/count", "2")
	if got, err := fibersession.Value[int](h, "n"); got != 2 || err != nil {
		t.Errorf("the handle has %d, %v, want 2", got, err)
	}
	if _, err := s.GetByID(t.Context(), old); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("the old ID: %v, want ErrNotFound", err)
	}
}

func endAll(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{Prefix: longPrefix})
	app := newApp(s)
	phone, laptop, eve := newBrowser(t, app), newBrowser(t, app), newBrowser(t, app)
	phone.get("/login")
	laptop.get("/login")
	eve.get("/login?user=eve")
	devices, err := s.Devices(t.Context(), "ada")
	if err != nil || len(devices) != 2 {
		t.Errorf("Devices = %v, %v, want two", devices, err)
	}
	if n, err := s.EndAll(t.Context(), "ada"); n != 2 || err != nil {
		t.Errorf("EndAll = %d, %v, want 2", n, err)
	}
	phone.want("/", "")
	laptop.want("/", "")
	eve.want("/", "eve")
}

// checkReset logs in, resets, and checks that this ended the sessions of the store only.
func checkReset(t *testing.T, st storage.Storage) {
	t.Helper()
	must(t, st.Set("somebody:else", []byte("v"), 0))
	shop := newStore(t, st, fibersession.Config{Prefix: "shop:"})
	blog := newStore(t, st, fibersession.Config{Prefix: "blog:"})
	ada, eve := newBrowser(t, newApp(shop)), newBrowser(t, newApp(blog))
	for round := range 3 {
		ada.get("/login")
		eve.get("/login?user=eve")
		ada.want("/", "ada")
		over := ended(t, handle(t, shop, ada))
		kept := handle(t, blog, eve)
		must(t, shop.Reset())
		waitFor(t, "the reset ends the session", over)
		ada.want("/", "")
		eve.want("/", "eve")
		if err := kept.Err(); err != nil {
			t.Errorf("round %d: the other store's session has ended: %v", round, err)
		}
		if devices, err := shop.Devices(t.Context(), "ada"); len(devices) != 0 || err != nil {
			t.Errorf("round %d: Devices = %v, %v after Reset, want none", round, devices, err)
		}
		if val, err := st.Get("somebody:else"); string(val) != "v" || err != nil {
			t.Errorf("round %d: the value of another program is %q, %v", round, val, err)
		}
	}
}

func reset(t *testing.T, newPlace func(*testing.T) place) {
	checkReset(t, open(t, unlisted{newPlace(t).open()}))
}

func resetWithKeys(t *testing.T, newPlace func(*testing.T) place) {
	b := newPlace(t).open()
	checkReset(t, open(t, b))
	if left := raw(t, b, "shop:s:"); len(left) != 1 { // of the visit after the login ended
		if len(left) > 1 {
			t.Errorf("the storage has %q after Reset, want no old session", left)
		}
	}
}

// With Builtin, Reset empties the storage, as in Fiber.
func resetBuiltin(t *testing.T, newPlace func(*testing.T) place) {
	b := newPlace(t).open()
	s := newStore(t, open(t, unlisted{b}), fibersession.Config{Builtin: true})
	for range 20 {
		newBrowser(t, newApp(s)).get("/login")
	}
	if got := len(raw(t, b, "")); got != 20 {
		t.Errorf("the storage has %d keys, want 20", got)
	}
	ada := newBrowser(t, newApp(s))
	ada.get("/login")
	over := ended(t, handle(t, s, ada))
	must(t, s.Reset())
	waitFor(t, "the reset ends the session", over)
	ada.want("/", "")
	if got := raw(t, b, ""); len(got) != 0 {
		t.Errorf("the storage has %q after Reset, want nothing", got)
	}
}

// Two stores with the same prefix over one storage share the sessions.
func twoStores(t *testing.T, newPlace func(*testing.T) place) {
	st := open(t, unlisted{newPlace(t).open()})
	one, two := newStore(t, st, fibersession.Config{}), newStore(t, st, fibersession.Config{})
	ada := newBrowser(t, newApp(one))
	ada.get("/login")
	moved := newBrowser(t, newApp(two))
	moved.cookies = ada.cookies
	moved.want("/", "ada")
	over := ended(t, handle(t, two, moved))
	ada.want("/count", "1")
	moved.want("/count", "2")
	must(t, one.Reset())
	waitFor(t, "the reset ends the session of the other store", over)
	moved.want("/", "")
}

// A session is never cut short by a driver's clock, and is over after its time.
func expiry(t *testing.T, newPlace func(*testing.T) place) {
	p := newPlace(t)
	b := p.open()
	s := newStore(t, open(t, unlisted{b}), fibersession.Config{Expiration: 1500 * time.Millisecond})
	ada := newBrowser(t, newApp(s))
	before := time.Now()
	ada.get("/login")
	if got := ada.get("/"); got != "ada" && time.Since(before) < 1500*time.Millisecond {
		t.Errorf("the session is over before its time: got %q", got)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		id := ada.cookie()
		h, err := s.GetByID(context.Background(), id)
		if errors.Is(err, fibersession.ErrNotFound) {
			break
		}
		must(t, err)
		h.Release()
		if time.Now().After(deadline) {
			t.Fatal("the session never expires")
		}
	}
	if time.Since(before) < 1400*time.Millisecond {
		t.Error("the session was over before its time")
	}
	ada.want("/", "")
}

func setExpiry(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{Expiration: time.Minute})
	ada := newBrowser(t, newApp(s))
	ada.get("/login")
	ada.get("/week")
	if left := time.Until(handle(t, s, ada).Deadline()); left < 6*24*time.Hour {
		t.Errorf("the session lives for %v, want a week", left)
	}
	ada.want("/", "ada")
}

// Sessions, and resets of sessions, outlive the process.
func restart(t *testing.T, newPlace func(*testing.T) place) {
	p := newPlace(t)
	st := storage.From(unlisted{p.open()})
	s := newStore(t, st, fibersession.Config{})
	ada := newBrowser(t, newApp(s))
	ada.get("/login")
	must(t, s.Close())
	must(t, st.Close())

	st = storage.From(unlisted{p.open()})
	s = newStore(t, st, fibersession.Config{})
	ada.app = newApp(s)
	ada.want("/", "ada")
	must(t, s.Reset())
	eve := newBrowser(t, newApp(s))
	eve.get("/login?user=eve")
	must(t, s.Close())
	must(t, st.Close())

	s = newStore(t, open(t, unlisted{p.open()}), fibersession.Config{})
	ada.app, eve.app = newApp(s), newApp(s)
	ada.want("/", "")
	eve.want("/", "eve")
}

// Many visitors and one session that all change: nothing is lost.
func concurrent(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{})
	app := newApp(s)
	shared := newBrowser(t, app)
	shared.want("/count", "1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { // joined by wg.Wait
			own, same := newBrowser(t, app), newBrowser(t, app)
			same.cookies = maps.Clone(shared.cookies)
			for range 5 {
				own.get("/count")
				same.get("/count")
			}
			own.want("/count", "6")
		})
	}
	wg.Wait()
	shared.want("/count", "42")
}

func tickets(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{Prefix: longPrefix})
	app := newApp(s)
	app.Get("/ticket", func(c *fiber.Ctx) error {
		ticket, err := s.Ticket(c, "http://localhost")
		if err != nil {
			return err
		}
		return c.SendString(ticket)
	})
	ada := newBrowser(t, app)
	ada.get("/login")
	ticket := ada.get("/ticket")
	h, err := s.Redeem(t.Context(), ticket, "http://localhost")
	must(t, err)
	defer h.Release()
	if h.User() != "ada" {
		t.Errorf("the ticket is for %q, want ada", h.User())
	}
	if _, err := s.Redeem(t.Context(), ticket, "http://localhost"); !errors.Is(err, fibersession.ErrTicketUsed) {
		t.Errorf("the second use: %v, want ErrTicketUsed", err)
	}
}

func largest(t *testing.T, newPlace func(*testing.T) place) {
	s := newStore(t, open(t, unlisted{newPlace(t).open()}), fibersession.Config{})
	ada := newBrowser(t, newApp(s))
	ada.get("/login")
	h := handle(t, s, ada)
	text := strings.Repeat("x", 64*1024-200)
	h.Set("text", text)
	must(t, h.Save(t.Context()))
	must(t, h.Reload(t.Context()))
	if got, err := fibersession.Value[string](h, "text"); got != text || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(text))
	}
}
