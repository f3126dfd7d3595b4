package fibersession_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// whoami answers with the session's "user"; "/in" sets it.
func whoami(s *fibersession.Store) *fiber.App {
	return newApp(s, map[string]fiber.Handler{
		"/": func(c *fiber.Ctx) error {
			return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
		},
		"/in": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user", "ada")); return nil },
	})
}

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
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, Extractor: fibersession.Chain(
		byKey, fibersession.FromHeader("X-Session"), fibersession.FromCookie("sid"), fibersession.FromQuery("s"))})
	ada := stored(t, s, map[string]any{"user": "ada"}).ID()
	bob := stored(t, s, map[string]any{"user": "bob"}).ID()
	keys["k1"] = ada

	tests := map[string]struct {
		header map[string]string
		path   string
		status int
		want   string
	}{
		"cookie":               {header: map[string]string{"Cookie": "sid=" + ada}, want: "ada"},
		"header":               {header: map[string]string{"X-Session": bob}, want: "bob"},
		"query":                {path: "/?s=" + bob, want: "bob"},
		"custom":               {header: map[string]string{"Authorization": "Bearer k1"}, want: "ada"},
		"the first that has":   {header: map[string]string{"X-Session": bob, "Cookie": "sid=" + ada}, want: "bob"},
		"valid or not":         {header: map[string]string{"X-Session": "garbage", "Cookie": "sid=" + ada}, want: ""},
		"custom has none":      {header: map[string]string{"Authorization": "Bearer k2", "X-Session": bob}, want: "bob"},
		"custom fails":         {header: map[string]string{"Authorization": "Bearer broken", "X-Session": bob}, status: 500, want: "Internal Server Error"},
		"never issued":         {header: map[string]string{"Cookie": "sid=" + strings.Repeat("A", 43)}, want: ""},
		"two cookies, no luck": {header: map[string]string{"Cookie": "sid=" + ada + "; sid=" + bob}, want: ""},
		"another cookie":       {header: map[string]string{"Cookie": "session=" + ada}, want: ""},
		"none":                 {want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, whoami(s))
			b.headers = tt.header
			if tt.path == "" {
				tt.path = "/"
			}
			if tt.status == 0 {
				tt.status = 200
			}
			if res := b.get(tt.path); res.body != tt.want || res.status != tt.status {
				t.Errorf("%d %q, want %d %q", res.status, res.body, tt.status, tt.want)
			}
		})
	}
}

// A response carries a new ID where the request's came from: never an ID that came as
// a cookie in a header, which scripts can read.
func TestExtractor_WayBack(t *testing.T) {
	t.Parallel()
	e := fibersession.Chain(fibersession.FromQuery("s"), fibersession.FromCookie("sid"), fibersession.FromHeader("X-Session"))
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, Extractor: e})
	tests := map[string]struct{ header, cookie, inHeader bool }{
		"none: the first that can": {cookie: true},
		"header":                   {header: true, inHeader: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, whoami(s))
			if tt.header {
				b.headers = map[string]string{"X-Session": "new"}
			}
			res := b.get("/in")
			if got := len(res.set) == 1 && res.set[0].Name == "sid"; got != tt.cookie {
				t.Errorf("cookies: %v", res.set)
			}
			if id := res.header.Get("X-Session"); (len(id) == 43) != tt.inHeader {
				t.Errorf("header: %q", id)
			} else if tt.inHeader {
				b.headers["X-Session"] = id
				if got := b.get("/").body; got != "ada" {
					t.Errorf("it names %q", got)
				}
			}
		})
	}
}

// A custom function may return the request's own memory, and is asked once a request,
// whenever the session is used.
func TestExtractor_CustomIsAskedOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	s := newStore(t, fibersession.Config{Extractor: fibersession.FromCustom(func(c *fiber.Ctx) (string, error) {
		asked++
		return c.Get("X-Key"), nil
	})})
	h := stored(t, s, map[string]any{"user": "ada"})
	asked = 0
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		if !s.Owns(c, h) || s.PresentedIDHash(c) == "" {
			t.Error("the request's session is another")
		}
		c.Request().Header.Set("X-Key", strings.Repeat("B", 43)) // overwrites the bytes in place
		return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
	}})
	b := newBrowser(t, app)
	b.headers = map[string]string{"X-Key": h.ID()}
	if res := b.get("/"); res.body != "ada" || asked != 1 {
		t.Errorf("%q, asked %d times", res.body, asked)
	}
}

func TestExtractor_Contradictions(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{1}, 32)
	tests := map[string]struct {
		cfg  fibersession.Config
		says string
	}{
		"with KeyLookup":         {fibersession.Config{KeyLookup: "cookie:a", Extractor: fibersession.FromCookie("b")}, "Extractor"},
		"header without a name":  {fibersession.Config{Extractor: fibersession.FromHeader("")}, "Extractor"},
		"CRLF in a cookie":       {fibersession.Config{Extractor: fibersession.FromCookie("a\r\nb")}, "Extractor"},
		"no function":            {fibersession.Config{Extractor: fibersession.FromCustom(nil)}, "FromCustom"},
		"__Host- in a chain":     {fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, Extractor: fibersession.Chain(fibersession.FromHeader("a"), fibersession.FromCookie("__Host-a"))}, "__Host-"},
		"secrets without cookie": {fibersession.Config{Extractor: fibersession.FromHeader("a"), Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}}, "Secrets"},
		"a short secret":         {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret, secret[:31]}}}, "has 31 bytes in number 2"},
		"two forms":              {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}, Format: reversed{}}}, "Cookie.Format"},
		"secrets and Builtin":    {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}, Builtin: true}, "Builtin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.says) {
					t.Errorf("panic %q", text)
				}
			}()
			_ = fibersession.New(tt.cfg).Close()
		})
	}
}

// Whatever is weaker than the cookie is said at start, once.
func TestExtractor_Warns(t *testing.T) {
	t.Parallel()
	none := func(c *fiber.Ctx) (string, error) { return "", nil }
	tests := map[string]struct {
		e    fibersession.Extractor
		want int
	}{
		"nothing": {fibersession.Extractor{}, 0},
		"cookie":  {fibersession.FromCookie("sid"), 0},
		"header":  {fibersession.FromHeader("X"), 1},
		"query":   {fibersession.FromQuery("q"), 1},
		"custom":  {fibersession.FromCustom(none), 1},
		"all":     {fibersession.Chain(fibersession.FromHeader("X"), fibersession.FromHeader("Y"), fibersession.FromQuery("q"), fibersession.FromCustom(none)), 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newStore(t, fibersession.Config{Extractor: tt.e, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			newBrowser(t, whoami(s)).get("/in")
			if got := strings.Count(log.String(), "weaker than the default"); got != tt.want {
				t.Errorf("%d warnings, want %d:\n%s", got, tt.want, log.String())
			}
		})
	}
}

// reversed is a form of somebody else's: the ID backwards, after a letter that says
// how old the form is.
type reversed struct{}

func (reversed) Value(_, id string) string { return "b" + reverse(id) }
func (reversed) ID(_, value string) (string, bool, bool) {
	if value == "" || value[0] != 'a' && value[0] != 'b' {
		return "", false, false
	}
	return reverse(value[1:]), value[0] == 'a', true
}

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// C7: a parser of the cookie can be given.
func TestC7_CookieFormat(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true, Format: reversed{}}})
	app := whoami(s)
	b := newBrowser(t, app)
	b.get("/in")
	value := b.cookies["session"]
	if value[0] != 'b' {
		t.Fatalf("the cookie holds %q", value)
	}
	if got := b.get("/"); got.body != "ada" || len(got.set) != 0 {
		t.Errorf("%q, cookies %v", got.body, got.set)
	}
	old := newBrowser(t, app)
	old.cookies["session"] = "a" + value[1:]
	if got := old.get("/"); got.body != "ada" || len(got.set) != 1 || old.cookies["session"] != value {
		t.Errorf("an old value gives %q and the cookies %v", got.body, got.set)
	}
	bad := newBrowser(t, app)
	bad.cookies["session"] = "c" + value[1:] // of no form
	if got := bad.get("/"); got.body != "" || s.Stats().Forged != 1 {
		t.Errorf("a bad value gives %q, counted %d", got.body, s.Stats().Forged)
	}
}
