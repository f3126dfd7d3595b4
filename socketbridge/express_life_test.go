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

// rawID returns the session ID in an agent's cookie.
func rawID(t testing.TB, a *agent) string {
	t.Helper()
	text, err := url.QueryUnescape(strings.TrimPrefix(a.cookie(), "connect.sid="))
	id, _, ok := strings.Cut(strings.TrimPrefix(text, "s:"), ".")
	if err != nil || !ok || !strings.HasPrefix(text, "s:") {
		t.Fatalf("the agent's cookies are %q", a.cookie())
	}
	return id
}

// stored returns the fields of a stored session as they are written; nil for none.
func (w *town) stored(id string) map[string]json.RawMessage {
	w.t.Helper()
	data, err := w.redis.Get("sess:" + id)
	if err != nil {
		w.t.Fatal(err)
	}
	if data == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		w.t.Fatalf("%v: %s", err, data)
	}
	return fields
}

// N7: whoever ends the session ends it for both, and for the sockets, whether they say
// anything or not.
func TestN7_LogoutAtEitherSideEndsBoth(t *testing.T) {
	t.Parallel()
	for name, recheck := range map[string]time.Duration{"at the next packet": -1, "with nothing said": 50 * time.Millisecond} {
		t.Run("Express, "+name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, func(o *options, _ *nodetest.ExpressOptions) { o.sessions.Tracking.Recheck = recheck })
			a := w.agent()
			w.ask(a, "POST", "/express/login/ada")
			live := w.socket(a)
			equal(t, "before", call(t, live, "user"), `"ada"`)
			w.ask(a, "POST", "/express/logout")
			if recheck < 0 {
				live.Emit("incr")
			}
			live.MustNext(nodetest.Disconnected)
			equal(t, "Fiber's user", a.get("/user"), "")
		})
	}
	t.Run("Fiber", func(t *testing.T) {
		t.Parallel()
		w := newTown(t, nil)
		a := w.agent()
		w.ask(a, "POST", "/express/login/ada")
		live, id, cookie := w.socket(a), rawID(t, a), a.cookie()
		a.post("/logout")
		live.MustNext(nodetest.Disconnected)
		if w.stored(id) != nil {
			t.Error("the session is in the store")
		}
		if a.cookie() != "" {
			t.Errorf("the browser still has %q", a.cookie())
		}
		thief := w.agent() // who kept the cookie
		u, _ := url.Parse(w.url)
		name, value, _ := strings.Cut(cookie, "=")
		thief.http.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value}})
		if s := w.session(thief); s.Session["user"] != nil || s.ID == id {
			t.Errorf("Express still has %v", s.Session)
		}
	})
}

// N7: a new ID at either side ends the old one. Fiber takes the data and its sockets
// along; Express begins an empty session, and the sockets of the old one are ended.
func TestN7_Regenerate(t *testing.T) {
	t.Parallel()
	w := newTown(t, nil)
	a := w.agent()
	w.ask(a, "POST", "/express/set", map[string]any{"n": 1, "user": "ada"})
	live, first, old := w.socket(a), rawID(t, a), a.cookie()
	a.post("/regenerate")
	second := rawID(t, a)
	if second == first || w.stored(first) != nil {
		t.Error("the old ID is alive")
	}
	if s := w.session(a); s.ID != second || s.Session["n"] != float64(1) {
		t.Errorf("Express has %v", s)
	}
	equal(t, "the socket's user", call(t, live, "user"), `"ada"`)
	if id, ok := w.node.ExpressUnsign(t, "connect.sid", old, expressSecret); !ok || id != first {
		t.Errorf("the old cookie is of %q", id)
	}

	w.ask(a, "POST", "/express/login/bob")
	live.MustNext(nodetest.Disconnected)
	if third := rawID(t, a); third == second || w.stored(second) != nil {
		t.Error("the second ID is alive")
	}
	equal(t, "what was there", a.get("/get/n"), "null")
	equal(t, "the user", a.get("/user"), "bob")
	equal(t, "a new socket's user", call(t, w.socket(a), "user"), `"bob"`)
}

// N7: what Fiber saves is merged into what Express stored meanwhile. What Express saves
// is the session as its request found it: that takes back what was stored meanwhile,
// even a logout. A request of Express that changes nothing takes nothing back, unless
// resave is set. This is what docs/express.md says.
func TestN7_WholeSessionSaveOfExpress(t *testing.T) {
	t.Parallel()
	for _, resave := range []bool{false, true} {
		t.Run(fmt.Sprintf("resave %v", resave), func(t *testing.T) {
			t.Parallel()
			w := newTown(t, func(_ *options, e *nodetest.ExpressOptions) { e.Session = map[string]any{"resave": resave} })
			held := func(a *agent, name string, change map[string]any, meanwhile func()) {
				var wg sync.WaitGroup
				wg.Go(func() { w.ask(a, "POST", "/express/hold/"+name, change) }) // waited for below
				w.ask(w.agent(), "GET", "/express/held/"+name)
				meanwhile()
				w.ask(w.agent(), "POST", "/express/release/"+name)
				wg.Wait()
			}
			a := w.agent()
			w.ask(a, "POST", "/express/set", map[string]any{"user": "ada"})
			id := rawID(t, a)

			held(a, "idle", map[string]any{}, func() { a.post("/set/fiber/1") })
			equal(t, "after a request of Express that changes nothing", a.get("/get/fiber"), map[bool]string{false: `"1"`, true: "null"}[resave])
			a.post("/set/fiber/2")
			held(a, "busy", map[string]any{"express": 1}, func() { a.post("/set/fiber/3") })
			equal(t, "after one that changes another key", a.get("/get/fiber"), `"2"`)

			// Fiber had the session in hand while Express saved: both changes are there.
			h, err := w.sessions.GetByID(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Release()
			h.Set("late", true)
			w.ask(a, "POST", "/express/set", map[string]any{"express": 2})
			if err := h.Save(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s := w.session(a).Session; s["late"] != true || s["express"] != float64(2) {
				t.Errorf("after a save of Fiber there is %v", s)
			}

			held(a, "bye", map[string]any{}, func() {
				if err := h.Destroy(context.Background()); err != nil {
					t.Error(err)
				}
			})
			if back := w.stored(id) != nil; back != resave {
				t.Errorf("after a logout during an idle request of Express, the session is there: %v", back)
			}
			if h.Set("n", 1); !errors.Is(h.Save(context.Background()), fibersession.ErrSessionGone) {
				t.Error("a handle of the session that ended works again")
			}
		})
	}
}

// N7: several secrets at both sides: the first signs, all are good, and Fiber replaces
// a cookie that another one signed. A forged one is none at either side.
func TestN7_SeveralSecrets(t *testing.T) {
	t.Parallel()
	const older = "the older secret: not of thirty-two bytes"
	w := newTown(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.Express.Secrets = []string{expressSecret, older}
		e.Secrets = []string{older, expressSecret} // it has not been told yet
	})
	a := w.agent()
	w.ask(a, "POST", "/express/login/ada")
	id, old := rawID(t, a), a.cookie()
	if got, ok := w.node.ExpressUnsign(t, "connect.sid", old, older); !ok || got != id {
		t.Fatal("Express did not sign with its first secret")
	}
	equal(t, "Fiber's user", a.get("/user"), "ada")
	if got, ok := w.node.ExpressUnsign(t, "connect.sid", a.cookie(), expressSecret); !ok || got != id || a.cookie() == old {
		t.Errorf("the cookie was not replaced by one of the first secret: %q", a.cookie())
	}
	if s := w.session(a); s.ID != id || s.Session["user"] != "ada" {
		t.Errorf("with the new cookie Express has %v", s)
	}

	forger := w.agent()
	u, _ := url.Parse(w.url)
	for _, value := range []string{
		strings.TrimPrefix(w.node.ExpressSign(t, "c", id, "another secret that nobody uses here"), "c="),
		strings.TrimPrefix(a.cookie(), "connect.sid=") + "A",
		"s%3A" + id + ".", "s%3A" + id, id,
	} {
		forger.http.Jar.SetCookies(u, []*http.Cookie{{Name: "connect.sid", Value: value}})
		before := w.sessions.Stats().Forged
		equal(t, "with a forged cookie, Fiber's user", forger.get("/user"), "")
		if w.sessions.Stats().Forged != before+1 {
			t.Errorf("%q is not counted", value)
		}
		if s := w.session(forger); s.ID == id || s.Session["user"] != nil {
			t.Errorf("with %q Express has %v", value, s)
		}
	}
}

// N7: what Express knows of its cookie survives Fiber's saves, the idle limit moves for
// both, and Fiber renews the browser's cookie as Express does with rolling.
func TestN7_CookieAndExpiry(t *testing.T) {
	t.Parallel()
	w := newTown(t, func(_ *options, e *nodetest.ExpressOptions) {
		e.Session = map[string]any{"rolling": true, "cookie": map[string]any{"maxAge": 3600000, "sameSite": "strict", "priority": "high", "httpOnly": true}}
	})
	a := w.agent()
	w.ask(a, "POST", "/express/login/ada")
	id := rawID(t, a)
	before := w.stored(id)
	a.post("/set/n/1")
	after := w.stored(id)
	var was, is map[string]any
	if err := errors.Join(json.Unmarshal(before["cookie"], &was), json.Unmarshal(after["cookie"], &is)); err != nil {
		t.Fatal(err)
	}
	if is["expires"].(string) < was["expires"].(string) {
		t.Errorf("expires went back from %v to %v", was["expires"], is["expires"])
	}
	delete(was, "expires")
	delete(is, "expires")
	if fmt.Sprint(was) != fmt.Sprint(is) || string(after["user"]) != `"ada"` || string(after["n"]) != `"1"` {
		t.Errorf("the session was %s and is %s", before, after)
	}

	// Express takes what Fiber wrote for its own, and renews it: also a session that
	// began at Fiber.
	for name, tt := range map[string]struct {
		begin func(a *agent)
		want  string
	}{
		"Express": {func(a *agent) { w.ask(a, "POST", "/express/login/ada"); a.post("/set/n/1") }, "; HttpOnly; Priority=High; SameSite=Strict"},
		"Fiber":   {func(a *agent) { a.post("/login/ada") }, "; HttpOnly; SameSite=Lax"},
	} {
		a := w.agent()
		tt.begin(a)
		before := a.cookie()
		_, header := w.askFull(a, "GET", "/express")
		set := header.Get("Set-Cookie")
		if !strings.HasPrefix(set, before+"; Path=/; Expires=") || !strings.HasSuffix(set, tt.want) {
			t.Errorf("a session of %s: Express sets %q, and the browser has %q", name, set, a.cookie())
		}
		equal(t, "and then Fiber's user", a.get("/user"), "ada")
	}

	// A maxAge that Express gives a session is its idle limit here, and the other way
	// round. What Express touches stays, whatever the value says.
	w.ask(a, "POST", "/express/maxage/7200000")
	h, err := w.sessions.GetByID(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	if left := time.Until(h.Deadline()); left > 2*time.Hour || left < time.Hour {
		t.Errorf("the session ends in %v", left)
	}
	stale := w.stored(id)
	stale["cookie"] = json.RawMessage(`{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z"}`)
	data, err := json.Marshal(stale)
	if err == nil {
		err = w.redis.Set("sess:"+id, data, time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "with a limit that was moved since", a.get("/user"), "ada")
	live := w.socket(a)
	equal(t, "the socket's user", call(t, live, "user"), `"ada"`)

	// When the store lets it go, all is over, with nothing said.
	if err := w.redis.Touch(context.Background(), "sess:"+id, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	live.MustNext(nodetest.Disconnected)
	equal(t, "after the end", a.get("/user"), "")
}

// N7: the keys that a session of Express has of its own are refused here: it would drop
// them.
func TestN7_ReservedKeys(t *testing.T) {
	t.Parallel()
	w := newTown(t, nil)
	a := w.agent()
	w.ask(a, "POST", "/express/login/ada")
	h, err := w.sessions.GetByID(context.Background(), rawID(t, a))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	keys := w.node.ExpressReserved(t)
	if !slices.Contains(keys, "regenerate") || !slices.Contains(keys, "__proto__") {
		t.Fatalf("Express has %q", keys)
	}
	for _, key := range append(keys, "cookie") {
		h.Set(key, "x")
		if err := h.Save(context.Background()); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Set of %q: %v", key, err)
		}
		h.Delete("nothing")
		if err := h.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// N7: with Passport at Express' side.
func TestN7_Passport(t *testing.T) {
	t.Parallel()
	w := newTown(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.UserKey = "passport"
		e.Passport = true
	})
	a := w.agent()
	w.ask(a, "POST", "/passport/login/7")
	equal(t, "Fiber's user", a.get("/user"), "7")
	live := w.socket(a)
	equal(t, "the socket's user", call(t, live, "user"), `"7"`)
	w.ask(a, "POST", "/passport/logout")
	live.MustNext(nodetest.Disconnected)
	equal(t, "after the logout", a.get("/user"), "")

	b := w.agent()
	b.post("/login/8")
	equal(t, "Passport's user", w.ask(b, "GET", "/passport"), `{"id":"8","name":"user 8"}`)
	equal(t, "Fiber's user", b.get("/user"), "8")
}

// N7: another prefix, cookie name and ttl, as Express may be configured; and the
// storage reads what is there, no more.
func TestN7_OtherNames(t *testing.T) {
	t.Parallel()
	w := newTown(t, func(o *options, e *nodetest.ExpressOptions) {
		o.sessions.Express.Prefix = "shop:s:"
		o.sessions.KeyLookup = "cookie:shop"
		e.Session = map[string]any{"name": "shop"}
		e.Store = map[string]any{"prefix": "shop:s:", "ttl": 600}
	})
	a := w.agent()
	w.ask(a, "POST", "/express/login/ada")
	equal(t, "Fiber's user", a.get("/user"), "ada")
	a.post("/login/bob")
	if s := w.session(a); s.Session["user"] != "bob" {
		t.Errorf("Express has %v", s.Session)
	}
	if !strings.HasPrefix(a.cookie(), "shop=s%3A") {
		t.Errorf("the cookie is %q", a.cookie())
	}
	if err := w.redis.Set("elsewhere", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if err := w.sessions.Reset(); err != nil {
		t.Fatal(err)
	}
	if v, err := w.redis.Get("elsewhere"); string(v) != "x" || err != nil {
		t.Error("Reset went beyond the prefix")
	}
	equal(t, "after Reset", a.get("/user"), "")
}
