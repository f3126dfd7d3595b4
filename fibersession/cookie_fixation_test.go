package fibersession_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Only the store creates IDs, and it reads them only from the configured cookie. Any other
// ID that a request brings is neither used, stored nor sent back; the visitor gets a new
// one.
func TestFixation(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if sess.Get("user") != nil || !sess.Fresh() {
			t.Errorf("got user %v and Fresh %v, want a new session", sess.Get("user"), sess.Fresh())
		}
		sess.Set("n", 1)
		return nil
	}})
	victim := storedSession(t, s, map[string]any{"user": "alice"})
	good, evil := victim.ID(), strings.Repeat("e", 43)
	tests := map[string]struct {
		target string
		cookie []string // Cookie headers
		header [2]string
		asked  bool // the value has the form of an ID, so the store may be asked
	}{
		"an unknown ID":                     {cookie: []string{"__Host-session=" + evil}, asked: true},
		"in the query":                      {target: "?session=" + good + "&__Host-session=" + good + "&session_id=" + good},
		"in a header":                       {header: [2]string{"X-Session", good}},
		"under the name without its prefix": {cookie: []string{"session=" + good}},
		"under Fiber's name":                {cookie: []string{"session_id=" + good}},
		"two cookies":                       {cookie: []string{"__Host-session=" + good + "; __Host-session=" + evil}},
		"two cookies, the unknown ID first": {cookie: []string{"__Host-session=" + evil + "; __Host-session=" + good}},
		"two cookies, one empty":            {cookie: []string{"__Host-session=; __Host-session=" + good}},
		"two Cookie headers":                {cookie: []string{"__Host-session=" + good, "__Host-session=" + evil}},
		"three cookies, two alike":          {cookie: []string{"__Host-session=" + good + "; __Host-session=" + evil + "; __Host-session=" + good}},
		"the name in upper case":            {cookie: []string{"__HOST-SESSION=" + good}},
		"a key of the store":                {cookie: []string{"__Host-session=" + s.StoreKey(good)}},
		"the hash of an ID":                 {cookie: []string{"__Host-session=" + strings.TrimPrefix(s.StoreKey(good), "fiberbridge:s:")}, asked: true},
		"with a space inside":               {cookie: []string{"__Host-session=" + good[:20] + " " + good[20:]}},
		"percent-encoded":                   {cookie: []string{"__Host-session=%41" + good[1:]}},
		"one character longer":              {cookie: []string{"__Host-session=" + good + "A"}},
		"a path":                            {cookie: []string{"__Host-session=../../../../../../../../../../../etc/passwdxx"}},
		"a key of another application":      {cookie: []string{"__Host-session=cache_/u/42"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest("GET", "/"+tt.target, nil)
			for _, c := range tt.cookie {
				req.Header.Add("Cookie", c)
			}
			if tt.header[0] != "" {
				req.Header.Set(tt.header[0], tt.header[1])
			}
			req.Header.Set("X-Forwarded-Proto", "https")
			before := s.Stats().Loads
			res, err := app.Test(req, -1)
			must(t, err)
			if res.StatusCode == 400 { // net/http cannot parse it as a request
				return
			}
			if loads := s.Stats().Loads - before; loads > 0 && !tt.asked {
				t.Errorf("got %d loads, want none", loads)
			}
			set := slices.DeleteFunc(res.Cookies(), func(c *http.Cookie) bool { return c.Value == "" }) // which removes one of two cookies
			if len(set) != 1 || set[0].Value == good || set[0].Value == evil || len(set[0].Value) != 43 {
				t.Fatalf("got %d cookies, want 1 with a new ID: %v", len(set), set)
			}
			if sessionIsStored(t, st, s, evil) {
				t.Error("the ID that the request brought is in the storage")
			}
		})
	}
	// The same cookie twice counts as one.
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("Cookie", "__Host-session="+evil+"; __Host-session="+evil)
	req.Header.Set("X-Forwarded-Proto", "https")
	if _, err := app.Test(req, -1); err != nil {
		t.Error(err)
	}
}
