package fibersession_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

func TestC8_Extractor(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	byKey := fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
		key := strings.TrimPrefix(c.Get("Authorization"), "Bearer ")
		if key == "broken" {
			return "", errors.New("the table of keys is away")
		}
		if id, ok := keys[key]; ok {
			return id, nil
		}
		return "", fibersession.ErrNotFound
	})
	s := newStore(t, fibersession.Config{Extractor: fibersession.Chain(
		byKey, fibersession.FromHeader("X-Session"), fibersession.FromCookie("sid"), fibersession.FromQuery("s"))})
	ada := storedSession(t, s, map[string]any{"user": "ada"}).ID()
	bob := storedSession(t, s, map[string]any{"user": "bob"}).ID()
	keys["k1"] = ada

	tests := map[string]struct {
		header map[string]string
		path   string
		status int
		want   string
	}{
		"a cookie":                          {header: map[string]string{"Cookie": "sid=" + ada}, want: "ada"},
		"a header":                          {header: map[string]string{"X-Session": bob}, want: "bob"},
		"a query parameter":                 {path: "/?s=" + bob, want: "bob"},
		"a custom function":                 {header: map[string]string{"Authorization": "Bearer k1"}, want: "ada"},
		"the first in the chain wins":       {header: map[string]string{"X-Session": bob, "Cookie": "sid=" + ada}, want: "bob"},
		"the first wins even if invalid":    {header: map[string]string{"X-Session": "garbage", "Cookie": "sid=" + ada}, want: ""},
		"the custom function finds none":    {header: map[string]string{"Authorization": "Bearer k2", "X-Session": bob}, want: "bob"},
		"the custom function fails":         {header: map[string]string{"Authorization": "Bearer broken", "X-Session": bob}, status: 500, want: "Internal Server Error"},
		"an ID that was never issued":       {header: map[string]string{"Cookie": "sid=" + strings.Repeat("A", 43)}, want: ""},
		"two different cookies of one name": {header: map[string]string{"Cookie": "sid=" + ada + "; sid=" + bob}, want: ""},
		"a cookie of another name":          {header: map[string]string{"Cookie": "session=" + ada}, want: ""},
		"no ID at all":                      {want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, userApp(s))
			b.headers = tt.header
			if tt.path == "" {
				tt.path = "/"
			}
			if tt.status == 0 {
				tt.status = 200
			}
			if res := b.get(tt.path); res.body != tt.want || res.status != tt.status {
				t.Errorf("got %d %q, want %d %q", res.status, res.body, tt.status, tt.want)
			}
		})
	}
}

// A new ID goes back to where the request's ID came from. An ID that came in a cookie never
// goes into a header, which scripts can read.
func TestExtractor_ResponseUsesTheRequestsSource(t *testing.T) {
	t.Parallel()
	e := fibersession.Chain(fibersession.FromQuery("s"), fibersession.FromCookie("sid"), fibersession.FromHeader("X-Session"))
	s := newStore(t, fibersession.Config{Extractor: e})
	tests := map[string]struct{ header, cookie, inHeader bool }{
		"no ID in the request: the first that can be written": {cookie: true},
		"header": {header: true, inHeader: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, userApp(s))
			if tt.header {
				b.headers = map[string]string{"X-Session": "new"}
			}
			res := b.get("/in")
			if got := len(res.set) == 1 && res.set[0].Name == "sid"; got != tt.cookie {
				t.Errorf("got the cookies %v, want one named sid: %v", res.set, tt.cookie)
			}
			if id := res.header.Get("X-Session"); (len(id) == 43) != tt.inHeader {
				t.Errorf("got the header X-Session %q, want an ID in it: %v", id, tt.inHeader)
			} else if tt.inHeader {
				b.headers["X-Session"] = id
				if got := b.get("/").body; got != "ada" {
					t.Errorf("the ID from the header: got user %q, want \"ada\"", got)
				}
			}
		})
	}
}

func TestF2_KeyLookupHeader(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(t, fibersession.Config{KeyLookup: "header:X-Session", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "weaker") {
		t.Error("got no warning")
	}
	var id, seen string
	app := newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			id = sess.ID()
			if s.CookieNameOf(c) != "" {
				t.Errorf("got CookieName %q, want none", s.CookieNameOf(c))
			}
			sess.Set("n", valueOf[int](sess, "n")+1)
			err := sess.Save()
			seen = c.Get("X-Session")
			return err
		},
		"/logout": func(c *fiber.Ctx) error {
			err := fibersession.FromContext(c).Destroy()
			seen = c.Get("X-Session")
			return err
		},
	})
	b := newBrowser(t, app)
	res := b.get("/")
	if len(res.set) != 0 || res.header.Get("Vary") != "" {
		t.Errorf("got %d cookies and Vary %q, want neither", len(res.set), res.header.Get("Vary"))
	}
	first := id
	if res.header.Get("X-Session") != id || seen != id {
		t.Errorf("got the header X-Session %q, and in the request %q, want the session's ID in both", res.header.Get("X-Session"), seen)
	}
	b.headers = map[string]string{"X-Session": first}
	b.get("/")
	if got := handleOf(t, s, first).Get("n"); got != 2 || id != first {
		t.Errorf("the second request got n = %v, want 2 in the same session", got)
	}
	if res := b.get("/logout"); res.header.Get("X-Session") != "" || seen != "" {
		t.Errorf("after Destroy: got the ID in the response: %t, in the request: %t, want neither", res.header.Get("X-Session") != "", seen != "")
	}
}

// As in Fiber, KeyLookup "query:x" also sets the cookie x, and reads it first.
func TestF2_KeyLookupQuery(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newStore(t, fibersession.Config{KeyLookup: "query:sid", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "weaker") {
		t.Error("got no warning")
	}
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		sess.Set("n", valueOf[int](sess, "n")+1)
		return c.SendString(fmt.Sprint(sess.Get("n")))
	}})
	first, second := newBrowser(t, app), newBrowser(t, app)
	first.get("/")
	id := first.cookies["sid"]
	if id == "" {
		t.Fatal("got no cookie sid")
	}
	second.get("/")
	for name, tt := range map[string]struct {
		b    *browser
		path string
		want string
	}{
		"the parameter alone":             {newBrowser(t, app), "/?sid=" + id, "2"},
		"the cookie before the parameter": {second, "/?sid=" + id, "2"},
	} {
		if res := tt.b.get(tt.path); res.body != tt.want {
			t.Errorf("%s: got n = %s, want %s", name, res.body, tt.want)
		}
	}
	if res := first.get("/"); res.body != "3" {
		t.Errorf("the cookie alone: got n = %s, want 3", res.body)
	}
}
