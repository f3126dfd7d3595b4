package fibersession_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// The tests N7 in package socketbridge run against Express itself. The tests here need no
// Express.

// Values that Express wrote keep their exact bytes. Values that were set here are written
// as JSON.
func TestN7_ExpressValuesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
		h := expressSession(t, s, st, `{"cookie":{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z","priority":"high","made-up":[1.50]},
			"count":1e3,"float":0.10000000000000000555,"large":123456789012345678901234567890,"minus":-0,
			"nested":{"of":[9007199254740993.0,{"deep":null}]},"text":"\ud800 <&> \u2028","nothing":null,"":"no name"}`)
		before := storedFields(t, st, expressID)
		if got := strings.Join(h.Keys(), " "); got != " count float large minus nested nothing text" {
			t.Errorf("got the keys %q, want count float large minus nested nothing text and the empty one", got)
		}
		for key, want := range map[string]any{"count": 1000, "float": 0.1, "nothing": nil, "": "no name"} {
			if got := h.Get(key); got != want {
				t.Errorf("%q: got %#v, want %#v", key, got, want)
			}
		}
		h.Set("mine", []int64{1, 2})
		h.Set("count", 1000) // an unchanged number keeps its bytes
		must(t, h.Save(ctx))
		if _, err := h.Incr(ctx, "n", 7); err != nil {
			t.Fatal(err)
		}
		after := storedFields(t, st, expressID)
		for key, want := range before {
			if got := after[key]; key != "cookie" && string(got) != string(want) {
				t.Errorf("%q: got %s, want %s", key, got, want)
			}
		}
		if string(after["mine"]) != "[1,2]" || string(after["n"]) != "7" || len(after) != len(before)+2 {
			t.Errorf("got the fields %s, want the old ones, mine = [1,2] and n = 7", after)
		}
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Delete("large"); tx.Set("float", 2.5); return nil }))
		after = storedFields(t, st, expressID)
		if _, there := after["large"]; there || string(after["float"]) != "2.5" {
			t.Errorf("got the fields %s, want no \"large\" and float = 2.5", after)
		}
		if n, err := h.Incr(ctx, "count", 1); n != 1001 || err != nil {
			t.Errorf("Incr of 1e3: got %d, %v; want 1001", n, err)
		}
		if _, err := h.Incr(ctx, "float", 1); !errors.Is(err, fibersession.ErrNotInteger) {
			t.Errorf("Incr of a fraction: got %v, want ErrNotInteger", err)
		}
	})
}

// The cookie object says when the session ends, as express-session writes it. Its other
// fields stay.
func TestN7_ExpressCookieObject(t *testing.T) {
	t.Parallel()
	type fields = map[string]string
	hour := fields{"originalMaxAge": "3600000", "expires": "in 1h", "path": `"/app"`, "odd": "[1.50]"}
	tests := map[string]struct {
		config  func(c *fibersession.Config)
		cookie  string // "": the session begins here
		expiry  time.Duration
		plain   bool
		want    fields
		wantTTL time.Duration
	}{
		"maxAge":                     {cookie: `{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z","path":"/app","odd":[1.50]}`, want: hour, wantTTL: time.Hour},
		"no maxAge":                  {cookie: `{"originalMaxAge":null,"expires":null,"httpOnly":true}`, want: fields{"originalMaxAge": "null", "expires": "null", "httpOnly": "true"}, wantTTL: 24 * time.Hour},
		"empty cookie object":        {cookie: `{}`, want: fields{"expires": "null"}, wantTTL: 24 * time.Hour},
		"no maxAge, with Expiration": {config: func(c *fibersession.Config) { c.Expiration = 2 * time.Hour }, cookie: `{"originalMaxAge":null}`, want: fields{"originalMaxAge": "null", "expires": "null"}, wantTTL: 2 * time.Hour},
		"negative maxAge":            {cookie: `{"originalMaxAge":-5}`, want: fields{"originalMaxAge": "-5", "expires": "null"}, wantTTL: 24 * time.Hour},
		"huge maxAge":                {cookie: `{"originalMaxAge":1e300}`, want: fields{"originalMaxAge": "1e300"}, wantTTL: 400 * 24 * time.Hour},
		"SetExpiry":                  {cookie: `{"originalMaxAge":60000}`, expiry: time.Hour, want: fields{"originalMaxAge": "3600000", "expires": "in 1h"}, wantTTL: time.Hour},
		"SetExpiry without maxAge":   {cookie: `{"originalMaxAge":null}`, expiry: time.Hour, want: fields{"originalMaxAge": "3600000", "expires": "in 1h"}, wantTTL: time.Hour},
		"new session": {
			config:  func(c *fibersession.Config) { c.Expiration = time.Hour },
			want:    fields{"originalMaxAge": "3600000", "expires": "in 1h", "path": `"/"`, "httpOnly": "true", "secure": "true", "sameSite": `"lax"`},
			wantTTL: time.Hour,
		},
		"new session with cookie settings": {
			config: func(c *fibersession.Config) {
				c.CookieSessionOnly, c.CookiePath, c.CookieDomain, c.CookieSameSite = true, "/a", "example.com", "Strict"
			},
			want:    fields{"originalMaxAge": "null", "expires": "null", "path": `"/a"`, "httpOnly": "true", "secure": "true", "sameSite": `"strict"`, "domain": `"example.com"`},
			wantTTL: 24 * time.Hour,
		},
		"new session on plain http": {plain: true, want: fields{"path": `"/"`, "secure": "false"}, wantTTL: 24 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &ttlRecorder{Storage: memory.New()}
			defer func() { _ = st.Close() }()
			cfg := expressConfig(fibersession.Config{Storage: st})
			if tt.config != nil {
				tt.config(&cfg)
			}
			var b *browser
			for round := range 2 { // the second node reads what the first one wrote
				s := newStore(t, cfg)
				app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
					sess := fibersession.FromContext(c)
					sess.Set("n", round)
					if tt.expiry > 0 {
						sess.SetExpiry(tt.expiry)
					}
					return c.SendString(sess.ID())
				}})
				if b == nil {
					b = newBrowser(t, app)
					b.plain = tt.plain
					if tt.cookie != "" {
						must(t, st.Set("sess:"+expressID, []byte(`{"cookie":`+tt.cookie+`}`), time.Hour))
						b.cookies["connect.sid"] = s.CookieValue("connect.sid", expressID)
					}
				}
				b.app = app
				begun := time.Now()
				id := b.get("/").body
				if got := st.last(); got < tt.wantTTL-time.Since(begun) || got > tt.wantTTL {
					t.Errorf("got a TTL of %v, want %v", got, tt.wantTTL)
				}
				var cookie map[string]json.RawMessage
				must(t, json.Unmarshal(storedFields(t, st, id)["cookie"], &cookie))
				for key, want := range tt.want {
					got := string(cookie[key])
					if key != "expires" || want != "in 1h" {
						if got != want {
							t.Errorf("%s: got %s, want %s", key, got, want)
						}
						continue
					}
					var at time.Time
					must(t, json.Unmarshal(cookie[key], &at))
					if !strings.HasSuffix(got, `Z"`) || len(got) != 26 || at.Before(begun.Add(time.Hour-time.Millisecond)) || at.After(time.Now().Add(time.Hour)) {
						t.Errorf("expires: got %s, want an hour from now", got)
					}
				}
				tt.expiry = 0
			}
		})
	}
}

// ttlRecorder records the TTL of the last write.
type ttlRecorder struct {
	storage.Storage
	mu  sync.Mutex
	ttl time.Duration
}

func (s *ttlRecorder) CompareAndSwap(ctx context.Context, key string, old storage.Revision, val []byte, ttl time.Duration) (storage.Revision, error) {
	s.mu.Lock()
	s.ttl = ttl
	s.mu.Unlock()
	return s.Storage.CompareAndSwap(ctx, key, old, val, ttl)
}

func (s *ttlRecorder) last() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttl
}

// A value that express-session would not accept counts as no session, and is left
// unchanged.
func TestN7_ExpressNotASession(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"no cookie object":  `{"user":"ada"}`,
		"cookie is text":    `{"cookie":"yes"}`,
		"cookie is null":    `{"cookie":null}`,
		"a list":            `[{"cookie":{}}]`,
		"not JSON":          `cookie={}`,
		"truncated":         `{"cookie":{},"user":"ad`,
		"two values":        `{"cookie":{}} {"cookie":{}}`,
		"too large":         `{"cookie":{},"user":"` + strings.Repeat("a", 64*1024) + `"}`,
		"nested too deep":   `{"cookie":{},"user":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`,
		"a sealed envelope": "fbs\x02" + strings.Repeat("\x00", 120),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
			must(t, st.Set("sess:"+expressID, []byte(value), time.Hour))
			if h, err := s.GetByID(ctx, expressID); !errors.Is(err, fibersession.ErrNotFound) {
				t.Errorf("got a session with the keys %v (%v), want ErrNotFound", h.Keys(), err)
			}
			if got := s.Stats().Corrupt; got != 1 {
				t.Errorf("got Corrupt %d, want 1", got)
			}
			if data, _ := st.Get("sess:" + expressID); string(data) != value {
				t.Errorf("the value was changed to %q", data)
			}
		})
	}
}

// A change of a key that express-session reserves fails for the handle that made it.
// Changes by other handles are stored.
func TestN7_ExpressReservedKeys(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	h, other := expressSession(t, s, st, `{"cookie":{}}`), handleOf(t, s, expressID)
	for _, key := range []string{"cookie", "id", "req", "save", "__proto__", "constructor", "fiberbridge"} {
		h.Set(key, "x")
		if err := h.Save(ctx); !errors.Is(err, fibersession.ErrReservedKey) || !strings.Contains(err.Error(), key) {
			t.Errorf("Set of %q: got %v, want ErrReservedKey that names the key", key, err)
		}
		must(t, h.Reload(ctx))
		if _, err := h.Incr(ctx, key, 1); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Incr of %q: got %v, want ErrReservedKey", key, err)
		}
		if err := h.Update(ctx, func(tx *fibersession.Tx) error { tx.Delete(key); return nil }); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Delete of %q: got %v, want ErrReservedKey", key, err)
		}
	}
	other.Set("Cookie", "is another key")
	must(t, other.Save(ctx))
	if got := string(storedFields(t, st, expressID)["cookie"]); !strings.HasPrefix(got, "{") {
		t.Errorf("got the cookie object %s, want it unchanged", got)
	}
	plain := storedSession(t, newStore(t, fibersession.Config{}), map[string]any{"cookie": 1}) // without Express the key is not reserved
	if plain.Get("cookie") != 1 {
		t.Errorf("without Express: got cookie = %v, want 1", plain.Get("cookie"))
	}
}

// A session keeps its lineage when this package gives it a new ID, and all nodes know it. A
// lineage that was copied from another session is ignored.
func TestN7_ExpressLineage(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	cfg := expressConfig(fibersession.Config{Storage: st})
	one, two := newStore(t, cfg), newStore(t, cfg)
	h := expressSession(t, one, st, `{"cookie":{},"user":"ada"}`)
	name := h.Pseudonym("room")
	must(t, h.Regenerate(ctx))
	id := h.ID()
	if v, _ := st.Get("sess:" + expressID); v != nil || id == expressID {
		t.Errorf("the value under the old ID is still %q, or the ID did not change", v)
	}
	for range 2 {
		remote := handleOf(t, two, id)
		if remote.Pseudonym("room") != name || remote.Get("user") != "ada" {
			t.Error("another node sees another lineage or another user")
		}
		if got := strings.Join(remote.Keys(), " "); got != "user" && got != "n user" {
			t.Errorf("got the keys %q, want no field of ours", got)
		}
		remote.Set("n", 1)
		must(t, remote.Save(ctx))
	}
	must(t, h.Regenerate(ctx))
	if got := handleOf(t, two, h.ID()).Pseudonym("room"); got != name {
		t.Error("a second new ID changed the lineage")
	}

	mark := storedFields(t, st, h.ID())["fiberbridge"]
	if mark == nil {
		t.Fatal("the stored value has no field fiberbridge")
	}
	const otherID = "another-session-of-Express-00000"
	for _, mark := range []string{string(mark), `""`, `"x"`, `7`, `{}`, `"` + strings.Repeat("A", 43) + `"`} {
		must(t, st.Set("sess:"+otherID, []byte(`{"cookie":{},"user":"eve","fiberbridge":`+mark+`}`), time.Hour))
		got, err := one.GetByID(ctx, otherID)
		must(t, err)
		own := got.Pseudonym("room")
		must(t, got.Reload(ctx))
		must(t, got.Update(ctx, increment))
		if own == name || got.Pseudonym("room") != own {
			t.Errorf("the mark %s of another session was accepted", mark)
		}
		if left := storedFields(t, st, otherID)["fiberbridge"]; left != nil {
			t.Errorf("the mark %s was stored as %s, want it removed", mark, left)
		}
		got.Release()
	}
}

// If the value's own expiry is older than the storage's TTL, as after a touch by Express,
// the TTL counts. So a session that was destroyed is not reported as expired, and one that
// Express has just touched is not touched again.
func TestN7_ExpressLifetime(t *testing.T) {
	t.Parallel()
	st, err := storage.Open(redistest.Start(t).URL())
	must(t, err)
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	for name, cookie := range map[string]string{
		"no expiry":       `{"originalMaxAge":null,"expires":null}`,
		"outdated expiry": `{"originalMaxAge":7200000,"expires":"2001-01-01T00:00:00.000Z"}`,
	} {
		h := expressSession(t, s, st, `{"cookie":`+cookie+`}`) // TTL of an hour
		if left := time.Until(h.Deadline()); left > time.Hour || left < 59*time.Minute {
			t.Errorf("%s: got a deadline in %v, want the TTL of an hour", name, left)
		}
		must(t, h.Touch(ctx)) // the TTL says that the last touch was long ago
		if s.Stats().Touches == 0 {
			t.Errorf("%s: got no touch, want one", name)
		}
		before := s.Stats().Touches
		h.Release()
		h = handleOf(t, s, expressID)
		must(t, h.Touch(ctx))
		if got := s.Stats().Touches; got != before {
			t.Errorf("%s: touched again right after a touch", name)
		}
		must(t, st.Delete("sess:"+expressID)) // as Express does in destroy
		if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
			t.Errorf("%s: got %v, want ErrDestroyed", name, err)
		}
		h.Release()
	}
}
