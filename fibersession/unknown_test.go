package fibersession_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Only the newer of two builds has these types.
type (
	newProfile struct {
		Name string
		Tags []string
	}
	newUserID string
	// newSecret hides its content from gob, and thereby from a build without the type.
	newSecret string
)

func (s newSecret) GobEncode() ([]byte, error)   { return []byte(s), nil }
func (s *newSecret) GobDecode(data []byte) error { *s = newSecret(data); return nil }

// olderType and newerType return a value of a type that has one name in two builds, and whose
// fields differ.
func olderType(name string) any {
	type evolving struct{ Name string }
	return evolving{name}
}

func newerType(name string, age int) any {
	type evolving struct {
		Name string
		Age  int
	}
	return evolving{name, age}
}

func incompatibleType(name int) any {
	type evolving struct{ Name int }
	return evolving{name}
}

// codecWith returns the codec of a build that has the types of these values.
func codecWith(types ...any) *fibersession.Typed {
	c := new(fibersession.Typed)
	for _, v := range types {
		c.Register(v)
	}
	return c
}

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// onTwoBuilds runs test with stores of a newer and an older build on one storage: in memory, and
// on Redis. log is the older one's.
func onTwoBuilds(t *testing.T, newer, older *fibersession.Typed, limits fibersession.Limits, test func(t *testing.T, newer, older *fibersession.Store, log *lockedBuffer)) {
	t.Helper()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		cfg := fibersession.Config{Storage: st, UserKey: "user", Timeouts: fibersession.Timeouts{Storage: waitLimit}}
		t.Run("builds", func(t *testing.T) { // the stores close before their storage
			log := new(lockedBuffer)
			cfgOld := cfg
			cfg.Codec, cfgOld.Codec = newer, older
			cfgOld.Logger, cfgOld.Limits = slog.New(slog.NewTextHandler(log, nil)), limits
			test(t, newStore(t, cfg), newStore(t, cfgOld), log)
		})
	})
}

// F6: a value of a type that a node does not know costs that value alone. The session, its
// watchers and its place among the user's devices stay, and the value outlives all that the node
// does to the session.
func TestF6_UnknownTypeCostsThatValueAlone(t *testing.T) {
	t.Parallel()
	profile := newProfile{"Ada", []string{"x"}}
	limits := fibersession.Limits{MaxKeys: 6, MaxSize: 2048}
	onTwoBuilds(t, codecWith(newProfile{}), codecWith(), limits, func(t *testing.T, newer, older *fibersession.Store, log *lockedBuffer) {
		hn := loggedIn(t, newer, "ada")
		for key, v := range map[string]any{"profile": profile, "list": []any{1, profile}, "n": 1, "text": "hi"} {
			hn.Set(key, v)
		}
		must(t, hn.Save(ctx))
		ho := handleOf(t, older, hn.ID())
		var events *eventRecorder
		waitForSubscription(t, older, func() { events = recordEvents(t, ho) })

		if ho.Get("profile") != nil || ho.Get("list") != nil || ho.Get("text") != "hi" || ho.Err() != nil {
			t.Errorf("got profile %v, list %v, text %v and %v; want nil, nil, hi and nil", ho.Get("profile"), ho.Get("list"), ho.Get("text"), ho.Err())
		}
		if want := []string{"list", "n", "profile", "text", "user"}; !slices.Equal(ho.Keys(), want) {
			t.Errorf("got the keys %q, want %q", ho.Keys(), want)
		}
		if _, err := fibersession.Value[map[string]any](ho, "profile"); !errors.Is(err, fibersession.ErrType) || !strings.Contains(err.Error(), "newProfile") {
			t.Errorf("Value: got %v, want ErrType that names the type", err)
		}
		if _, there, err := fibersession.Lookup[any](ho, "list"); there || !errors.Is(err, fibersession.ErrType) {
			t.Errorf("Lookup: got %v, %v; want ErrType", there, err)
		}
		if _, err := ho.Incr(ctx, "profile", 1); !errors.Is(err, fibersession.ErrNotInteger) {
			t.Errorf("Incr of the value: got %v, want ErrNotInteger", err)
		}

		// Whatever the older node does to the session, the newer one still has the values.
		inTact := func(after string) {
			t.Helper()
			if !reflect.DeepEqual(hn.Get("profile"), profile) || !reflect.DeepEqual(hn.Get("list"), []any{1, profile}) {
				t.Errorf("after %s: the newer node got %#v and %#v", after, hn.Get("profile"), hn.Get("list"))
			}
		}
		if n, err := ho.Incr(ctx, "n", 1); n != 2 || err != nil {
			t.Errorf("Incr of another key: got %d, %v; want 2", n, err)
		}
		must(t, ho.Update(ctx, func(tx *fibersession.Tx) error {
			if tx.Get("profile") != nil || len(tx.Keys()) != 5 {
				t.Errorf("in an Update: got profile %v and the keys %q", tx.Get("profile"), tx.Keys())
			}
			tx.Set("text", "ho")
			return nil
		}))
		must(t, hn.Reload(ctx))
		inTact("Incr and Update")
		must(t, ho.Regenerate(ctx))
		must(t, hn.Reload(ctx))
		inTact("Regenerate")
		if list, err := ho.Devices(ctx); err != nil || len(list) != 1 || !list[0].Current {
			t.Errorf("Devices on the older node: got %+v, %v; want this session", list, err)
		}
		if list, err := newer.Devices(ctx, "ada"); err != nil || len(list) != 1 {
			t.Errorf("Devices on the newer node: got %+v, %v; want this session", list, err)
		}

		// Limits count the values: MaxKeys is 6, and one of MaxSize's 2,048 bytes is too many.
		ho.Set("a", 1)
		ho.Set("b", 1)
		if err := ho.Save(ctx); !errors.Is(err, fibersession.ErrTooManyKeys) {
			t.Errorf("Save of two more keys: got %v, want ErrTooManyKeys", err)
		}
		must(t, ho.Reload(ctx))
		ho.Set("text", strings.Repeat("x", 1900))
		if err := ho.Save(ctx); !errors.Is(err, fibersession.ErrTooLarge) {
			t.Errorf("Save of 1,900 bytes more: got %v, want ErrTooLarge", err)
		}
		must(t, ho.Reload(ctx))

		// Events of the older node's watcher: other keys when they change, the value when its bytes do.
		hn.Set("n", 50)
		must(t, hn.Save(ctx))
		waitForKeys(t, events, "n")
		hn.Set("profile", newProfile{Name: "Bea"})
		must(t, hn.Save(ctx))
		waitForKeys(t, events, "profile")

		ho.Set("profile", "mine")
		ho.Delete("list")
		must(t, ho.Save(ctx))
		must(t, hn.Reload(ctx))
		if hn.Get("profile") != "mine" || slices.Contains(hn.Keys(), "list") {
			t.Errorf("after Set and Delete: the newer node got %v and the keys %q", hn.Get("profile"), hn.Keys())
		}
		if s := older.Stats(); s.Corrupt != 0 || s.Unknown == 0 || s.Notices["session_value_unknown"] != s.Unknown {
			t.Errorf("got Corrupt %d and Unknown %d, want 0 and more than 0", s.Corrupt, s.Unknown)
		}
		for _, key := range []string{"profile", "list"} {
			if n := strings.Count(log.String(), "key="+key+" type=github.com/fiberbridge/fiberbridge/fibersession_test.newProfile"); n != 1 {
				t.Errorf("got %d log lines for %s, want 1 in:\n%s", n, key, log)
			}
		}
		if strings.Contains(log.String(), ho.ID()) || strings.Contains(log.String(), "Ada") {
			t.Errorf("the log has an ID or a value:\n%s", log)
		}
		must(t, hn.Destroy(ctx))
		events.nextOfKind(fibersession.Ended)
	})
}

// waitForKeys waits for the event that key changed. It fails the test if the session ended, or if
// an event names a value that this node does not know and that did not change.
func waitForKeys(t *testing.T, rec *eventRecorder, key string) {
	t.Helper()
	for {
		e := rec.nextEvent()
		switch {
		case e.Kind == fibersession.Ended:
			t.Fatalf("the session ended: %v", e.Cause)
		case e.Kind == fibersession.Changed && slices.Contains(e.Keys, "list"),
			e.Kind == fibersession.Changed && key != "profile" && slices.Contains(e.Keys, "profile"):
			t.Errorf("got an event of %q, although only %s changed", e.Keys, key)
		case e.Kind == fibersession.Changed && slices.Contains(e.Keys, key):
			return
		}
	}
}

// F6: fields that only a newer build has survive what an older build does to the session.
func TestF6_ChangedType(t *testing.T) {
	t.Parallel()
	onTwoBuilds(t, codecWith(newerType("", 0)), codecWith(olderType("")), fibersession.Limits{}, func(t *testing.T, newer, older *fibersession.Store, log *lockedBuffer) {
		hn := storedSession(t, newer, map[string]any{"profile": newerType("Ada", 36), "n": 1})
		ho := handleOf(t, older, hn.ID())
		if got := ho.Get("profile"); got != olderType("Ada") {
			t.Errorf("the older node got %#v, want the field that it knows", got)
		}
		if _, err := ho.Incr(ctx, "n", 1); err != nil {
			t.Error(err)
		}
		must(t, ho.Regenerate(ctx))
		must(t, hn.Reload(ctx))
		if got := hn.Get("profile"); got != newerType("Ada", 36) || hn.Get("n") != 2 {
			t.Errorf("after changes of the older node: the newer one got %#v, want both fields", got)
		}
		ho.Set("profile", olderType("Bea"))
		must(t, ho.Save(ctx))
		must(t, hn.Reload(ctx))
		if got := hn.Get("profile"); got != newerType("Bea", 0) {
			t.Errorf("after Set on the older node: the newer one got %#v", got)
		}
		if log.String() != "" {
			t.Errorf("got the log %q, want none", log)
		}
	})
	onTwoBuilds(t, codecWith(newerType("", 0)), codecWith(incompatibleType(0)), fibersession.Limits{}, func(t *testing.T, newer, older *fibersession.Store, log *lockedBuffer) {
		hn := storedSession(t, newer, map[string]any{"profile": newerType("Ada", 36), "n": 1})
		ho := handleOf(t, older, hn.ID())
		if _, err := ho.Incr(ctx, "n", 1); err != nil || ho.Get("profile") != nil {
			t.Errorf("a type with an incompatible field: got %v and %v, want nil and nil", ho.Get("profile"), err)
		}
		must(t, hn.Reload(ctx))
		if got := hn.Get("profile"); got != newerType("Ada", 36) {
			t.Errorf("after a change of the older node: the newer one got %#v", got)
		}
	})
}

// F6: a user whose ID is of an unknown type stays the user on every node.
func TestF6_UserOfUnknownType(t *testing.T) {
	t.Parallel()
	onTwoBuilds(t, codecWith(newUserID("")), codecWith(), fibersession.Limits{}, func(t *testing.T, newer, older *fibersession.Store, _ *lockedBuffer) {
		hn := newSession(t, newer)
		must(t, hn.Login(ctx, newUserID("ada")))
		second := newSession(t, newer)
		must(t, second.Login(ctx, newUserID("ada")))
		ho := handleOf(t, older, hn.ID())
		if ho.User() != "ada" {
			t.Errorf("got the user %q, want ada", ho.User())
		}
		must(t, ho.Regenerate(ctx))
		if list, err := ho.Devices(ctx); err != nil || len(list) != 2 {
			t.Errorf("Devices: got %+v, %v; want 2", list, err)
		}
		if n, err := ho.EndOthers(ctx); err != nil || n != 1 || !hasEnded(second) {
			t.Errorf("EndOthers: got %d, %v; want 1", n, err)
		}
		must(t, ho.Logout(ctx))
		must(t, hn.Reload(ctx))
		if hn.User() != "" || hn.Get("user") != nil {
			t.Errorf("after Logout: got the user %q", hn.User())
		}
		if n, err := newer.EndAll(ctx, "ada"); err != nil || n != 0 {
			t.Errorf("EndAll after Logout: got %d, %v; want 0", n, err)
		}
	})
}

// F6: if not even the user can be read, the index counts: the session is listed and ended. It
// gets no new ID, which the index could not follow.
func TestF6_UnreadableUser(t *testing.T) {
	t.Parallel()
	onTwoBuilds(t, codecWith(newSecret("")), codecWith(), fibersession.Limits{}, func(t *testing.T, newer, older *fibersession.Store, _ *lockedBuffer) {
		hn := newSession(t, newer)
		must(t, hn.Login(ctx, newSecret("ada")))
		ho := handleOf(t, older, hn.ID())
		if list, err := older.Devices(ctx, "ada"); err != nil || len(list) != 1 || ho.User() != "" {
			t.Errorf("Devices: got %+v, %v and the user %q; want 1 and none", list, err, ho.User())
		}
		if err := ho.Regenerate(ctx); !errors.Is(err, fibersession.ErrType) {
			t.Errorf("Regenerate: got %v, want ErrType", err)
		}
		if n, err := ho.Incr(ctx, "n", 1); n != 1 || err != nil {
			t.Errorf("Incr: got %d, %v; want 1", n, err)
		}
		if n, err := older.EndAll(ctx, "ada"); err != nil || n != 1 || !hasEnded(hn) {
			t.Errorf("EndAll: got %d, %v; want 1", n, err)
		}
	})
}

type builtinValue struct{ Name string }

// F6: with Builtin, a value of a type that is not registered with gob costs that value alone, and
// Fiber's middleware of a build that has the type still decodes it.
func TestF6_BuiltinUnknownType(t *testing.T) {
	t.Parallel()
	gob.Register(builtinValue{})
	gob.Register(profile{})
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Builtin: true})
	h := storedSession(t, s, map[string]any{"v": builtinValue{"Ada"}, "p": profile{"known"}, "n": 1})
	id := h.ID()
	const known, gone = "fibersession_test.builtinValue", "fibersession_test.removedValue"
	swap := func(from, to string) {
		t.Helper()
		v := storedValue(t, st, s.StoreKey(id))
		if !bytes.Contains(v, []byte(from)) {
			t.Fatalf("the stored value has no type %s", from)
		}
		must(t, st.Set(s.StoreKey(id), bytes.ReplaceAll(v, []byte(from), []byte(to)), time.Hour))
	}
	swap(known, gone)
	must(t, h.Reload(ctx))
	if h.Get("v") != nil || h.Get("p") != (profile{"known"}) || len(h.Keys()) != 3 {
		t.Errorf("got v = %v, p = %v and the keys %q", h.Get("v"), h.Get("p"), h.Keys())
	}
	if n, err := h.Incr(ctx, "n", 1); n != 2 || err != nil {
		t.Errorf("Incr: got %d, %v; want 2", n, err)
	}
	h.Set("new", profile{"new"})
	must(t, h.Save(ctx))
	must(t, h.Regenerate(ctx))
	id = h.ID()
	swap(gone, known)
	var got map[string]any // as Fiber decodes it
	must(t, gob.NewDecoder(bytes.NewReader(storedValue(t, st, s.StoreKey(id)))).Decode(&got))
	want := map[string]any{"v": builtinValue{"Ada"}, "p": profile{"known"}, "n": 2, "new": profile{"new"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

// F6: a request of an older build that only reads a value leaves it as the newer build stored it.
func TestF6_ReadingInARequest(t *testing.T) {
	t.Parallel()
	newer := func(tags []string, age int) any {
		type tagged struct {
			Tags []string
			Age  int
		}
		return tagged{tags, age}
	}
	type tagged struct{ Tags []string }
	onTwoBuilds(t, codecWith(newer(nil, 0)), codecWith(tagged{}), fibersession.Limits{}, func(t *testing.T, newerStore, older *fibersession.Store, _ *lockedBuffer) {
		h := storedSession(t, newerStore, map[string]any{"profile": newer([]string{"x"}, 36), "n": 1})
		b := newBrowser(t, newApp(older, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			p, err := fibersession.Value[tagged](sess, "profile")
			if err != nil || len(p.Tags) != 1 || len(sess.Get("profile").(tagged).Tags) != 1 {
				t.Errorf("got %+v, %v; want one tag", p, err)
			}
			if c.Query("change") != "" {
				p.Tags[0] = "changed" // as in Fiber, Handler stores it
			}
			_, err = sess.Incr("n", 1)
			return err
		}}))
		b.cookies["__Host-session"] = h.ID()
		b.get("/")
		must(t, h.Reload(ctx))
		if got, want := h.Get("profile"), newer([]string{"x"}, 36); !reflect.DeepEqual(got, want) {
			t.Errorf("after a read: got %#v, want %#v", got, want)
		}
		b.get("/?change=1")
		must(t, h.Reload(ctx))
		if got, want := h.Get("profile"), newer([]string{"changed"}, 0); !reflect.DeepEqual(got, want) || h.Get("n") != 3 {
			t.Errorf("after a change: got %#v and n = %v, want %#v and 3", got, h.Get("n"), want)
		}
	})
}
