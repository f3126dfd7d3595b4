package fibersession_test

import (
	"sync/atomic"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
)

// After a logout the old cookie is worth nothing, although its ID still led to the session a
// moment before. The same holds after a new ID.
func TestF3_LogoutSticks(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"/out", "/new"} {
		overStorages(t, func(t *testing.T, st storage.Storage) {
			s := newStore(t, fibersession.Config{Storage: st})
			app := newAppOf(s)
			id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
			b := comesWith(t, app, id)
			wantUser(t, b, "/", "ada")
			wantUser(t, comesWith(t, app, id), "/", "ada")
			b.get(how)
			for range 2 {
				late := comesWith(t, app, id)
				if res := wantUser(t, late, "/", ""); len(res.set) != 0 {
					t.Errorf("%s: got the cookies %v, want none", how, res.set)
				}
			}
		})
	}
}

// The first request after the change can be the logout itself, or the login.
func TestF3_FirstRequestEndsIt(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	s := newStore(t, fibersession.Config{Storage: st})
	app := newAppOf(s)
	id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
	b := comesWith(t, app, id)
	b.get("/out")
	if len(b.cookies) != 0 {
		t.Errorf("after the logout the browser has the cookies %v, want none", b.cookies)
	}
	wantUser(t, comesWith(t, app, id), "/", "")

	id = oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
	b = comesWith(t, app, id)
	b.get("/new")
	wantUser(t, b, "/", "ada")
	wantUser(t, comesWith(t, app, id), "/", "")
}

// endings are ways in which another node ends an old login.
var endings = map[string]func(t *testing.T, s *fibersession.Store, app *fiber.App, oldID string){
	"EndAll": func(t *testing.T, s *fibersession.Store, _ *fiber.App, _ string) {
		_, err := s.EndAll(ctx, "ada")
		must(t, err)
	},
	"EndOthers": func(t *testing.T, s *fibersession.Store, _ *fiber.App, _ string) {
		h := loggedIn(t, s, "ada")
		_, err := h.EndOthers(ctx)
		must(t, err)
		must(t, h.Destroy(ctx))
	},
	"Reset": func(t *testing.T, s *fibersession.Store, _ *fiber.App, _ string) { must(t, s.Reset()) },
	"Delete": func(t *testing.T, s *fibersession.Store, _ *fiber.App, oldID string) {
		must(t, s.Delete(oldID))
	},
	"takeover and logout": func(t *testing.T, _ *fibersession.Store, app *fiber.App, oldID string) {
		comesWith(t, app, oldID).get("/out")
	},
}

// Old logins that were not taken over yet are in no index. A call that ends all sessions of a
// user, or of the store, ends them too. It ends no old login of another user.
func TestF3_EndsBeforeTheTakeover(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		overStorages(t, func(t *testing.T, st storage.Storage) {
			s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
			app := newAppOf(s)
			ada := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
			bob := oldLogin(t, st, session.Config{}, map[string]any{"user": "bob"})
			for range 2 { // the second time renews the mark
				end(t, s, app, ada)
			}
			wantUser(t, comesWith(t, app, ada), "/", "")
			if isOldSession(t, st, ada) {
				t.Errorf("%s: the storage still has the old session", name)
			}
			if devices, err := s.Devices(ctx, "ada"); err != nil || len(devices) != 0 {
				t.Errorf("%s: got %d devices and error %v, want none", name, len(devices), err)
			}
			want := "bob"
			if name == "Reset" {
				want = ""
			}
			wantUser(t, comesWith(t, app, bob), "/", want)
			// A login after that is one of this package, and lives.
			h := loggedIn(t, s, "ada")
			must(t, h.Reload(ctx))
		})
	}
}

// While a node takes an old login over, another node ends it, before each single call of the
// storage in turn. No session is left, in either order.
func TestF3_N12_EndsDuringTheTakeover(t *testing.T) {
	t.Parallel()
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				base := memoryUntil(t)
				id := oldLogin(t, base, session.Config{}, map[string]any{"user": "ada"})
				cfg := fibersession.Config{Storage: base, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: waitLimit}}
				there := newStore(t, cfg)
				thereApp := newAppOf(there)
				var ended atomic.Bool
				slow := faulty.New(base, func(c faulty.Call) faulty.Fault {
					if c.N == n {
						end(t, there, thereApp, id)
						ended.Store(true)
					}
					return faulty.Fault{}
				})
				cfg.Storage = slow
				here := newStore(t, cfg)
				b := comesWith(t, newAppOf(here), id)
				if res := b.get("/"); res.status != 200 {
					t.Fatalf("call %d: got status %d, want 200", n, res.status)
				}
				if !ended.Load() {
					if n < 6 {
						t.Errorf("the takeover made %d calls, want at least 5", n-1)
					}
					return
				}
				wantUser(t, b, "/", "")
				wantUser(t, comesWith(t, thereApp, id), "/", "")
				if devices, err := there.Devices(ctx, "ada"); err != nil || len(devices) != 0 {
					t.Errorf("call %d: got %d devices and error %v, want none", n, len(devices), err)
				}
			}
		})
	}
}

// While a node takes an old login over, another node does too, before each single call of the
// storage in turn. Both give the same session, and no copy of it is left.
func TestF3_TwoNodesTakeOver(t *testing.T) {
	t.Parallel()
	for n, taken := 1, true; taken; n++ {
		base := memoryUntil(t)
		id := oldLogin(t, base, session.Config{}, map[string]any{"user": "ada"})
		cfg := fibersession.Config{Storage: base, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: waitLimit}}
		there := newStore(t, cfg)
		other := comesWith(t, newAppOf(there), id)
		taken = false
		slow := faulty.New(base, func(c faulty.Call) faulty.Fault {
			if c.N == n {
				taken = true // on the request's goroutine, which has ended when get returns
				wantUser(t, other, "/", "ada")
			}
			return faulty.Fault{}
		})
		cfg.Storage = slow
		b := comesWith(t, newAppOf(newStore(t, cfg)), id)
		wantUser(t, b, "/", "ada")
		if !taken {
			wantUser(t, other, "/", "ada")
		}
		if b.session() != other.session() || b.session() == "" {
			t.Errorf("call %d: the nodes gave different IDs", n)
		}
		if devices, err := there.Devices(ctx, "ada"); err != nil || len(devices) != 1 {
			t.Errorf("call %d: got %d devices and error %v, want 1", n, len(devices), err)
		}
	}
}

// A node dies before or after each single call of the storage in turn. The login is not lost,
// whether its response arrived or not, and it can be ended.
func TestF3_CrashLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"before the call": {Fail: errBroken}, "after the call": {Lose: errBroken}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				base := memoryUntil(t)
				id := oldLogin(t, base, session.Config{}, map[string]any{"user": "ada"})
				dying := faulty.New(base, func(c faulty.Call) faulty.Fault {
					if c.N >= n {
						return fault
					}
					return faulty.Fault{}
				})
				b := comesWith(t, newAppOf(newStore(t, fibersession.Config{Storage: dying, UserKey: "user"})), id)
				res := b.get("/")
				if want := 503; dying.Calls() >= n && res.status != want && res.body != "ada" {
					t.Fatalf("call %d: got status %d and user %q, want %d, or 200 and ada", n, res.status, res.body, want)
				}
				s := newStore(t, fibersession.Config{Storage: base, UserKey: "user"})
				app := newAppOf(s)
				b.app = app
				wantUser(t, b, "/", "ada")
				lost := comesWith(t, app, id)
				wantUser(t, lost, "/", "ada")
				if b.session() != lost.session() {
					t.Errorf("call %d: the old cookie leads to another session than the new one", n)
				}
				b.get("/out")
				wantUser(t, b, "/", "")
				wantUser(t, comesWith(t, app, id), "/", "")
				if dying.Calls() < n {
					if n < 6 {
						t.Errorf("the takeover made %d calls, want at least 5", n-1)
					}
					return
				}
			}
		})
	}
}

// Delete takes an old ID, before and after the takeover, as an app that keeps lists of its
// users' session IDs calls it.
func TestF3_DeleteByOldID(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	s := newStore(t, fibersession.Config{Storage: st})
	app := newAppOf(s)
	for _, visits := range []int{0, 1} {
		id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
		b := comesWith(t, app, id)
		for range visits {
			wantUser(t, b, "/", "ada")
		}
		must(t, s.Delete(id))
		wantUser(t, b, "/", "")
		wantUser(t, comesWith(t, app, id), "/", "")
		must(t, s.Delete(id))
	}
	must(t, st.Set("0b2c0f9e-6c35-4bd5-8a86-000000000000", []byte("x"), 0))
	off := newStore(t, fibersession.Config{Storage: st, OldLogins: fibersession.OldLogins{Off: true}})
	must(t, off.Delete("0b2c0f9e-6c35-4bd5-8a86-000000000000"))
	if v := storedValue(t, st, "0b2c0f9e-6c35-4bd5-8a86-000000000000"); string(v) != "x" {
		t.Errorf("with Off, Delete changed a value to %q", v)
	}
}

// A request that comes with an old ID while another one logs the user in does not learn the ID
// that the login made.
func TestF3_LoginMeanwhile(t *testing.T) {
	t.Parallel()
	base := memoryUntil(t)
	id := oldLogin(t, base, session.Config{KeyLookup: "header:X-Session"}, map[string]any{"user": "ada"})
	var b *browser
	logIn := false
	st := faulty.New(base, func(c faulty.Call) faulty.Fault {
		if logIn && c.Method == "Touch" {
			logIn = false // all on the test's goroutines, one after the other
			b.get("/new")
		}
		return faulty.Fault{}
	})
	s := newStore(t, fibersession.Config{Storage: st, KeyLookup: "header:X-Session", Timeouts: fibersession.Timeouts{TouchInterval: 1}})
	app := newAppOf(s)
	late := newBrowser(t, app)
	late.headers = map[string]string{"X-Session": id}
	b = newBrowser(t, app)
	b.headers = map[string]string{"X-Session": wantUser(t, late, "/", "ada").header.Get("X-Session")}
	logIn = true
	res := late.get("/")
	if logIn {
		t.Fatal("the login did not happen")
	}
	if got := res.header.Get("X-Session"); got != "" {
		t.Errorf("the response carries an ID that the login made, or the one from before: %q", got)
	}
}
