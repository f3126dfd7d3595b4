package fibersession_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

// keySpy is a fiber.Storage that records all keys. It cannot list them.
type keySpy struct {
	mu   sync.Mutex
	data map[string][]byte
	keys map[string]bool
}

func (k *keySpy) Get(key string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key] = true
	return k.data[key], nil
}

func (k *keySpy) Set(key string, val []byte, _ time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key] = true
	k.data[key] = append([]byte(nil), val...)
	return nil
}

func (k *keySpy) Delete(key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key] = true
	delete(k.data, key)
	return nil
}

func (*keySpy) Reset() error { return nil }
func (*keySpy) Close() error { return nil }

// All keys are such that every storage must take them: printable ASCII, and with a prefix
// of 19 characters at most 64, which is all that postgres and mysql take. It does not
// depend on what users and browsers send.
func TestF7_KeysFitEveryStorage(t *testing.T) {
	t.Parallel()
	const prefix = "nineteen-characters"
	spy := &keySpy{data: map[string][]byte{}, keys: map[string]bool{}}
	st := storage.From(spy)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st, Prefix: prefix, UserKey: "user"})
	const user = "ada\x00 größe \xff"
	app := newApp(s, map[string]fiber.Handler{
		"/login":  func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login(user) },
		"/logout": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
		"/ticket": func(c *fiber.Ctx) error {
			ticket, err := s.Ticket(c, "http://example.com")
			if err != nil {
				return err
			}
			h, err := s.Redeem(c.UserContext(), ticket, "http://example.com")
			if err != nil {
				return err
			}
			defer h.Release()
			if err := h.Regenerate(c.UserContext()); err != nil {
				return err
			}
			_, err = h.CookieTicket(c.UserContext())
			return err
		},
	})
	b := newBrowser(t, app)
	b.cookies["__Host-session"], b.cookies["session"] = "../k", strings.Repeat("x", 500)
	visit := func(path string) {
		t.Helper()
		if r := b.get(path); r.status != fiber.StatusOK {
			t.Fatalf("%s: got status %d %s", path, r.status, r.body)
		}
	}
	for range 2 { // the second time after a Reset
		for _, path := range []string{"/login", "/ticket", "/logout", "/login"} {
			visit(path)
		}
		if devices, err := s.Devices(ctx, user); len(devices) == 0 || err != nil {
			t.Errorf("Devices = %v, %v, want some", devices, err)
		}
		if n, err := s.EndAll(ctx, user); n == 0 || err != nil {
			t.Errorf("EndAll = %d, %v, want some", n, err)
		}
		must(t, s.Reset())
	}
	kinds := map[string]bool{}
	for key := range spy.keys {
		if key == "fiberbridge|resets" {
			continue
		}
		kinds[key[:min(len(key), len(prefix)+2)]] = true
		printable := strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
		if len(key) > 64 || !printable || !strings.HasPrefix(key, prefix) {
			t.Errorf("the key %q has %d bytes, want at most 64 printable characters that begin with the prefix", key, len(key))
		}
	}
	if len(kinds) != 5 {
		t.Errorf("the test has seen the kinds of keys %v, want all five", kinds)
	}
}
