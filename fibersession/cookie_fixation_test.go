package fibersession_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// IDs come only from us, and only from the cookie: whatever else a request brings,
// the ID is a new one, and what was brought is neither stored nor echoed.
func TestFixation(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if sess.Get("user") != nil || !sess.Fresh() {
			t.Error("somebody's session was entered")
		}
		sess.Set("n", 1)
		return nil
	}})
	victim := storedSession(t, s, map[string]any{"user": "alice"})
	good, evil := victim.ID(), strings.Repeat("e", 43)
	tests := map[string]struct {
		target string
		cookie []string // each a Cookie header
		header [2]string
		asked  bool // the store may be asked for it
	}{
		"an unknown ID":               {cookie: []string{"__Host-session=" + evil}, asked: true},
		"in the query":                {target: "?session=" + good + "&__Host-session=" + good + "&session_id=" + good},
		"in a header":                 {header: [2]string{"X-Session", good}},
		"under the name without __":   {cookie: []string{"session=" + good}},
		"under Fiber's name":          {cookie: []string{"session_id=" + good}},
		"two cookies":                 {cookie: []string{"__Host-session=" + good + "; __Host-session=" + evil}},
		"two cookies, evil first":     {cookie: []string{"__Host-session=" + evil + "; __Host-session=" + good}},
		"two cookies, one empty":      {cookie: []string{"__Host-session=; __Host-session=" + good}},
		"two Cookie headers":          {cookie: []string{"__Host-session=" + good, "__Host-session=" + evil}},
		"three, two alike":            {cookie: []string{"__Host-session=" + good + "; __Host-session=" + evil + "; __Host-session=" + good}},
		"another case of the name":    {cookie: []string{"__HOST-SESSION=" + good}},
		"a key of the store":          {cookie: []string{"__Host-session=" + s.StoreKey(good)}},
		"the hash of an ID":           {cookie: []string{"__Host-session=" + strings.TrimPrefix(s.StoreKey(good), "fiberbridge:s:")}, asked: true},
		"with a space inside":         {cookie: []string{"__Host-session=" + good[:20] + " " + good[20:]}},
		"percent-encoded":             {cookie: []string{"__Host-session=%41" + good[1:]}},
		"longer":                      {cookie: []string{"__Host-session=" + good + "A"}},
		"a path":                      {cookie: []string{"__Host-session=../../../../../../../../../../../etc/passwdxx"}},
		"something of another prefix": {cookie: []string{"__Host-session=cache_/u/42"}},
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
			before := s.Stats().Loads
			res, err := app.Test(req, -1)
			must(t, err)
			if res.StatusCode == 400 { // not a request at all
				return
			}
			if loads := s.Stats().Loads - before; loads > 0 && !tt.asked {
				t.Errorf("the store was asked %d times", loads)
			}
			set := res.Cookies()
			if len(set) != 1 || set[0].Value == good || set[0].Value == evil || len(set[0].Value) != 43 {
				t.Fatalf("the response has %d cookies, or one that was brought", len(set))
			}
			if sessionIsStored(t, st, s, evil) {
				t.Error("an ID that was brought is in the store")
			}
		})
	}
	// The same cookie twice is one.
	req := httptest.NewRequest("GET", "/", nil)
	req.Header.Set("Cookie", "__Host-session="+evil+"; __Host-session="+evil)
	if _, err := app.Test(req, -1); err != nil {
		t.Error(err)
	}
}
