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

// N14: a user's sessions are listed and ended, on any node.
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
			t.Fatalf("got %d devices of ann, want 3", len(list))
		}
		var mine string
		for _, d := range list {
			if d.Current {
				mine += d.ID
			}
			for _, h := range []*fibersession.Handle{phone, desk, tablet} {
				if strings.Contains(d.ID, h.ID()) {
					t.Error("a device's ID contains the session's ID")
				}
			}
			if d.Created.IsZero() || d.LastSeen.Before(d.Created) || !d.Expires.After(d.LastSeen) {
				t.Errorf("got the times of %+v, want Created <= LastSeen < Expires", d)
			}
		}
		if len(mine) != 22 {
			t.Errorf("got the current device %q, want one ID of 22 characters", mine)
		}
		if theirs, err := bob.Devices(ctx); err != nil || len(theirs) != 1 || !theirs[0].Current {
			t.Errorf("bob's devices: got %+v, %v; want one, the current", theirs, err)
		}

		must(t, phone.Regenerate(ctx))
		if list, err := desk.Devices(ctx); err != nil || len(list) != 3 || !hasDevice(list, mine) {
			t.Errorf("after a new ID: got %+v, %v; want the same 3 devices", list, err)
		}
		if err := a.EndDevice(ctx, "bob", mine); !errors.Is(err, fibersession.ErrNotFound) || hasEnded(phone) {
			t.Errorf("EndDevice for bob with ann's device: got %v, want ErrNotFound, and ann's session alive", err)
		}
		for _, id := range []string{"", "x", phone.ID(), strings.Repeat("x", 1<<20)} {
			if err := desk.EndDevice(ctx, id); !errors.Is(err, fibersession.ErrNotFound) {
				t.Errorf("EndDevice(%.20q): got %v, want ErrNotFound", id, err)
			}
		}
		must(t, desk.EndDevice(ctx, mine))
		if !hasEnded(phone) || hasEnded(desk) || hasEnded(tablet) {
			t.Error("want EndDevice to end the named device only")
		}
		if err := desk.EndDevice(ctx, mine); !errors.Is(err, fibersession.ErrNotFound) {
			t.Errorf("EndDevice a second time: got %v, want ErrNotFound", err)
		}

		another := loggedIn(t, a, "ann")
		if n, err := desk.EndOthers(ctx); err != nil || n != 2 {
			t.Errorf("EndOthers: got %d, %v; want 2", n, err)
		}
		if !hasEnded(tablet) || !hasEnded(another) || hasEnded(desk) || hasEnded(bob) {
			t.Error("want EndOthers to end ann's two other sessions only")
		}
		if n, err := a.EndAll(ctx, "ann"); err != nil || n != 1 || !hasEnded(desk) || hasEnded(bob) {
			t.Errorf("EndAll: got %d, %v; want 1, and bob's session alive", n, err)
		}
		for _, user := range []string{"ann", "", "unknown"} {
			if n, err := a.EndAll(ctx, user); err != nil || n != 0 {
				t.Errorf("EndAll(%q): got %d, %v; want 0", user, n, err)
			}
			if list, err := a.Devices(ctx, user); err != nil || len(list) != 0 {
				t.Errorf("Devices(%q): got %v, %v; want none", user, list, err)
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

// The index follows every change of the user key. Wrong entries are removed when they are
// found.
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
		expectEntries := func(when string, h *fibersession.Handle, users ...string) {
			t.Helper()
			for _, user := range []string{"ann", "bob"} {
				want := 0
				for _, u := range users {
					if u == user {
						want = 1
					}
				}
				if got := listed(user); len(got) != want || want == 1 && got[0] != s.Member(h.ID()) {
					t.Errorf("%s: %s has the index entries %q, want the session there: %v", when, user, got, want == 1)
				}
			}
		}
		h := newSession(t, s)
		h.Set("user", "ann")
		expectEntries("before the save", h)
		must(t, h.Save(ctx))
		expectEntries("user set", h, "ann")
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("user", "bob"); return nil }))
		expectEntries("user changed", h, "bob")
		must(t, h.Regenerate(ctx))
		expectEntries("new ID", h, "bob")
		must(t, h.Logout(ctx))
		expectEntries("logged out", h)
		must(t, h.Login(ctx, "ann"))
		expectEntries("logged in", h, "ann")
		must(t, h.Destroy(ctx))
		expectEntries("destroyed", h)

		// Wrong entries that an index can have: an ended session, another user's session,
		// and something that is no session.
		other, mine := loggedIn(t, s, "bob"), loggedIn(t, s, "ann")
		for _, junk := range []string{s.Member(other.ID()), s.Member(strings.Repeat("x", 43)), "junk"} {
			must(t, index.AddMember(ctx, s.UserSet("ann"), junk, 0))
		}
		list, err := mine.Devices(ctx)
		if err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("Devices with wrong entries: got %+v, %v; want the current one", list, err)
		}
		if n, err := s.EndAll(ctx, "ann"); err != nil || n != 1 || hasEnded(other) {
			t.Errorf("EndAll with wrong entries: got %d, %v; want 1, and bob's session alive", n, err)
		}
		if left := listed("ann"); len(left) > 1 { // "junk" names no key, so it is kept
			t.Errorf("got the entries %q after EndAll, want \"junk\" at most", left)
		}
	})
}

// A value that this version cannot decode is not listed and not removed: another version
// may be able to. EndOthers and EndAll remove it.
func TestEndAll_UndecodableValue(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	mine, theirs := loggedIn(t, s, "ann"), loggedIn(t, s, "ann")
	key := s.StoreKey(theirs.ID())
	theirs.Release()
	must(t, st.Set(key, []byte("of the next version"), 0))
	if list, err := mine.Devices(ctx); err != nil || len(list) != 1 {
		t.Errorf("Devices: got %+v, %v; want one", list, err)
	}
	if err := mine.EndDevice(ctx, "x"); !errors.Is(err, fibersession.ErrNotFound) {
		t.Errorf("EndDevice: got %v, want ErrNotFound", err)
	}
	if v, err := st.Get(key); err != nil || v == nil {
		t.Fatalf("the undecodable value was removed: %v", err)
	}
	if n, err := mine.EndOthers(ctx); err != nil || n != 1 {
		t.Errorf("EndOthers: got %d, %v; want 1", n, err)
	}
	if v, err := st.Get(key); err != nil || v != nil {
		t.Errorf("after EndOthers the storage still holds %q, %v", v, err)
	}
	if hasEnded(mine) {
		t.Error("EndOthers ended its own session")
	}
}

// A device has the user agent and address of the request that began the session or logged
// in. The user agent is cut to 256 bytes and has no control characters.
func TestN14_DeviceOfARequest(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{UserKey: "user"})
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
		t.Fatalf("got no current device among %d", len(list))
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
			t.Errorf("%s: got %+v, want Firefox on Linux at 192.0.2.7", way, d)
		}
	}
	for xff, want := range map[string]string{
		"192.0.2.7:1024":      "192.0.2.7",
		"[2001:db8::7]:1024":  "2001:db8::7",
		"6.6.6.6, 192.0.2.7":  "192.0.2.7",
		"<script>":            "0.0.0.0", // the peer's, as app.Test has it
		"192.0.2.7, 6.6.6.6!": "0.0.0.0",
	} {
		b := newBrowser(t, app)
		b.headers = map[string]string{"X-Real-Ip": xff}
		b.get("/login")
		b.headers = nil
		if d := device(b); d.Address != want {
			t.Errorf("%q: got the address %q, want %q", xff, d.Address, want)
		}
	}
	tests := map[string]struct{ agent, want string }{
		"unchanged":          {"Mözilla/5.0 (日本)", "Mözilla/5.0 (日本)"},
		"empty":              {"", ""},
		"control characters": {"a\u0085b\u2028c", "abc"},
		"direction override": {"Fire\u202efox", "Firefox"},
		"not UTF-8":          {"a\xff\xfeb", "ab"},
		"cut before a character that does not fit": {strings.Repeat("x", 255) + "é", strings.Repeat("x", 255)},
		"exactly 256 bytes":                        {strings.Repeat("x", 254) + "é", strings.Repeat("x", 254) + "é"},
		"much too long":                            {strings.Repeat("x", 3000), strings.Repeat("x", 256)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, app)
			b.headers = map[string]string{"User-Agent": tt.agent}
			b.get("/login")
			b.headers = nil
			if d := device(b); d.UserAgent != tt.want || !utf8.ValidString(d.UserAgent) {
				t.Errorf("got the user agent %q, want %q", d.UserAgent, tt.want)
			}
		})
	}
}

// LastSeen is when the session was last touched. The list begins with the device that was
// used last. An expired session is not listed.
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
			t.Fatalf("got the devices %+v, want the used one first", list)
		}
		for i, want := range []time.Time{begun.Add(30 * time.Minute), begun} {
			if d := list[i]; !d.LastSeen.Equal(want) || !d.Created.Equal(begun) || !d.Expires.Equal(want.Add(time.Hour)) {
				t.Errorf("device %d: got %+v, want LastSeen %v", i, d, want)
			}
		}
		time.Sleep(time.Hour - 30*time.Minute)
		if list, err := used.Devices(ctx); err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("after an hour: got %+v, %v; want one", list, err)
		}
	})
}

// An index entry lives at least as long as its session, with and without an absolute limit,
// and expires within hours after it.
func TestN14_EntriesLastAsLongAsTheirSessions(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{
		"no absolute limit": {Timeouts: fibersession.Timeouts{Absolute: -1}},
		"absolute limit":    {Timeouts: fibersession.Timeouts{Absolute: 100 * time.Hour}},
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
						t.Fatal("the entry expired before its session")
					}
				}
				must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("n", 1); return nil }))
				h.Release()
				time.Sleep(8 * time.Hour)
				if entries() != 0 {
					t.Error("8h after the session's last use its entry is still there")
				}
			})
		})
	}
}

// Devices removes the entry of a session that is just being stored, because the session is
// not there yet. The writer adds the entry again. EndAll at that moment finds nothing.
func TestN14_SessionBeingStored(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(s *fibersession.Store) (int, error){
		"Devices": func(s *fibersession.Store) (int, error) { list, err := s.Devices(ctx, "ann"); return len(list), err },
		"EndAll":  func(s *fibersession.Store) (int, error) { return s.EndAll(ctx, "ann") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := memory.New()
			st := faulty.New(base, nil)
			defer func() { _ = st.Close() }()
			s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
			node := newStore(t, fibersession.Config{Storage: base, UserKey: "user"})
			h := storedSession(t, s, nil)
			called := false
			st.SetPlan(func(c faulty.Call) faulty.Fault {
				if c.Method == "CompareAndSwap" && c.Key == s.StoreKey(h.ID()) {
					called = true
					if n, err := call(node); n != 0 || err != nil {
						t.Errorf("before the session is stored: got %d, %v; want 0", n, err)
					}
				}
				return faulty.Fault{}
			})
			must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("user", "ann"); return nil }))
			st.SetPlan(nil)
			if list, err := node.Devices(ctx, "ann"); !called || err != nil || len(list) != 1 {
				t.Errorf("got the devices %+v, %v; want one, and the storage asked in between", list, err)
			}
		})
	}
}

// EndAll misses a session if its ID changes between the listing and the load. It looks
// again and finds it.
func TestN14_NewIDDuringEndAll(t *testing.T) {
	t.Parallel()
	base := memory.New()
	st := faulty.New(base, nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
	node := newStore(t, fibersession.Config{Storage: base, UserKey: "user"})
	h := loggedIn(t, node, "ann")
	moves := 0
	st.SetPlan(func(c faulty.Call) faulty.Fault {
		if c.Method == "Load" && moves < 3 && c.Key == s.StoreKey(h.ID()) { // after the listing, before the load
			moves++
			must(t, h.Regenerate(ctx))
		}
		return faulty.Fault{}
	})
	if n, err := s.EndAll(ctx, "ann"); err != nil || n != 1 || moves != 3 || !hasEnded(h) {
		t.Errorf("EndAll: got %d, %v after %d new IDs; want 1 after 3, and the session ended", n, err, moves)
	}
}

// EndAll may miss logins that happen while it runs. The next EndAll finds them.
func TestN14_EndAllDuringLogins(t *testing.T) {
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
			wg.Go(func() { // wg.Wait below waits for it
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
				t.Fatal("a session is still alive after the last EndAll")
			}
		}
	})
}

// EndAll ends a session although its ID changes all the time.
func TestN14_EndAllDuringRegenerate(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		a := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}})
		b := newStore(t, fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}})
		h := loggedIn(t, a, "ann")
		moves := make(chan int)
		go func() { // the test receives moves
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
				t.Fatal("the session is alive after 1000 calls of EndAll")
			}
		}
		<-moves
		if list, err := b.Devices(ctx, "ann"); err != nil || len(list) != 0 {
			t.Errorf("got the devices %+v, %v; want none", list, err)
		}
	})
}

// If any storage call fails, the caller gets an error, never an incomplete list. A second
// try succeeds.
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
					t.Errorf("failure of call %d: got %d and no error, want 3 or an error", nth, got)
				case err != nil && !errors.Is(err, fibersession.ErrUnavailable):
					t.Errorf("failure of call %d: got %v, want ErrUnavailable", nth, err)
				case err != nil && strings.Contains(err.Error(), id):
					t.Error("the error contains the session's ID")
				}
				if _, err := s.EndAll(ctx, "ann"); err != nil || !hasEnded(h) {
					t.Errorf("failure of call %d: the second try got %v, want the session ended", nth, err)
				}
				h.Release()
				_ = st.Close()
				if !reached {
					if nth < 4 {
						t.Errorf("made only %d calls, want at least 3", nth-1)
					}
					return
				}
			}
		})
	}
}

// If the store hangs, each call returns after Timeouts.Storage.
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
			t.Errorf("%s: got %v, want ErrUnavailable or ErrUnknownOutcome", name, err)
		}
	}
}

// On a storage without an index logins work. The methods that need the index return
// ErrNoIndex.
func TestN14_NoIndex(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(storage.Storage) storage.Storage{
		"bare storage":    func(st storage.Storage) storage.Storage { return noIndex{st} },
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
					t.Errorf("%s: got %v, want ErrNoIndex", name, err)
				}
			}
			must(t, h.Logout(ctx))
			must(t, h.Destroy(ctx))
		})
	}
}

// N15: two apps on one Redis share neither sessions nor users nor tickets. Reset of one
// leaves the keys of the other and of third parties unchanged.
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
		t.Errorf("the shop's session in the blog: got %v, want ErrNotFound", err)
	}
	if list, err := shop.Devices(ctx, "ann"); err != nil || len(list) != 1 {
		t.Errorf("ann's devices in the shop: got %+v, %v; want one", list, err)
	}
	if _, err := shop.Redeem(ctx, ticket, "https://example.com"); !errors.Is(err, fibersession.ErrTicketUnknown) {
		t.Errorf("the blog's ticket in the shop: got %v, want ErrTicketUnknown", err)
	}
	if shop.UserPseudonym("ann", "room") == blog.UserPseudonym("ann", "room") {
		t.Error("a user has the same pseudonym in both apps")
	}

	changes := make(chan storage.Change, 100)
	watch, err := st.(storage.Feed).Watch(func(c storage.Change) { changes <- c })
	must(t, err)
	defer func() { _ = watch.Close() }()
	must(t, watch.Add(ctx, blog.StoreKey(author.ID())))

	if n, err := shop.EndAll(ctx, "ann"); err != nil || n != 1 || hasEnded(author) {
		t.Errorf("EndAll in the shop: got %d, %v; want 1, and the blog's session alive", n, err)
	}
	another := loggedIn(t, shop, "ann")
	must(t, shop.Reset())
	if !hasEnded(another) || hasEnded(author) {
		t.Error("want Reset of the shop to end the shop's session only")
	}
	if list, err := shop.Devices(ctx, "ann"); err != nil || len(list) != 0 {
		t.Errorf("ann's devices in the shop after Reset: got %+v, %v; want none", list, err)
	}
	if list, err := author.Devices(ctx); err != nil || len(list) != 1 {
		t.Errorf("ann's devices in the blog: got %+v, %v; want one", list, err)
	}
	for key, value := range strangers {
		if got, err := st.Get(key); err != nil || string(got) != value {
			t.Errorf("the third party's key %q: got %q, %v, want it unchanged", key, got, err)
		}
	}
	members := 0
	for _, err := range st.(storage.Index).Members(ctx, "shopping:u:x") {
		must(t, err)
		members++
	}
	if members != 1 {
		t.Errorf("the third party's set has %d members, want 1", members)
	}
	must(t, author.Update(ctx, func(tx *fibersession.Tx) error { tx.Set("title", "hello"); return nil }))
	select { // the first change that the feed reports
	case c := <-changes:
		if c.Kind != storage.Written || c.Key != blog.StoreKey(author.ID()) || !strings.Contains(string(c.Item.Value), "hello") {
			t.Errorf("got the change %v of %q, want the blog's write", c.Kind, c.Key)
		}
	case <-time.After(30 * time.Second):
		t.Error("the feed reported nothing within 30s")
	}
	h, err := blog.Redeem(ctx, ticket, "https://example.com")
	if err != nil {
		t.Fatalf("the blog's ticket: got %v, want nil", err)
	}
	h.Release()
}
