package fibersession_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// A visitor with the cookie of Fiber's middleware stays logged in, with the values that Fiber
// would have read. The response sets the new cookie and removes the old one. The old session is
// gone.
func TestF3_OldLoginIsTakenOver(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		keys := slices.Collect(maps.Keys(oldValues()))
		id := oldLogin(t, st, session.Config{}, oldValues())
		want := oldRead(t, st, id, keys)

		got := map[string]any{}
		app := newAppOf(s)
		app.Get("/values", func(c *fiber.Ctx) error {
			for _, key := range keys {
				got[key] = fibersession.FromContext(c).Get(key)
			}
			return c.SendString(fmt.Sprint(fibersession.FromContext(c).Fresh()))
		})
		b := comesWith(t, app, id)
		res := b.get("/values")
		if res.status != 200 || res.body != "false" {
			t.Fatalf("got status %d and Fresh %s, want 200 and false", res.status, res.body)
		}
		for _, key := range keys {
			if w, ok := want[key].(time.Time); ok && w.Equal(got[key].(time.Time)) {
				continue
			}
			if !reflect.DeepEqual(got[key], want[key]) {
				t.Errorf("%s: got %#v, want what Fiber reads: %#v", key, got[key], want[key])
			}
		}
		newID := b.cookies["__Host-session"]
		if len(newID) != 43 || b.cookies["session_id"] != "" {
			t.Errorf("the browser has the cookies %v, want a __Host-session of 43 characters alone", b.cookies)
		}
		if isOldSession(t, st, id) {
			t.Error("the storage still has the old session")
		}
		if r, ok := st.(storage.TTLReader); ok {
			if left, err := r.TTL(ctx, id); err != nil || left <= 0 || left > time.Minute {
				t.Errorf("what is left under the old ID ends in %v, with error %v; want at most a minute", left, err)
			}
		}
		if n := s.Stats().TakenOver; n != 1 {
			t.Errorf("Stats.TakenOver is %d, want 1", n)
		}
		if res := wantUser(t, b, "/", "ada"); len(res.set) != 0 {
			t.Errorf("the second response sets the cookies %v, want none", res.set)
		}
		devices, err := s.Devices(ctx, "ada")
		if err != nil || len(devices) != 1 {
			t.Errorf("got the devices %v and error %v, want the one session", devices, err)
		}
		if n, err := s.EndAll(ctx, "ada"); n != 1 || err != nil {
			t.Errorf("EndAll ended %d sessions, with error %v, want 1", n, err)
		}
		wantUser(t, b, "/", "")
	})
}

// The old ID is found where the app's KeyLookup says, and with the app's KeyGenerator.
func TestF3_OldLoginIsFoundWhereFiberLooks(t *testing.T) {
	t.Parallel()
	generator := func() func() string {
		var mu sync.Mutex
		n := 0
		return func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprintf("generated-%s-%04d", strings.Repeat("x", 8), n)
		}
	}()
	tests := map[string]struct {
		old     session.Config
		cfg     fibersession.Config
		path    string // before the ID
		send    func(b *browser, id string)
		receive func(b *browser, res response) (newID string)
	}{
		"cookie by default": {
			send:    func(b *browser, id string) { b.cookies["session_id"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["__Host-session"] },
		},
		"cookie of the same name": {
			old:     session.Config{KeyLookup: "cookie:sid"},
			cfg:     fibersession.Config{KeyLookup: "cookie:sid"},
			send:    func(b *browser, id string) { b.cookies["sid"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["sid"] },
		},
		"cookie of the same name, signed now": {
			old:  session.Config{KeyLookup: "cookie:sid"},
			cfg:  fibersession.Config{KeyLookup: "cookie:sid", Cookie: fibersession.Cookie{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}}},
			send: func(b *browser, id string) { b.cookies["sid"] = id },
			receive: func(b *browser, _ response) string {
				if len(b.cookies["sid"]) <= 43 {
					return ""
				}
				return b.cookies["sid"][:43]
			},
		},
		"cookie by CookieName": {
			//lint:ignore SA1019 apps still set it
			old:     session.Config{CookieName: "sid"},
			cfg:     fibersession.Config{CookieName: "sid"},
			send:    func(b *browser, id string) { b.cookies["sid"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["sid"] },
		},
		"cookie of another name": {
			old:     session.Config{KeyLookup: "cookie:sid"},
			cfg:     fibersession.Config{Extractor: fibersession.Chain(fibersession.FromCookie(""), fibersession.FromCookie("sid"))},
			send:    func(b *browser, id string) { b.cookies["sid"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["__Host-session"] + b.cookies["sid"] },
		},
		"header": {
			old:     session.Config{KeyLookup: "header:X-Session"},
			cfg:     fibersession.Config{KeyLookup: "header:X-Session"},
			send:    func(b *browser, id string) { b.headers = map[string]string{"X-Session": id} },
			receive: func(_ *browser, res response) string { return res.header.Get("X-Session") },
		},
		"query": {
			old:     session.Config{KeyLookup: "query:sid"},
			cfg:     fibersession.Config{KeyLookup: "query:sid"},
			path:    "/?sid=",
			send:    func(*browser, string) {},
			receive: func(b *browser, _ response) string { return b.cookies["sid"] },
		},
		"query, by the cookie that Fiber sets": {
			old:     session.Config{KeyLookup: "query:sid"},
			cfg:     fibersession.Config{KeyLookup: "query:sid"},
			send:    func(b *browser, id string) { b.cookies["sid"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["sid"] },
		},
		"custom IDs": {
			old:     session.Config{KeyGenerator: generator},
			cfg:     fibersession.Config{KeyGenerator: generator},
			send:    func(b *browser, id string) { b.cookies["session_id"] = id },
			receive: func(b *browser, _ response) string { return b.cookies["__Host-session"] },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			t.Cleanup(func() { _ = st.Close() })
			id := oldLogin(t, st, tt.old, map[string]any{"user": "ada"})
			tt.cfg.Storage = st
			s := newStore(t, tt.cfg)
			b, path := newBrowser(t, newAppOf(s)), "/"
			tt.send(b, id)
			if tt.path != "" {
				path = tt.path + id
			}
			res := wantUser(t, b, path, "ada")
			newID := tt.receive(b, res)
			if newID == id || !sessionIsStored(t, st, s, newID) {
				t.Errorf("the response carries the ID %q, the old one was %q; want the ID of a stored session", newID, id)
			}
			if isOldSession(t, st, id) {
				t.Error("the storage still has the old session")
			}
			if b.headers != nil {
				b.headers["X-Session"] = newID
			}
			wantUser(t, b, "/", "ada")
			if n := s.Stats().Forged; n != 0 {
				t.Errorf("Stats.Forged is %d, want 0: an old cookie is no forged one", n)
			}
		})
	}
}

// A request that has a session of this package does not use its old cookie.
func TestF3_NewSessionWins(t *testing.T) {
	t.Parallel()
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"user": "new"})
	b := comesWith(t, newAppOf(s), oldLogin(t, st, session.Config{}, map[string]any{"user": "old"}))
	b.cookies["__Host-session"] = h.ID()
	if res := wantUser(t, b, "/", "new"); len(res.set) != 0 || s.Stats().TakenOver != 0 {
		t.Errorf("got the cookies %v and %d takeovers, want none", res.set, s.Stats().TakenOver)
	}
}

// Six requests come at once with one old cookie, spread over two nodes. One of them takes the
// login over. All see the user, and all carry the same new ID, so that no Set-Cookie replaces
// the right one. That holds for requests that write, too.
func TestF3_ParallelRequests(t *testing.T) {
	t.Parallel()
	onTwoNodes(t, fibersession.Config{UserKey: "user"}, func(t *testing.T, here, there *fibersession.Store) {
		for round := range 10 {
			user := fmt.Sprintf("user%d", round)
			id := oldLogin(t, here.Backend(), session.Config{}, map[string]any{"user": user})
			apps := []*fiber.App{newAppOf(here), newAppOf(there)}
			before := here.Stats().TakenOver + there.Stats().TakenOver
			var mu sync.Mutex
			ids := map[string]int{}
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() { // waited for below
					b := comesWith(t, apps[i%2], id)
					path, want := "/", user
					if i >= 3 {
						path, want = "/write", ""
					}
					if res := b.get(path); res.status != 200 || res.body != want {
						t.Errorf("request %d: got status %d and user %q, want 200 and %q", i, res.status, res.body, want)
					}
					mu.Lock()
					defer mu.Unlock()
					ids[b.cookies["__Host-session"]]++
				})
			}
			wg.Wait()
			if len(ids) != 1 || ids[""] != 0 {
				t.Fatalf("the responses carry the IDs %v, want one and the same in all", ids)
			}
			if n := here.Stats().TakenOver + there.Stats().TakenOver - before; n != 1 {
				t.Errorf("%d takeovers, want 1", n)
			}
			if devices, err := here.Devices(ctx, user); err != nil || len(devices) != 1 {
				t.Errorf("got %d devices and error %v, want 1", len(devices), err)
			}
		}
	})
}

// Requests of one node that come at once cost one read of the old session and two writes.
func TestF3_OneNodeTakesOverOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base := memory.New()
		defer func() { _ = base.Close() }()
		id := oldLogin(t, base, session.Config{}, map[string]any{"user": "ada"})
		gate := make(chan struct{})
		var reads, writes atomic.Int32
		st := faulty.New(base, func(c faulty.Call) faulty.Fault {
			switch {
			case c.Method == "CompareAndSwap":
				writes.Add(1)
			case c.Method == "Load" && c.Key == id:
				reads.Add(1)
				<-gate
			}
			return faulty.Fault{}
		})
		app := newAppOf(fibersession.New(fibersession.Config{Storage: st, Logger: discardLogger}))
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { // waited for below
				if res := comesWith(t, app, id).get("/"); res.body != "ada" {
					t.Errorf("got status %d and user %q, want ada", res.status, res.body)
				}
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		if r, w := reads.Load(), writes.Load(); r != 1 || w != 2 {
			t.Errorf("%d reads of the old session and %d writes, want 1 and 2", r, w)
		}
	})
}

// The old ID leads to the new session for a minute, so that a request that was under way, or one
// after a lost response, is logged in. Then the old ID is none.
func TestF3_OldIDEndsAfterAMinute(t *testing.T) {
	withFakeClock(t, fibersession.Config{}, func(t *testing.T, s *fibersession.Store) {
		app := newAppOf(s)
		id := oldLogin(t, s.Backend(), session.Config{}, map[string]any{"user": "ada"})
		first := comesWith(t, app, id)
		wantUser(t, first, "/", "ada")
		time.Sleep(59 * time.Second)
		second := comesWith(t, app, id) // the first response was lost
		wantUser(t, second, "/", "ada")
		if got, want := second.session(), first.session(); got != want {
			t.Errorf("the second response carries another ID than the first")
		}
		time.Sleep(2 * time.Second)
		if res := wantUser(t, comesWith(t, app, id), "/", ""); len(res.set) != 0 {
			t.Errorf("got the cookies %v, want none: the cookie may be another program's", res.set)
		}
		wantUser(t, second, "/", "ada")
	})
}

// A client that sends the ID in a header may never take another one from a response. Its old ID
// goes on as long as the session has the ID that it got at the takeover.
func TestF3_OldIDInAHeaderGoesOn(t *testing.T) {
	withFakeClock(t, fibersession.Config{KeyLookup: "header:X-Session"}, func(t *testing.T, s *fibersession.Store) {
		app := newAppOf(s)
		id := oldLogin(t, s.Backend(), session.Config{KeyLookup: "header:X-Session"}, map[string]any{"user": "ada"})
		b := newBrowser(t, app)
		b.headers = map[string]string{"X-Session": id}
		for range 10 {
			wantUser(t, b, "/", "ada")
			time.Sleep(12 * time.Hour)
		}
		wantUser(t, b, "/", "ada")
		b.get("/new")
		wantUser(t, b, "/", "")
		time.Sleep(25 * time.Hour)
		wantUser(t, b, "/", "")
	})
}

// An expiration that the old app gave a session with SetExpiry stays, where the storage can tell
// it. Every other session gets Config.Expiration.
func TestF3_Expiry(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		_, tells := st.(storage.TTLReader)
		s := newStore(t, fibersession.Config{Storage: st})
		for name, tt := range map[string]struct{ set, want time.Duration }{
			"Expiration": {0, 24 * time.Hour},
			"shorter":    {time.Hour, 24 * time.Hour},
			"longer":     {720 * time.Hour, 720 * time.Hour},
		} {
			id := oldLoginFor(t, st, session.Config{}, map[string]any{"user": "ada"}, tt.set)
			b := comesWith(t, newAppOf(s), id)
			wantUser(t, b, "/", "ada")
			left := time.Until(handleOf(t, s, b.session()).Deadline())
			if !tells {
				tt.want = 24 * time.Hour
			}
			if left > tt.want || left < tt.want-time.Hour {
				t.Errorf("%s: the session ends in %v, want about %v", name, left, tt.want)
			}
		}
	})
}

// Off is a switch, Until a date. Without a Storage, nothing old can be there.
func TestF3_DateAndSwitch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New()
		defer func() { _ = st.Close() }()
		end := time.Now().Add(time.Hour)
		apps := map[string]*fiber.App{}
		for name, old := range map[string]fibersession.OldLogins{
			"on": {}, "off": {Off: true}, "until": {Until: end}, "over": {Until: time.Now()},
		} {
			apps[name] = newAppOf(fibersession.New(fibersession.Config{Storage: st, OldLogins: old, Logger: discardLogger}))
		}
		check := func(name, want string) {
			t.Helper()
			id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
			if res := comesWith(t, apps[name], id).get("/"); res.status != 200 || res.body != want {
				t.Errorf("%s: got status %d and user %q, want 200 and %q", name, res.status, res.body, want)
			}
			if want == "" && !isOldSession(t, st, id) {
				t.Errorf("%s: the old session is gone", name)
			}
		}
		check("on", "ada")
		check("off", "")
		check("over", "")
		check("until", "ada")
		time.Sleep(time.Until(end))
		check("until", "")
		check("on", "ada")
	})
	if got := fibersession.TakesOver(newStore(t, fibersession.Config{Storage: memoryUntil(t)})); !got {
		t.Error("nothing is taken over from Config.Storage")
	}
	own := fibersession.New(fibersession.Config{Logger: discardLogger})
	t.Cleanup(func() { _ = own.Close() })
	if fibersession.TakesOver(own) {
		t.Error("a store with a new storage in memory looks for old sessions")
	}
}

// Values that the codec cannot store are left out and named in the log, once; the others live on.
func TestF3_ValueThatCannotBeStored(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	var log testlog.Log
	s := newStore(t, fibersession.Config{Storage: st, Codec: fibersession.JSON{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	app := newAppOf(s)
	for range 3 {
		id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada", "wave": complex(1, 2)})
		b := comesWith(t, app, id)
		wantUser(t, b, "/", "ada")
		if h := handleOf(t, s, b.session()); !slices.Equal(h.Keys(), []string{"user"}) {
			t.Errorf("got the keys %v, want user alone", h.Keys())
		}
		if text := log.String(); strings.Contains(text, id) || strings.Contains(text, b.session()) {
			t.Errorf("the log has an ID:\n%s", text)
		}
	}
	if text := log.String(); strings.Count(text, "key=wave") != 1 || !strings.Contains(text, "complex128") || strings.Count(text, "old session was left out") != 1 || strings.Count(text, "was taken over; others") != 1 {
		t.Errorf("the log does not name key and type once, beside the first takeover:\n%s", text)
	}
}

// A value whose type this build does not know costs that value alone.
func TestF3_ValueOfAnUnknownType(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	var log testlog.Log
	app := newAppOf(newStore(t, fibersession.Config{Storage: st, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	login := gobOf(t, map[string]any{"user": "ada", "n": 1, "account": oldAccount{"Ada", nil}})
	gone := bytes.ReplaceAll(login, []byte("oldAccount"), []byte("oldRemoved"))
	if bytes.Equal(gone, login) {
		t.Fatal("the session does not name the type")
	}
	must(t, st.Set(someUUID, gone, 0))
	b := comesWith(t, app, someUUID)
	wantUser(t, b, "/", "ada")
	wantUser(t, b, "/keys", "[n user]")
	if !log.Has("key=account") {
		t.Errorf("the log does not name the key:\n%s", log.String())
	}
}

// A session that is larger than the limits is not taken over. It stays in the storage, so that
// it is found when the limit is raised, and the log names the setting.
func TestF3_TooLarge(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]fibersession.Limits{
		"bytes": {MaxSize: 1000},
		"keys":  {MaxKeys: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memoryUntil(t)
			var log testlog.Log
			cfg := fibersession.Config{Storage: st, Limits: limits, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada", "a": strings.Repeat("a", 600), "b": strings.Repeat("b", 600)})
			b := comesWith(t, newAppOf(newStore(t, cfg)), id)
			if res := wantUser(t, b, "/", ""); len(res.set) != 0 {
				t.Errorf("got the cookies %v, want none", res.set)
			}
			if !strings.Contains(log.String(), "Config.Limits") || !strings.Contains(log.String(), "notice=old_login_too_large") {
				t.Errorf("the log does not name the notice and the setting:\n%s", log.String())
			}
			cfg.Limits = fibersession.Limits{}
			wantUser(t, comesWith(t, newAppOf(newStore(t, cfg)), id), "/", "ada")
		})
	}
}

// The old cookie is removed with the attributes that it was set with.
func TestF3_OldCookieIsRemoved(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	s := newStore(t, fibersession.Config{Storage: st, CookieDomain: "example.com", CookiePath: "/app"})
	id := oldLogin(t, st, session.Config{CookieDomain: "example.com", CookiePath: "/app"}, map[string]any{"user": "ada"})
	res := wantUser(t, comesWith(t, newAppOf(s), id), "/", "ada")
	i := slices.IndexFunc(res.set, func(c *http.Cookie) bool { return c.Name == "session_id" })
	if i < 0 {
		t.Fatalf("the response sets the cookies %v, want one that removes session_id", res.set)
	}
	if c := res.set[i]; c.Value != "" || c.Domain != "example.com" || c.Path != "/app" || !c.Expires.Before(time.Now()) {
		t.Errorf("got %v, want an expired cookie of /app on example.com", c)
	}
}
