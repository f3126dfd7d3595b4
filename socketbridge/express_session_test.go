package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// N7: a logout in Express or in Fiber ends the session for both, and disconnects the
// sockets, with or without further packets.
func TestN7_LogoutAtEitherSideEndsBoth(t *testing.T) {
	t.Parallel()
	for name, recheck := range map[string]time.Duration{"at the next packet": -1, "without a packet": 50 * time.Millisecond} {
		t.Run("Express, "+name, func(t *testing.T) {
			t.Parallel()
			w := newExpressSite(t, func(o *options, _ *nodetest.ExpressOptions) { o.sessions.Tracking.Recheck = recheck })
			a := w.agent()
			w.askExpress(a, "POST", "/express/login/ada")
			live := w.socket(a)
			equal(t, "user before", call(t, live, "user"), `"ada"`)
			w.askExpress(a, "POST", "/express/logout")
			if recheck < 0 {
				live.Emit("incr")
			}
			live.MustNext(nodetest.Disconnected)
			equal(t, "user in Fiber", a.get("/user"), "")
		})
	}
	t.Run("Fiber", func(t *testing.T) {
		t.Parallel()
		w := newExpressSite(t, nil)
		a := w.agent()
		w.askExpress(a, "POST", "/express/login/ada")
		live, id, cookie := w.socket(a), rawID(t, a), a.cookie()
		a.post("/logout")
		live.MustNext(nodetest.Disconnected)
		if w.storedFields(id) != nil {
			t.Error("the session is still stored after the logout")
		}
		if a.cookie() != "" {
			t.Errorf("the browser still has cookies %q, want none", a.cookie())
		}
		attacker := w.agent() // with the old cookie
		u, _ := url.Parse(w.url)
		name, value, _ := strings.Cut(cookie, "=")
		attacker.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value}})
		if s := w.session(attacker); s.Session["user"] != nil || s.ID == id {
			t.Errorf("Express still has the session %v", s.Session)
		}
	})
}

// N7: a new ID in either app invalidates the old one. Fiber keeps the data and its
// sockets follow. Express starts an empty session, and the sockets of the old one are
// disconnected.
func TestN7_Regenerate(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, nil)
	a := w.agent()
	w.askExpress(a, "POST", "/express/set", map[string]any{"n": 1, "user": "ada"})
	live, first, old := w.socket(a), rawID(t, a), a.cookie()
	a.post("/regenerate")
	second := rawID(t, a)
	if second == first || w.storedFields(first) != nil {
		t.Error("the old ID is still valid after Regenerate in Fiber")
	}
	if s := w.session(a); s.ID != second || s.Session["n"] != float64(1) {
		t.Errorf("Express has %v, want ID %s and n = 1", s, second)
	}
	equal(t, "user of the socket", call(t, live, "user"), `"ada"`)
	if id, ok := w.node.ExpressUnsign(t, "connect.sid", old, expressSecret); !ok || id != first {
		t.Errorf("the old cookie is for ID %q, want %q", id, first)
	}

	w.askExpress(a, "POST", "/express/login/bob")
	live.MustNext(nodetest.Disconnected)
	if third := rawID(t, a); third == second || w.storedFields(second) != nil {
		t.Error("the second ID is still valid after a login in Express")
	}
	equal(t, "n after a login in Express", a.get("/get/n"), "null")
	equal(t, "user after a login in Express", a.get("/user"), "bob")
	equal(t, "user of a new socket", call(t, w.socket(a), "user"), `"bob"`)
}

// N7: Fiber merges its changes into what Express stored in the meantime. Express saves the
// session as its request found it, which reverts changes made in the meantime, even a
// logout. A request of Express without changes reverts nothing, unless resave is set. See
// docs/express.md.
func TestN7_WholeSessionSaveOfExpress(t *testing.T) {
	t.Parallel()
	for _, resave := range []bool{false, true} {
		t.Run(fmt.Sprintf("resave %v", resave), func(t *testing.T) {
			t.Parallel()
			w := newExpressSite(t, func(_ *options, e *nodetest.ExpressOptions) { e.Session = map[string]any{"resave": resave} })
			held := func(a *agent, name string, change map[string]any, meanwhile func()) {
				var wg sync.WaitGroup
				wg.Go(func() { w.askExpress(a, "POST", "/express/hold/"+name, change) }) // waited for below
				w.askExpress(w.agent(), "GET", "/express/held/"+name)
				meanwhile()
				w.askExpress(w.agent(), "POST", "/express/release/"+name)
				wg.Wait()
			}
			a := w.agent()
			w.askExpress(a, "POST", "/express/set", map[string]any{"user": "ada"})
			id := rawID(t, a)

			held(a, "idle", map[string]any{}, func() { a.post("/set/fiber/1") })
			equal(t, "fiber after a request of Express without changes", a.get("/get/fiber"), map[bool]string{false: `"1"`, true: "null"}[resave])
			a.post("/set/fiber/2")
			held(a, "busy", map[string]any{"express": 1}, func() { a.post("/set/fiber/3") })
			equal(t, "fiber after a request of Express that changed another key", a.get("/get/fiber"), `"2"`)

			// Fiber had loaded the session before Express saved: both changes are stored.
			h, err := w.sessions.GetByID(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Release()
			h.Set("late", true)
			w.askExpress(a, "POST", "/express/set", map[string]any{"express": 2})
			if err := h.Save(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s := w.session(a).Session; s["late"] != true || s["express"] != float64(2) {
				t.Errorf("after a save in Fiber the session is %v, want late and express in it", s)
			}

			held(a, "bye", map[string]any{}, func() {
				if err := h.Destroy(context.Background()); err != nil {
					t.Error(err)
				}
			})
			if back := w.storedFields(id) != nil; back != resave {
				t.Errorf("after a logout during a request of Express without changes: session stored: %v, want %v", back, resave)
			}
			if h.Set("n", 1); !errors.Is(h.Save(context.Background()), fibersession.ErrSessionGone) {
				t.Error("Save on a handle of the ended session did not fail with ErrSessionGone")
			}
		})
	}
}

// N7: both apps have several secrets. The first one signs, all are accepted, and Fiber
// replaces cookies signed with another one. Both reject a forged cookie.
func TestN7_SeveralSecrets(t *testing.T) {
	t.Parallel()
	const older = "the older secret: not of thirty-two bytes"
	w := newExpressSite(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.Express.Secrets = []string{expressSecret, older}
		e.Secrets = []string{older, expressSecret} // not yet rotated
	})
	a := w.agent()
	w.askExpress(a, "POST", "/express/login/ada")
	id, old := rawID(t, a), a.cookie()
	if got, ok := w.node.ExpressUnsign(t, "connect.sid", old, older); !ok || got != id {
		t.Fatal("Express did not sign the cookie with its first secret")
	}
	equal(t, "user in Fiber", a.get("/user"), "ada")
	if got, ok := w.node.ExpressUnsign(t, "connect.sid", a.cookie(), expressSecret); !ok || got != id || a.cookie() == old {
		t.Errorf("the cookie is %q, want it signed with Fiber's first secret", a.cookie())
	}
	if s := w.session(a); s.ID != id || s.Session["user"] != "ada" {
		t.Errorf("with the new cookie Express has %v, want ID %s and user ada", s, id)
	}

	forger := w.agent()
	u, _ := url.Parse(w.url)
	for _, value := range []string{
		strings.TrimPrefix(w.node.ExpressSign(t, "c", id, "another secret that neither app uses"), "c="),
		strings.TrimPrefix(a.cookie(), "connect.sid=") + "A",
		"s%3A" + id + ".", "s%3A" + id, id,
	} {
		forger.http.Jar.SetCookies(u, []*http.Cookie{{Name: "connect.sid", Value: value}})
		before := w.sessions.Stats().Forged
		equal(t, "user in Fiber with a forged cookie", forger.get("/user"), "")
		if w.sessions.Stats().Forged != before+1 {
			t.Errorf("Stats.Forged does not count the cookie %q", value)
		}
		if s := w.session(forger); s.ID == id || s.Session["user"] != nil {
			t.Errorf("with the forged cookie %q Express has %v, want a new session", value, s)
		}
	}
}

// N7: the cookie settings of Express survive Fiber's saves, the idle limit moves for both
// apps, and Fiber renews the browser's cookie as Express does with rolling.
func TestN7_CookieAndExpiry(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, func(_ *options, e *nodetest.ExpressOptions) {
		e.Session = map[string]any{"rolling": true, "cookie": map[string]any{"maxAge": 3600000, "sameSite": "strict", "priority": "high", "httpOnly": true}}
	})
	a := w.agent()
	w.askExpress(a, "POST", "/express/login/ada")
	id := rawID(t, a)
	before := w.storedFields(id)
	a.post("/set/n/1")
	after := w.storedFields(id)
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(before["cookie"], &was), json.Unmarshal(after["cookie"], &is)); err != nil {
		t.Fatal(err)
	}
	if is["expires"].(string) < was["expires"].(string) {
		t.Errorf("expires moved back from %v to %v", was["expires"], is["expires"])
	}
	delete(was, "expires")
	delete(is, "expires")
	if fmt.Sprint(was) != fmt.Sprint(is) || string(after["user"]) != `"ada"` || string(after["n"]) != `"1"` {
		t.Errorf("the session was %s and is %s, want the same cookie and user, and n = 1", before, after)
	}

	// Express accepts and renews what Fiber wrote, also for a session that began in
	// Fiber.
	for name, tt := range map[string]struct {
		begin func(a *agent)
		want  string
	}{
		"Express": {func(a *agent) { w.askExpress(a, "POST", "/express/login/ada"); a.post("/set/n/1") }, "; HttpOnly; Priority=High; SameSite=Strict"},
		"Fiber":   {func(a *agent) { a.post("/login/ada") }, "; HttpOnly; SameSite=Lax"},
	} {
		a := w.agent()
		tt.begin(a)
		before := a.cookie()
		_, header := w.askExpressFull(a, "GET", "/express")
		set := header.Get("Set-Cookie")
		if !strings.HasPrefix(set, before+"; Path=/; Expires=") || !strings.HasSuffix(set, tt.want) {
			t.Errorf("a session begun in %s: Express sets %q, want the browser's cookie %q and %q", name, set, before, tt.want)
		}
		equal(t, "user in Fiber", a.get("/user"), "ada")
	}

	// A maxAge set by Express is the session's idle limit in Fiber, and the other way
	// round. A session that Express touched stays, whatever its stored expiry says.
	w.askExpress(a, "POST", "/express/maxage/7200000")
	h, err := w.sessions.GetByID(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if left := time.Until(h.Deadline()); left > 2*time.Hour || left < time.Hour {
		t.Errorf("the session ends in %v, want between 1 and 2 hours", left)
	}
	stale := w.storedFields(id)
	stale["cookie"] = json.RawMessage(`{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z"}`)
	data, err := json.Marshal(stale)
	if err == nil {
		err = w.redis.Set("sess:"+id, data, time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "user in Fiber with a stored expiry in the past", a.get("/user"), "ada")
	live := w.socket(a)
	equal(t, "user of the socket", call(t, live, "user"), `"ada"`)

	// When the stored session expires in Redis, the socket is disconnected without a packet.
	if err := w.redis.Touch(context.Background(), "sess:"+id, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	live.MustNext(nodetest.Disconnected)
	equal(t, "user in Fiber after the expiry", a.get("/user"), "")
}

// N7: keys that Express's session object reserves are rejected here, since Express would
// drop them.
func TestN7_ReservedKeys(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, nil)
	a := w.agent()
	w.askExpress(a, "POST", "/express/login/ada")
	h, err := w.sessions.GetByID(context.Background(), rawID(t, a))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	keys := w.node.ExpressReserved(t)
	if !slices.Contains(keys, "regenerate") || !slices.Contains(keys, "__proto__") {
		t.Fatalf("Express reserves %q, want regenerate and __proto__ among them", keys)
	}
	for _, key := range append(keys, "cookie") {
		h.Set(key, "x")
		if err := h.Save(context.Background()); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Set of %q: got error %v, want ErrReservedKey", key, err)
		}
		h.Delete("nothing")
		if err := h.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// N7: Express uses Passport.
func TestN7_Passport(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.UserKey = "passport"
		e.Passport = true
	})
	a := w.agent()
	w.askExpress(a, "POST", "/passport/login/7")
	equal(t, "user in Fiber", a.get("/user"), "7")
	live := w.socket(a)
	equal(t, "user of the socket", call(t, live, "user"), `"7"`)
	w.askExpress(a, "POST", "/passport/logout")
	live.MustNext(nodetest.Disconnected)
	equal(t, "user in Fiber after the logout", a.get("/user"), "")

	b := w.agent()
	b.post("/login/8")
	equal(t, "user in Passport", w.askExpress(b, "GET", "/passport"), `{"id":"8","name":"user 8"}`)
	equal(t, "user in Fiber", b.get("/user"), "8")
}

// N7: Express is configured with another prefix, cookie name and ttl. Reset removes
// nothing outside of the prefix.
func TestN7_OtherNames(t *testing.T) {
	t.Parallel()
	w := newExpressSite(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.Express.Prefix = "shop:s:"
		o.sessions.KeyLookup = "cookie:shop"
		e.Session = map[string]any{"name": "shop"}
		e.Store = map[string]any{"prefix": "shop:s:", "ttl": 600}
	})
	a := w.agent()
	w.askExpress(a, "POST", "/express/login/ada")
	equal(t, "user in Fiber", a.get("/user"), "ada")
	a.post("/login/bob")
	if s := w.session(a); s.Session["user"] != "bob" {
		t.Errorf("Express has %v, want user bob", s.Session)
	}
	if !strings.HasPrefix(a.cookie(), "shop=s%3A") {
		t.Errorf("the cookie is %q, want a signed one with the name shop", a.cookie())
	}
	if err := w.redis.Set("elsewhere", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if err := w.sessions.Reset(); err != nil {
		t.Fatal(err)
	}
	if v, err := w.redis.Get("elsewhere"); string(v) != "x" || err != nil {
		t.Error("Reset removed a key outside of the prefix")
	}
	equal(t, "user in Fiber after Reset", a.get("/user"), "")
}
