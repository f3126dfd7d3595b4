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

// What Express keeps is tested with Express itself in package socketbridge, rows N7.
// Here are the parts that need none.

// What nobody set here stays, to the digit; what was set is written as JSON.
func TestN7_ExpressValuesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
		h := expressSession(t, s, st, `{"cookie":{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z","priority":"high","made-up":[1.50]},
			"count":1e3,"float":0.10000000000000000555,"large":123456789012345678901234567890,"minus":-0,
			"nested":{"of":[9007199254740993.0,{"deep":null}]},"text":"\ud800 <&> \u2028","nothing":null,"":"no name"}`)
		before := storedFields(t, st, expressID)
		if got := strings.Join(h.Keys(), " "); got != " count float large minus nested nothing text" {
			t.Errorf("keys are %q", got)
		}
		for key, want := range map[string]any{"count": 1000, "float": 0.1, "nothing": nil, "": "no name"} {
			if got := h.Get(key); got != want {
				t.Errorf("%q is %#v, want %#v", key, got, want)
			}
		}
		h.Set("mine", []int64{1, 2})
		h.Set("count", 1000) // the same number
		must(t, h.Save(ctx))
		if _, err := h.Incr(ctx, "n", 7); err != nil {
			t.Fatal(err)
		}
		after := storedFields(t, st, expressID)
		for key, want := range before {
			if got := after[key]; key != "cookie" && string(got) != string(want) {
				t.Errorf("%q was %s and is %s", key, want, got)
			}
		}
		if string(after["mine"]) != "[1,2]" || string(after["n"]) != "7" || len(after) != len(before)+2 {
			t.Errorf("now there is %s", after)
		}
		must(t, h.Update(ctx, func(tx *fibersession.Tx) error { tx.Delete("large"); tx.Set("float", 2.5); return nil }))
		after = storedFields(t, st, expressID)
		if _, there := after["large"]; there || string(after["float"]) != "2.5" {
			t.Errorf("now there is %s", after)
		}
		if n, err := h.Incr(ctx, "count", 1); n != 1001 || err != nil {
			t.Errorf("Incr: %d, %v", n, err)
		}
		if _, err := h.Incr(ctx, "float", 1); !errors.Is(err, fibersession.ErrNotInteger) {
			t.Errorf("Incr of a fraction: %v", err)
		}
	})
}

// The cookie object says when the session ends, as express-session would, and keeps
// what else it has.
func TestN7_ExpressCookieObject(t *testing.T) {
	t.Parallel()
	type fields = map[string]string
	hour := fields{"originalMaxAge": "3600000", "expires": "in 1h", "path": `"/app"`, "odd": "[1.50]"}
	tests := map[string]struct {
		config  func(c *fibersession.Config)
		cookie  string // "": the session begins here
		expiry  time.Duration
		want    fields
		wantTTL time.Duration
	}{
		"a maxAge":              {cookie: `{"originalMaxAge":3600000,"expires":"2001-01-01T00:00:00.000Z","path":"/app","odd":[1.50]}`, want: hour, wantTTL: time.Hour},
		"none":                  {cookie: `{"originalMaxAge":null,"expires":null,"httpOnly":true}`, want: fields{"originalMaxAge": "null", "expires": "null", "httpOnly": "true"}, wantTTL: 24 * time.Hour},
		"nothing at all":        {cookie: `{}`, want: fields{"expires": "null"}, wantTTL: 24 * time.Hour},
		"none, and a ttl":       {config: func(c *fibersession.Config) { c.Expiration = 2 * time.Hour }, cookie: `{"originalMaxAge":null}`, want: fields{"originalMaxAge": "null", "expires": "null"}, wantTTL: 2 * time.Hour},
		"a senseless maxAge":    {cookie: `{"originalMaxAge":-5}`, want: fields{"originalMaxAge": "-5", "expires": "null"}, wantTTL: 24 * time.Hour},
		"a maxAge of ages":      {cookie: `{"originalMaxAge":1e300}`, want: fields{"originalMaxAge": "1e300"}, wantTTL: 400 * 24 * time.Hour},
		"SetExpiry":             {cookie: `{"originalMaxAge":60000}`, expiry: time.Hour, want: fields{"originalMaxAge": "3600000", "expires": "in 1h"}, wantTTL: time.Hour},
		"SetExpiry, and no age": {cookie: `{"originalMaxAge":null}`, expiry: time.Hour, want: fields{"originalMaxAge": "3600000", "expires": "in 1h"}, wantTTL: time.Hour},
		"of our own": {
			config:  func(c *fibersession.Config) { c.Expiration = time.Hour },
			want:    fields{"originalMaxAge": "3600000", "expires": "in 1h", "path": `"/"`, "httpOnly": "true", "secure": "true", "sameSite": `"lax"`},
			wantTTL: time.Hour,
		},
		"of our own, as configured": {
			config: func(c *fibersession.Config) {
				c.CookieSessionOnly, c.Cookie.Insecure, c.CookiePath, c.CookieDomain, c.CookieSameSite = true, true, "/a", "example.com", "Strict"
			},
			want:    fields{"originalMaxAge": "null", "expires": "null", "path": `"/a"`, "httpOnly": "true", "secure": "false", "sameSite": `"strict"`, "domain": `"example.com"`},
			wantTTL: 24 * time.Hour,
		},
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
			for round := range 2 { // what was written is read again by another node
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
					if tt.cookie != "" {
						must(t, st.Set("sess:"+expressID, []byte(`{"cookie":`+tt.cookie+`}`), time.Hour))
						b.cookies["connect.sid"] = s.CookieValue("connect.sid", expressID)
					}
				}
				b.app = app
				begun := time.Now()
				id := b.get("/").body
				if got := st.last(); got < tt.wantTTL-time.Since(begun) || got > tt.wantTTL {
					t.Errorf("kept for %v, want %v", got, tt.wantTTL)
				}
				var cookie map[string]json.RawMessage
				must(t, json.Unmarshal(storedFields(t, st, id)["cookie"], &cookie))
				for key, want := range tt.want {
					got := string(cookie[key])
					if key != "expires" || want != "in 1h" {
						if got != want {
							t.Errorf("%s is %s, want %s", key, got, want)
						}
						continue
					}
					var at time.Time
					must(t, json.Unmarshal(cookie[key], &at))
					if !strings.HasSuffix(got, `Z"`) || len(got) != 26 || at.Before(begun.Add(time.Hour-time.Millisecond)) || at.After(time.Now().Add(time.Hour)) {
						t.Errorf("expires is %s", got)
					}
				}
				tt.expiry = 0
			}
		})
	}
}

// ttls remembers for how long the last value was to be kept.
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

// What is no session of express-session's counts as none, and is left alone.
func TestN7_ExpressNotASession(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"no cookie":         `{"user":"ada"}`,
		"a cookie of text":  `{"cookie":"yes"}`,
		"a cookie of null":  `{"cookie":null}`,
		"a list":            `[{"cookie":{}}]`,
		"no JSON":           `cookie={}`,
		"cut off":           `{"cookie":{},"user":"ad`,
		"more than one":     `{"cookie":{}} {"cookie":{}}`,
		"too large":         `{"cookie":{},"user":"` + strings.Repeat("a", 64*1024) + `"}`,
		"nested too deep":   `{"cookie":{},"user":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`,
		"an envelope of us": "fbs\x01" + strings.Repeat("\x00", 120),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.New()
			defer func() { _ = st.Close() }()
			s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
			must(t, st.Set("sess:"+expressID, []byte(value), time.Hour))
			if h, err := s.GetByID(ctx, expressID); !errors.Is(err, fibersession.ErrNotFound) {
				t.Errorf("it is a session with %v (%v)", h.Keys(), err)
			}
			if got := s.Stats().Corrupt; got != 1 {
				t.Errorf("%d counted", got)
			}
			if data, _ := st.Get("sess:" + expressID); string(data) != value {
				t.Errorf("now there is %q", data)
			}
		})
	}
}

// A key of express-session's own is refused by whoever sets it, and the others'
// changes are not.
func TestN7_ExpressReservedKeys(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	h, other := expressSession(t, s, st, `{"cookie":{}}`), handleOf(t, s, expressID)
	for _, key := range []string{"cookie", "id", "req", "save", "__proto__", "constructor", "fiberbridge"} {
		h.Set(key, "x")
		if err := h.Save(ctx); !errors.Is(err, fibersession.ErrReservedKey) || !strings.Contains(err.Error(), key) {
			t.Errorf("Set of %q: %v", key, err)
		}
		must(t, h.Reload(ctx))
		if _, err := h.Incr(ctx, key, 1); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Incr of %q: %v", key, err)
		}
		if err := h.Update(ctx, func(tx *fibersession.Tx) error { tx.Delete(key); return nil }); !errors.Is(err, fibersession.ErrReservedKey) {
			t.Errorf("Delete of %q: %v", key, err)
		}
	}
	other.Set("Cookie", "is another key")
	must(t, other.Save(ctx))
	if got := string(storedFields(t, st, expressID)["cookie"]); !strings.HasPrefix(got, "{") {
		t.Errorf("the cookie is %s", got)
	}
	plain := storedSession(t, newStore(t, fibersession.Config{}), map[string]any{"cookie": 1}) // without Express it is a key like any
	if plain.Get("cookie") != 1 {
		t.Error("without Express it is refused")
	}
}

// A session keeps its lineage when it gets a new ID here, on all nodes; what is copied
// into another session says nothing there.
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
		t.Errorf("the old ID is in the store: %q", v)
	}
	for range 2 {
		far := handleOf(t, two, id)
		if far.Pseudonym("room") != name || far.Get("user") != "ada" {
			t.Error("another node takes it for another session")
		}
		if got := strings.Join(far.Keys(), " "); got != "user" && got != "n user" {
			t.Errorf("keys are %q", got)
		}
		far.Set("n", 1)
		must(t, far.Save(ctx))
	}
	must(t, h.Regenerate(ctx))
	if got := handleOf(t, two, h.ID()).Pseudonym("room"); got != name {
		t.Error("after a second ID it is another session")
	}

	mark := storedFields(t, st, h.ID())["fiberbridge"]
	if mark == nil {
		t.Fatal("there is no mark: the test tests nothing")
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
			t.Errorf("the mark %s of another session counts", mark)
		}
		if left := storedFields(t, st, otherID)["fiberbridge"]; left != nil {
			t.Errorf("the mark %s is kept as %s", mark, left)
		}
		got.Release()
	}
}

// What the store says of a session's end counts where its value is behind, as it is
// after Express touched it: so a session that was ended is not taken for one that
// expired, and one that was touched just now is not touched again.
func TestN7_ExpressLifetime(t *testing.T) {
	t.Parallel()
	st, err := storage.Open(redistest.Start(t).URL())
	must(t, err)
	defer func() { _ = st.Close() }()
	s := newStore(t, expressConfig(fibersession.Config{Storage: st}))
	for name, cookie := range map[string]string{
		"none":   `{"originalMaxAge":null,"expires":null}`,
		"behind": `{"originalMaxAge":7200000,"expires":"2001-01-01T00:00:00.000Z"}`,
	} {
		h := expressSession(t, s, st, `{"cookie":`+cookie+`}`) // for an hour
		if left := time.Until(h.Deadline()); left > time.Hour || left < 59*time.Minute {
			t.Errorf("%s: it ends in %v", name, left)
		}
		must(t, h.Touch(ctx)) // of 2 hours, or a day, one is left: that is long since
		if s.Stats().Touches == 0 {
			t.Errorf("%s: it was not touched", name)
		}
		before := s.Stats().Touches
		h.Release()
		h = handleOf(t, s, expressID)
		must(t, h.Touch(ctx))
		if got := s.Stats().Touches; got != before {
			t.Errorf("%s: it is touched again", name)
		}
		must(t, st.Delete("sess:"+expressID)) // as Express does
		if err := h.Reload(ctx); !errors.Is(err, fibersession.ErrDestroyed) {
			t.Errorf("%s: %v", name, err)
		}
		h.Release()
	}
}
