package fibersession_test

import (
	"bytes"
	"encoding/gob"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
)

// someUUID is an ID as Fiber makes them.
const someUUID = "0b2c0f9e-6c35-4bd5-8a86-3f1f3a0c9d11"

// gobOf encodes v as Fiber encodes the map of a session.
func gobOf(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, gob.NewEncoder(&b).Encode(v))
	return b.Bytes()
}

// A value under a key with the syntax of an ID that is not exactly a session of Fiber's is no
// login. It stays as it is, and the response sets no cookie.
func TestF3_HostileValues(t *testing.T) {
	t.Parallel()
	login := gobOf(t, map[string]any{"user": "ada", "account": oldAccount{"Ada", nil}})
	values := map[string][]byte{
		"csrf token":            []byte("+"),
		"idempotency response":  append([]byte("\x83\xa1s\xcc\xc8\xa1h\x80\xa1b"), login...),
		"JSON":                  []byte(`{"user":"ada"}`),
		"gob of a struct":       gobOf(t, oldAccount{"ada", nil}),
		"gob of strings":        gobOf(t, map[string]string{"user": "ada"}),
		"gob of a list":         gobOf(t, []any{"user", "ada"}),
		"gob of numbered keys":  gobOf(t, map[int]any{1: "ada"}),
		"gob of a string":       gobOf(t, "ada"),
		"gob, then more":        append(bytes.Clone(login), '+'),
		"two sessions":          append(bytes.Clone(login), login...),
		"a length of 2^63":      append([]byte("\xf8\x7f\xff\xff\xff\xff\xff\xff\xff"), login...),
		"larger than a session": gobOf(t, map[string]any{"user": "ada", "fill": strings.Repeat("x", 64*1024)}),
		"text before":           append([]byte("PK"), login...),
	}
	for i := range login {
		if i > 0 {
			values["cut off after "+string(rune('0'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10))] = login[:i]
		}
	}
	st := memoryUntil(t)
	s := newStore(t, fibersession.Config{Storage: st})
	app := newAppOf(s)
	h := storedSession(t, s, map[string]any{"user": "ada"})
	values["a session of this package"] = storedValue(t, st, s.StoreKey(h.ID()))
	other := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
	wantUser(t, comesWith(t, app, other), "/", "ada")
	values["the note of another ID"] = storedValue(t, st, other)
	taken := s.Stats().TakenOver

	for name, value := range values {
		must(t, st.Set(someUUID, value, 0))
		for range 2 {
			if res := comesWith(t, app, someUUID).get("/"); res.status != 200 || res.body != "" || len(res.set) != 0 {
				t.Errorf("%s: got status %d, user %q and cookies %v, want 200, none and none", name, res.status, res.body, res.set)
			}
		}
		if got := storedValue(t, st, someUUID); !bytes.Equal(got, value) {
			t.Errorf("%s: the value was changed to %q", name, got)
		}
	}
	if n := s.Stats().TakenOver - taken; n != 0 {
		t.Errorf("%d takeovers, want none", n)
	}
	must(t, st.Set(someUUID, login, 0)) // the same with the session itself
	wantUser(t, comesWith(t, app, someUUID), "/", "ada")
}

// Only a key with exactly the syntax of the app's IDs is read, and no key of this package's.
func TestF3_HostileKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg fibersession.Config
		ids []string
	}{
		"UUIDs": {ids: []string{
			strings.ToUpper(someUUID), "{" + someUUID + "}", "urn:uuid:" + someUUID, strings.ReplaceAll(someUUID, "-", ""),
			someUUID[:14] + "1" + someUUID[15:], someUUID[:14] + "7" + someUUID[15:], someUUID[:19] + "7" + someUUID[20:],
			someUUID[:35], someUUID + "0", someUUID[:35] + "g", someUUID[:8] + "0" + someUUID[9:],
			"fiberbridge:s:" + strings.Repeat("a", 22), strings.Repeat("a", 43), strings.Repeat("a", 36), "../" + someUUID, "*", strings.Repeat("a", 3000),
			"127.0.0.1",
		}},
		"IDs of a KeyGenerator": {
			cfg: fibersession.Config{Prefix: "app.", KeyGenerator: func() string { return strings.Repeat("k", 20) }},
			ids: []string{"app.s." + strings.Repeat("a", 20), strings.Repeat("a", 15), strings.Repeat("a", 129), strings.Repeat("a", 19) + ":", "127.0.0.1"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memoryUntil(t)
			var mu sync.Mutex
			var read []string
			tt.cfg.Storage = faulty.New(st, func(c faulty.Call) faulty.Fault {
				mu.Lock()
				defer mu.Unlock()
				read = append(read, c.Key)
				return faulty.Fault{}
			})
			app := newAppOf(newStore(t, tt.cfg))
			login := gobOf(t, map[string]any{"user": "ada"})
			for _, id := range tt.ids {
				must(t, st.Set(id, login, 0))
				if res := comesWith(t, app, id).get("/"); res.body != "" || len(res.set) != 0 {
					t.Errorf("ID %.60q: got user %q and cookies %v, want none", id, res.body, res.set)
				}
				if slices.Contains(read, id) {
					t.Errorf("ID %.60q reached the storage", id)
				}
			}
		})
	}
}

// An unknown old ID costs one read and nothing else. A request without one costs none.
func TestF3_Cost(t *testing.T) {
	t.Parallel()
	st := faulty.New(memoryUntil(t), nil)
	app := newAppOf(newStore(t, fibersession.Config{Storage: st}))
	for want, id := range []string{"", someUUID} {
		before := st.Calls()
		if res := comesWith(t, app, id).get("/"); res.status != 200 || len(res.set) != 0 {
			t.Errorf("old ID %q: got status %d and cookies %v, want 200 and none", id, res.status, res.set)
		}
		if got := st.Calls() - before; got != want {
			t.Errorf("old ID %q: %d calls of the storage, want %d", id, got, want)
		}
	}
}

// An attacker plants the ID of an old session of theirs in a victim's browser. When the victim
// logs in, the attacker has neither the login nor a session that leads to it, whenever the
// attacker comes.
func TestF3_PlantedOldID(t *testing.T) {
	t.Parallel()
	for _, attackerFirst := range []bool{false, true} {
		st := memoryUntil(t)
		s := newStore(t, fibersession.Config{Storage: st, UserKey: "user"})
		app := newAppOf(s)
		app.Get("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login("victim") })
		planted := oldLogin(t, st, session.Config{}, map[string]any{"cart": 1})
		attacker, victim := comesWith(t, app, planted), comesWith(t, app, planted)
		if attackerFirst {
			wantUser(t, attacker, "/", "")
		}
		if res := victim.get("/login"); res.status != 200 {
			t.Fatalf("the login got status %d", res.status)
		}
		wantUser(t, victim, "/", "victim")
		wantUser(t, attacker, "/", "")
		wantUser(t, comesWith(t, app, planted), "/", "")
	}
}

// The note of a used old ID does not hold the new ID in the clear, and opens with no other ID.
func TestF3_NoteHoldsNoID(t *testing.T) {
	t.Parallel()
	st := memoryUntil(t)
	app := newAppOf(newStore(t, fibersession.Config{Storage: st}))
	id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
	b := comesWith(t, app, id)
	wantUser(t, b, "/", "ada")
	note := storedValue(t, st, id)
	if bytes.Contains(note, []byte(b.session())) {
		t.Error("the note has the new ID in the clear")
	}
	for i := range note {
		bad := bytes.Clone(note)
		bad[i] ^= 1
		must(t, st.Set(id, bad, 0))
		wantUser(t, comesWith(t, app, id), "/", "")
	}
}

// Whatever bytes are stored under an old ID: a request with that ID gets an answer, and either a
// session or a value that was left alone.
func FuzzOldLogin(f *testing.F) {
	f.Add(gobOf(f, map[string]any{"user": "ada", "n": 1, "list": []int{1}, "account": oldAccount{"Ada", []string{"x"}}}))
	f.Add(gobOf(f, map[string]any{}))
	f.Add(gobOf(f, map[string]string{"user": "ada"}))
	f.Add([]byte("+"))
	f.Add([]byte("fbo\x01" + strings.Repeat("\x00", 60)))
	f.Add([]byte("\x0c\xff\x81\x04\x01\x02\xff\x82\x00\x01\x0c\x01\x10\x00\x00"))
	var st storage.Storage = memoryUntil(f)
	s := newStore(f, fibersession.Config{Storage: st, UserKey: "user"})
	app := newAppOf(s)
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) == 0 {
			return
		}
		must(t, st.Set(someUUID, value, 0))
		b := comesWith(t, app, someUUID)
		res := b.get("/")
		if res.status != 200 {
			t.Fatalf("got status %d", res.status)
		}
		if b.session() == "" {
			if got := storedValue(t, st, someUUID); !bytes.Equal(got, value) || res.body != "" {
				t.Fatalf("no session, but user %q, and the value became %q", res.body, got)
			}
			return
		}
		wantUser(t, b, "/", res.body)
		b.get("/out")
		wantUser(t, comesWith(t, app, someUUID), "/", "")
	})
}

// An old login that was taken over on https is not there on plain http, where its old cookie
// could have been read on the way, and the other way round. The note stays for the one that it
// was made for.
func TestF3_OldIDOverHTTPAndHTTPS(t *testing.T) {
	t.Parallel()
	for _, plainFirst := range []bool{false, true} {
		st := memoryUntil(t)
		s := newStore(t, fibersession.Config{Storage: st})
		app := newAppOf(s)
		id := oldLogin(t, st, session.Config{}, map[string]any{"user": "ada"})
		first, second, again := comesWith(t, app, id), comesWith(t, app, id), comesWith(t, app, id)
		first.plain, second.plain, again.plain = plainFirst, !plainFirst, plainFirst
		wantUser(t, first, "/", "ada")
		if res := wantUser(t, second, "/", ""); len(res.set) != 0 {
			t.Errorf("plain http first: %v: the other one sets the cookies %v, want none", plainFirst, res.set)
		}
		wantUser(t, again, "/", "ada")
		wantUser(t, first, "/", "ada")
		if n := s.Stats().Crossed; n != 1 {
			t.Errorf("plain http first: %v: Stats.Crossed is %d, want 1", plainFirst, n)
		}
	}
}
