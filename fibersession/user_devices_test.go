package fibersession_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// N14: a user's sessions are listed and ended, on whichever node they are.
func TestN14_Devices(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		a := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		b := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		phone, desk, tablet := loggedIn(t, a, "ann"), loggedIn(t, b, "ann"), loggedIn(t, b, "ann")
		bob := loggedIn(t, a, "bob")
		loggedIn(t, a, "cleo").Release()

		list, err := phone.Devices(ctx)
		must(t, err)
		if len(list) != 3 {
			t.Fatalf("ann has %d devices, want 3", len(list))
		}
		var mine string
		for _, d := range list {
			if d.Current {
				mine += d.ID
			}
			for _, h := range []*fibersession.Handle{phone, desk, tablet} {
				if strings.Contains(d.ID, h.ID()) {
					t.Error("a device's ID is the session's")
				}
			}
			if d.Created.IsZero() || d.LastSeen.Before(d.Created) || !d.Expires.After(d.LastSeen) {
				t.Errorf("%+v", d)
			}
		}
		if len(mine) != 22 {
			t.Errorf("current is %q", mine)
		}
		if theirs, err := bob.Devices(ctx); err != nil || len(theirs) != 1 || !theirs[0].Current {
			t.Errorf("bob's devices: %+v, %v", theirs, err)
		}

		must(t, phone.Regenerate(ctx))
		if list, err := desk.Devices(ctx); err != nil || len(list) != 3 || !hasDevice(list, mine) {
			t.Errorf("after a new ID: %+v, %v", list, err)
		}
		if err := a.EndDevice(ctx, "bob", mine); !errors.Is(err, fibersession.ErrNotFound) || hasEnded(phone) {
			t.Errorf("bob ends ann's: %v", err)
		}
		for _, id := range []string{"", "x", phone.ID(), strings.Repeat("x", 1<<20)} {
			if err := desk.EndDevice(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
				t.Errorf("EndDevice(%.20q): %v", id, err)
			}
		}
		must(t, desk.EndDevice(ctx, mine))
		if !hasEnded(phone) || hasEnded(desk) || hasEnded(tablet) {
			t.Error("another one was ended")
		}
		if err := desk.EndDevice(ctx, mine); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("EndDevice again: %v", err)
		}

		another := loggedIn(t, a, "ann")
		if n, err := desk.EndOthers(ctx); err != nil || n != 2 {
			t.Errorf("EndOthers: %d, %v; want 2", n, err)
		}
		if !hasEnded(tablet) || !hasEnded(another) || hasEnded(desk) || hasEnded(bob) {
			t.Error("EndOthers ended others")
		}
		if n, err := a.EndAll(ctx, "ann"); err != nil || n != 1 || !hasEnded(desk) || hasEnded(bob) {
			t.Errorf("EndAll: %d, %v", n, err)
		}
		for _, user := range []string{"ann", "", "nobody"} {
			if n, err := a.EndAll(ctx, user); err != nil || n != 0 {
				t.Errorf("EndAll(%q): %d, %v", user, n, err)
			}
			if list, err := a.Devices(ctx, user); err != nil || len(list) != 0 {
				t.Errorf("Devices(%q): %v, %v", user, list, err)
			}
		}
	})
}

func hasDevice(list []fibersession.Device, id string) bool {
	for _, d := range list {
		if d.ID == id {
			return true
		}
	}
	return false
}

// The index follows the user key, however that is changed, and heals what it missed.
func TestN14_IndexFollows(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		index := st.(storage.Index)
		listed := func(user string) (all []string) {
			t.Helper()
			for m, err := range index.Members(ctx, s.UserSet(user)) {
				must(t, err)
				all = append(all, m)
			}
			return all
		}
		is := func(when string, h *fibersession.Handle, users ...string) {
			t.Helper()
			for _, user := range []string{"ann", "bob"} {
				want := 0
				for _, u := range users {
					if u == user {
						want = 1
					}
				}
				if got := listed(user); len(got) != want || want == 1 && got[0] != s.Member(h.ID()) {
					t.Errorf("%s: %s has the entries %q", when, user, got)
				}
			}
		}
		h := newSession(t, s)
		h.Set("user", "ann")
		is("before the save", h)
		must(t, h.Save(ctx))
		is("set", h, "ann")
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("user", "bob"); return nil }))
		is("switched", h, "bob")
		must(t, h.Regenerate(ctx))
		is("with a new ID", h, "bob")
		must(t, h.Logout(ctx))
		is("logged out", h)
		must(t, h.Login(ctx, "ann"))
		is("logged in", h, "ann")
		must(t, h.Destroy(ctx))
		is("destroyed", h)

		// What an index can be left with: a session that is gone, one of another user,
		// and what is no session at all.
		other, mine := loggedIn(t, s, "bob"), loggedIn(t, s, "ann")
		for _, junk := range []string{s.Member(other.ID()), s.Member(strings.Repeat("x", 43)), "junk"} {
			must(t, index.AddMember(ctx, s.UserSet("ann"), junk, 0))
		}
		list, err := mine.Devices(ctx)
		if err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("%+v, %v", list, err)
		}
		if n, err := s.EndAll(ctx, "ann"); err != nil || n != 1 || hasEnded(other) {
			t.Errorf("EndAll: %d, %v", n, err)
		}
		if left := listed("ann"); len(left) > 1 { // "junk", which names nothing that could be asked for
			t.Errorf("left are %q", left)
		}
	})
}

// What cannot be understood here is nobody's device, and stays: another version may
// know it. To log out everywhere is to end it too.
func TestEndAll_WhatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	mine, theirs := loggedIn(t, s, "ann"), loggedIn(t, s, "ann")
	key := s.StoreKey(theirs.ID())
	theirs.Release()
	must(t, st.Set(key, []byte("of the next version"), 0))
	if list, err := mine.Devices(ctx); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := mine.EndDevice(ctx, "x"); !errors.Is(err, fibersession.ErrNotFound) {
		t.Error(err)
	}
	if v, err := st.Get(key); err != nil || v == nil {
		t.Fatalf("it was removed by the way: %v", err)
	}
	if n, err := mine.EndOthers(ctx); err != nil || n != 1 {
		t.Errorf("EndOthers: %d, %v", n, err)
	}
	if v, err := st.Get(key); err != nil || v != nil {
		t.Errorf("it is still there: %q, %v", v, err)
	}
	if hasEnded(mine) {
		t.Error("so did the one that asked")
	}
}

// A device is remembered from the request that began the session or logged in; what
// the browser says is bounded, and harmless in a list.
func TestN14_DeviceOfARequest(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, UserKey: "user"})
	app := fiber.New(fiber.Config{ProxyHeader: "X-Real-Ip"})
	app.Use(s.Handler())
	app.Get("/visit", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("seen", true); return nil })
	app.Get("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login("ann") })
	app.Get("/set", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ann"); return nil })
	app.Get("/devices", func(c *fiber.Ctx) error {
		list, err := fibersession.FromContext(c).Devices()
		if err != nil {
			return err
		}
		return c.JSON(list)
	})
	device := func(b *browser) fibersession.Device {
		t.Helper()
		var list []fibersession.Device
		must(t, json.Unmarshal([]byte(b.get("/devices").body), &list))
		for _, d := range list {
			if d.Current {
				return d
			}
		}
		t.Fatalf("no current device among %d", len(list))
		return fibersession.Device{}
	}
	for _, way := range []string{"/login", "/set"} {
		b := newBrowser(t, app)
		b.headers = map[string]string{"User-Agent": "before", "X-Real-Ip": "192.0.2.1"}
		b.get("/visit")
		b.headers = map[string]string{"User-Agent": "Firefox on Linux", "X-Real-Ip": "192.0.2.7"}
		b.get(way)
		b.headers = map[string]string{"User-Agent": "after"}
		b.get("/visit")
		if d := device(b); d.UserAgent != "Firefox on Linux" || d.Address != "192.0.2.7" {
			t.Errorf("%s: %+v", way, d)
		}
	}
	tests := map[string]struct{ agent, want string }{
		"as it is":     {"Mözilla/5.0 (日本)", "Mözilla/5.0 (日本)"},
		"none":         {"", ""},
		"control":      {"a\u0085b\u2028c", "abc"},
		"turned":       {"Fire\u202efox", "Firefox"},
		"not UTF-8":    {"a\xff\xfeb", "ab"},
		"cut":          {strings.Repeat("x", 255) + "é", strings.Repeat("x", 255)},
		"just fits":    {strings.Repeat("x", 254) + "é", strings.Repeat("x", 254) + "é"},
		"far too long": {strings.Repeat("x", 3000), strings.Repeat("x", 256)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, app)
			b.headers = map[string]string{"User-Agent": tt.agent}
			b.get("/login")
			b.headers = nil
			if d := device(b); d.UserAgent != tt.want || !utf8.ValidString(d.UserAgent) {
				t.Errorf("%q, want %q", d.UserAgent, tt.want)
			}
		})
	}
}

// What a device is said to be follows its use, exactly; the list begins with the one
// that was used last, and a session that has expired is in it no more.
func TestN14_LastSeen(t *testing.T) {
	withFakeClock(t, fibersession.Config{UserKey: "user", Expiration: time.Hour}, func(t *testing.T, s *fibersession.Store) {
		begun := time.Now()
		old, used := loggedIn(t, s, "ann"), loggedIn(t, s, "ann")
		defer old.Release()
		defer used.Release()
		time.Sleep(30 * time.Minute)
		must(t, used.Touch(ctx))
		time.Sleep(time.Second)
		must(t, used.Touch(ctx)) // within TouchInterval: not written
		list, err := old.Devices(ctx)
		must(t, err)
		if len(list) != 2 || list[0].Current || !list[1].Current {
			t.Fatalf("%+v", list)
		}
		for i, want := range []time.Time{begun.Add(30 * time.Minute), begun} {
			if d := list[i]; !d.LastSeen.Equal(want) || !d.Created.Equal(begun) || !d.Expires.Equal(want.Add(time.Hour)) {
				t.Errorf("device %d: %+v, want it seen at %v", i, d, want)
			}
		}
		time.Sleep(time.Hour - 30*time.Minute)
		if list, err := used.Devices(ctx); err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("after an hour: %+v, %v", list, err)
		}
	})
}

// Without an absolute limit an entry is there for as long as its session lives, however
// long that is, and goes by itself some time after it.
func TestN14_EntriesLastAsLongAsTheirSessions(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{
		"no absolute limit": {Timeouts: fibersession.Timeouts{Absolute: -1}},
		"with one":          {Timeouts: fibersession.Timeouts{Absolute: 100 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.UserKey, cfg.Expiration = "user", time.Hour
			withFakeClock(t, cfg, func(t *testing.T, s *fibersession.Store) {
				h := loggedIn(t, s, "ann")
				defer h.Release()
				entries := func() (n int) {
					t.Helper()
					for _, err := range s.Entries("ann") {
						must(t, err)
						n++
					}
					return n
				}
				for range 150 {
					time.Sleep(37 * time.Minute)
					must(t, h.Touch(ctx))
					if entries() != 1 {
						t.Fatal("the entry has gone before its session")
					}
				}
				must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("n", 1); return nil }))
				h.Release()
				time.Sleep(8 * time.Hour)
				if entries() != 0 {
					t.Error("the entry outlived its session by hours")
				}
			})
		})
	}
}

// Who lists a user's sessions just while one is being stored takes its entry out; the
// writer enters it again. And who ends them all just then ends that one too.
func TestN14_SessionInTheMaking(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(s *fibersession.Store) (int, error){
		"listed": func(s *fibersession.Store) (int, error) { list, err := s.Devices(ctx, "ann"); return len(list), err },
		"ended":  func(s *fibersession.Store) (int, error) { return s.EndAll(ctx, "ann") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := memory.New()
			st := faulty.New(base, nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
			node := newStore(t, fibersession.Config{Storage: base, UserKey: "user"})
			h := storedSession(t, s, nil)
			looked := false
			st.SetPlan(func(c faulty.Call) faulty.Fault {
				if c.Method == "CompareAndSwap" && c.Key == s.StoreKey(h.ID()) {
					looked = true
					if n, err := look(node); n != 0 || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
				return faulty.Fault{}
			})
			must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("user", "ann"); return nil }))
			st.SetPlan(nil)
			if list, err := node.Devices(ctx, "ann"); !looked || err != nil || len(list) != 1 {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

// A session that gets a new ID while all are being ended, so that it is missed under
// both, is found by the next look.
func TestN14_MovedWhileAllAreEnded(t *testing.T) {
	t.Parallel()
	base := memory.New()
	st := faulty.New(base, nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	node := newStore(t, fibersession.Config{Storage: base, UserKey: "user"})
	h := loggedIn(t, node, "ann")
	moves := 0
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		if c.Method == "Load" && moves < 3 && c.Key == s.StoreKey(h.ID()) { // listed, and then not there
			moves++
			must(t, h.Regenerate(ctx))
		}
		return faulty.Fault{}
	})
	if n, err := s.EndAll(ctx, "ann"); err != nil || n != 1 || moves != 3 || !hasEnded(h) {
		t.Errorf("EndAll: %d, %v, after %d moves", n, err, moves)
	}
}

// Whatever goes on at once, in the end nobody is left out: what EndAll could not see
// while it ran, the next one finds.
func TestN14_EndAllAmongLogins(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		nodes := []*fibersession.Store{
			newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}}),
			newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}}),
		}
		var mu sync.Mutex
		var all []*fibersession.Handle
		var wg sync.WaitGroup
		for i := range 6 {
			s := nodes[i%2]
			start := make([]*fibersession.Handle, 10)
			for j := range start {
				start[j] = newSession(t, s)
			}
			wg.Go(func() { // waited for below
				for _, h := range start {
					err := h.Login(ctx, "ann")
					if err == nil {
						err = h.Regenerate(ctx)
					}
					if err != nil && !errors.Is(err, fibersession.ErrSessionGone) {
						t.Error(err)
					}
					mu.Lock()
					all = append(all, h)
					mu.Unlock()
				}
			})
		}
		for range 3 {
			if _, err := nodes[0].EndAll(ctx, "ann"); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if _, err := nodes[1].EndAll(ctx, "ann"); err != nil {
			t.Error(err)
		}
		for _, h := range all {
			if !hasEnded(h) {
				t.Fatal("a session lives on")
			}
		}
	})
}

// A session that gets new IDs all the while cannot hide from EndAll.
func TestN14_EndAllOfAMovingSession(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		a := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}})
		b := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}})
		h := loggedIn(t, a, "ann")
		moves := make(chan int)
		go func() { // the test waits for moves
			n := 0
			for h.Regenerate(ctx) == nil {
				n++
			}
			moves <- n
		}()
		for tries := 0; !hasEnded(h); tries++ {
			if _, err := b.EndAll(ctx, "ann"); err != nil {
				t.Error(err)
			}
			if tries > 1000 {
				t.Fatal("it cannot be caught")
			}
		}
		<-moves
		if list, err := b.Devices(ctx, "ann"); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// Whichever call fails: an error, never a list that says less than there is, and a
// second try succeeds.
func TestN14_EveryCallMayFail(t *testing.T) {
	t.Parallel()
	tests := map[string]func(s *fibersession.Store, h *fibersession.Handle) (int, error){
		"Devices": func(s *fibersession.Store, h *fibersession.Handle) (int, error) {
			list, err := h.Devices(ctx)
			return len(list), err
		},
		"EndOthers": func(s *fibersession.Store, h *fibersession.Handle) (int, error) {
			n, err := h.EndOthers(ctx)
			return n + 1, err
		},
		"EndAll": func(s *fibersession.Store, _ *fibersession.Handle) (int, error) { return s.EndAll(ctx, "ann") },
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				st := faulty.New(memory.New(), nil)
				s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
				h := loggedIn(t, s, "ann")
				id := h.ID()
				loggedIn(t, s, "ann").Release()
				loggedIn(t, s, "ann").Release()
				begun := st.Calls()
				st.SetPlan(faulty.OnCall(begun+nth, faulty.Fault{Fail: errBroken}))
				got, err := do(s, h)
				reached := st.Calls() >= begun+nth
				st.SetPlan(nil)
				switch {
				case err == nil && got != 3:
					t.Errorf("call %d failed: %d and no error", nth, got)
				case err != nil && !errors.Is(err, fibersession.ErrUnavailable):
					t.Errorf("call %d: %v", nth, err)
				case err != nil && strings.Contains(err.Error(), id):
					t.Error("the ID is in the error")
				}
				if _, err := s.EndAll(ctx, "ann"); err != nil || !hasEnded(h) {
					t.Errorf("call %d: a second try: %v", nth, err)
				}
				h.Release()
				_ = st.Close()
				if !reached {
					if nth < 4 {
						t.Errorf("only %d calls: this test tests nothing", nth-1)
					}
					return
				}
			}
		})
	}
}

// A store that hangs keeps nobody for longer than StorageTimeout and the caller's context.
func TestN14_StoreHangs(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 10 * time.Millisecond}})
	h := loggedIn(t, s, "ann")
	st.SetPlan(func(faulty.Call) faulty.Fault { return faulty.Fault{Hang: true} })
	defer st.SetPlan(nil)
	for name, do := range map[string]func() error{
		"Devices": func() error { _, err := s.Devices(context.Background(), "ann"); return err },
		"EndAll":  func() error { _, err := s.EndAll(context.Background(), "ann"); return err },
		"Login":   func() error { return h.Login(context.Background(), "bob") },
		"Logout":  func() error { return h.Logout(context.Background()) },
	} {
		err := do()
		if !errors.Is(err, fibersession.ErrUnavailable) && !errors.Is(err, fibersession.ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Storages without an index: logins work, and what needs the index says so.
func TestN14_NoIndex(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(storage.Storage) storage.Storage{
		"none":            func(st storage.Storage) storage.Storage { return noIndex{st} },
		"behind a prefix": func(st storage.Storage) storage.Storage { return storage.Prefix(noIndex{st}, "app:") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: wrap(st), UserKey: "user"})
			h := loggedIn(t, s, "ann")
			must(t, h.Regenerate(ctx))
			_, devices := h.Devices(ctx)
			_, others := h.EndOthers(ctx)
			_, all := s.EndAll(ctx, "ann")
			for name, err := range map[string]error{"Devices": devices, "EndOthers": others, "EndAll": all, "EndDevice": h.EndDevice(ctx, "x")} {
				if !errors.Is(err, fibersession.ErrNoIndex) {
					t.Errorf("%s: %v, want ErrNoIndex", name, err)
				}
			}
			must(t, h.Logout(ctx))
			must(t, h.Destroy(ctx))
		})
	}
}

// N15: two apps on one Redis share nothing: not sessions, not users, not tickets; the
// reset of one leaves the other's, and strangers' keys, as they are.
func TestN15_TwoAppsOnOneRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	st, err := storage.Open(server.URL())
	must(t, err)
	defer func() { _ = st.Close() }()
	app := func(prefix string) *fibersession.Store {
		return newStore(t, fibersession.Config{Storage: st, UserKey: "user", Prefix: prefix})
	}
	shop, blog := app("shop:"), app("blog:")
	strangers := map[string]string{"shop": "a", "shopping:s:1": "b", "other": "c", "s:1": "d", "blog": "e"}
	for key, value := range strangers {
		must(t, st.Set(key, []byte(value), 0))
	}
	must(t, st.(storage.Index).AddMember(ctx, "shopping:u:x", "m", 0))
	customer, author := loggedIn(t, shop, "ann"), loggedIn(t, blog, "ann")
	ticket := issueTicket(t, blog, author)

	if _, err := blog.GetByID(ctx, customer.ID()); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("the shop's session in the blog: %v", err)
	}
	if list, err := shop.Devices(ctx, "ann"); err != nil || len(list) != 1 {
		t.Errorf("ann in the shop: %+v, %v", list, err)
	}
	if _, err := shop.Redeem(ctx, ticket, "https://example.com"); !errors.Is(err, fibersession.ErrTicketUnknown) {
		t.Errorf("the blog's ticket in the shop: %v", err)
	}
	if shop.UserPseudonym("ann", "room") == blog.UserPseudonym("ann", "room") {
		t.Error("a user has the same rooms in both")
	}

	heard := make(chan storage.Change, 100)
	watch, err := st.(storage.Feed).Watch(func(c storage.Change) { heard <- c })
	must(t, err)
	defer func() { _ = watch.Close() }()
	must(t, watch.Add(ctx, blog.StoreKey(author.ID())))

	if n, err := shop.EndAll(ctx, "ann"); err != nil || n != 1 || hasEnded(author) {
		t.Errorf("EndAll in the shop: %d, %v", n, err)
	}
	another := loggedIn(t, shop, "ann")
	must(t, shop.Reset())
	if !hasEnded(another) || hasEnded(author) {
		t.Error("the shop's reset ended another app's session, or not its own")
	}
	if list, err := shop.Devices(ctx, "ann"); err != nil || len(list) != 0 {
		t.Errorf("ann in the shop after the reset: %+v, %v", list, err)
	}
	if list, err := author.Devices(ctx); err != nil || len(list) != 1 {
		t.Errorf("ann in the blog: %+v, %v", list, err)
	}
	for key, value := range strangers {
		if got, err := st.Get(key); err != nil || string(got) != value {
			t.Errorf("the stranger's key %q: %q, %v", key, got, err)
		}
	}
	members := 0
	for _, err := range st.(storage.Index).Members(ctx, "shopping:u:x") {
		must(t, err)
		members++
	}
	if members != 1 {
		t.Error("a stranger's set was emptied")
	}
	must(t, author.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("title", "hello"); return nil }))
	select { // nothing else was told before
	case c := <-heard:
		if c.Kind != storage.Written || c.Key != blog.StoreKey(author.ID()) || !strings.Contains(string(c.Item.Value), "hello") {
			t.Errorf("the feed told %v of %q", c.Kind, c.Key)
		}
	case <-time.After(30 * time.Second):
		t.Error("the feed told nothing")
	}
	h, err := blog.Redeem(ctx, ticket, "https://example.com")
	if err != nil {
		t.Fatalf("the blog's ticket: %v", err)
	}
	h.Release()
}
