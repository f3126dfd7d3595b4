package fibersession_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

func TestCookie_Attributes(t *testing.T) {
	t.Parallel()
	const week = "; max-age=604800"
	tests := map[string]struct {
		cfg     fibersession.Config
		host    string
		headers map[string]string
		want    string // ID stands for the ID
	}{
		"default":             {want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"insecure":            {cfg: fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}}, want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"localhost":           {host: "localhost:3000", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"LOCALHOST":           {host: "LocalHost", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"a name below it":     {host: "app.localhost:80", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"127.0.0.1":           {host: "127.0.0.1:3000", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"127.1.2.3":           {host: "127.1.2.3", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"::1":                 {host: "[::1]:3000", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"::1, no port":        {host: "[::1]", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"not localhost":       {host: "localhost.example.com", want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"not localhost too":   {host: "notlocalhost", want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"a proxy on it":       {host: "localhost:3000", headers: map[string]string{"X-Forwarded-For": "1.2.3.4"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"secure on localhost": {cfg: fibersession.Config{CookieSecure: true}, host: "localhost", want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"domain":              {cfg: fibersession.Config{CookieDomain: "example.com"}, want: "__Secure-session=ID" + week + "; domain=example.com; path=/; HttpOnly; secure; SameSite=Lax"},
		"path":                {cfg: fibersession.Config{CookiePath: "/app"}, want: "__Secure-session=ID" + week + "; path=/app; HttpOnly; secure; SameSite=Lax"},
		"strict":              {cfg: fibersession.Config{CookieSameSite: "strict"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Strict"},
		"none":                {cfg: fibersession.Config{CookieSameSite: "None"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=None"},
		"until closed":        {cfg: fibersession.Config{CookieSessionOnly: true}, want: "__Host-session=ID; path=/; HttpOnly; secure; SameSite=Lax"},
		"not HttpOnly":        {cfg: fibersession.Config{CookieHTTPOnly: false}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"a name":              {cfg: fibersession.Config{KeyLookup: "cookie:sid"}, want: "sid=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"the deprecated name": {cfg: fibersession.Config{CookieName: "sid"}, want: "sid=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"no absolute limit":   {cfg: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: -1}}, want: "__Host-session=ID; max-age=34560000; path=/; HttpOnly; secure; SameSite=Lax"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, tt.cfg)
			var named string
			app := newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					named = s.CookieName(c)
					fibersession.FromContext(c).Set("n", 1)
					return nil
				},
				"/out": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
			})
			b := newBrowser(t, app)
			if tt.host != "" {
				b.host = tt.host
			}
			b.headers = tt.headers
			res := b.get("/")
			if len(res.set) != 1 {
				t.Fatalf("%d cookies", len(res.set))
			}
			id := res.set[0].Value
			if got := strings.Replace(res.header.Get("Set-Cookie"), id, "ID", 1); got != tt.want {
				t.Errorf("Set-Cookie: %s\nwant        %s", got, tt.want)
			}
			if named != res.set[0].Name {
				t.Errorf("CookieName is %q", named)
			}
			if got := again(t, s, id).Get("n"); got != 1 {
				t.Errorf("n is %v", got)
			}
			// The next request finds it, and sets nothing anew.
			if res := b.get("/"); len(res.set) != 0 || b.cookies[named] != id {
				t.Error("the second request got another cookie")
			}
			// Logging out removes it: the same attributes, and a date that has passed.
			out := b.get("/out").header.Get("Set-Cookie")
			want := strings.NewReplacer("ID", "", week, "; expires=Tue, 10 Nov 2009 23:00:00 GMT", "; max-age=34560000", "; expires=Tue, 10 Nov 2009 23:00:00 GMT").Replace(tt.want)
			if tt.cfg.CookieSessionOnly {
				want = strings.Replace(want, ";", "; expires=Tue, 10 Nov 2009 23:00:00 GMT;", 1)
			}
			if out != want {
				t.Errorf("Set-Cookie: %s\nwant        %s", out, want)
			}
		})
	}
}

func TestNew_RefusesContradictions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  fibersession.Config
		says string
	}{
		"CRLF in the name":       {fibersession.Config{KeyLookup: "cookie:a\r\nSet-Cookie: b"}, "KeyLookup"},
		"CRLF in the old name":   {fibersession.Config{CookieName: "a\r\nb"}, "KeyLookup"},
		"CRLF in the domain":     {fibersession.Config{CookieDomain: "a\r\nSet-Cookie: b=c"}, "CookieDomain"},
		"semicolon in the path":  {fibersession.Config{CookiePath: "/; Domain=evil"}, "CookiePath"},
		"newline in the path":    {fibersession.Config{CookiePath: "/\n"}, "CookiePath"},
		"relative path":          {fibersession.Config{CookiePath: "app"}, "CookiePath"},
		"space in the name":      {fibersession.Config{KeyLookup: "cookie:a b"}, "KeyLookup"},
		"no name":                {fibersession.Config{KeyLookup: "cookie:"}, "KeyLookup"},
		"no source":              {fibersession.Config{KeyLookup: "session"}, "KeyLookup"},
		"unknown source":         {fibersession.Config{KeyLookup: "form:session"}, "source"},
		"SameSite":               {fibersession.Config{CookieSameSite: "maybe"}, "CookieSameSite"},
		"None without Secure":    {fibersession.Config{CookieSameSite: "None", Cookie: fibersession.Cookie{Insecure: true}}, "CookieSameSite"},
		"Secure and Insecure":    {fibersession.Config{CookieSecure: true, Cookie: fibersession.Cookie{Insecure: true}}, "CookieSecure"},
		"two names":              {fibersession.Config{CookieName: "a", KeyLookup: "cookie:b"}, "CookieName"},
		"__Host- and a domain":   {fibersession.Config{KeyLookup: "cookie:__Host-a", CookieDomain: "a.b"}, "__Host-"},
		"__Host- and a path":     {fibersession.Config{KeyLookup: "cookie:__Host-a", CookiePath: "/a"}, "__Host-"},
		"__Host- and insecure":   {fibersession.Config{KeyLookup: "cookie:__Host-a", Cookie: fibersession.Cookie{Insecure: true}}, "__Host-"},
		"__Secure- and insecure": {fibersession.Config{KeyLookup: "cookie:__Secure-a", Cookie: fibersession.Cookie{Insecure: true}}, "__Secure-"},
		"Builtin and a codec":    {fibersession.Config{Builtin: true, Codec: fibersession.JSON{}}, "Codec"},
		"Builtin and a limit":    {fibersession.Config{Builtin: true, Timeouts: fibersession.Timeouts{Absolute: 1}}, "Timeouts.Absolute"},
		"a negative touch":       {fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: -1}}, "Timeouts.TouchInterval is -1ns: it must be positive (0 means the default, 1m0s)"},
		"a negative wait":        {fibersession.Config{Timeouts: fibersession.Timeouts{Storage: -time.Second}}, "Timeouts.Storage is -1s: it must be positive (0 means the default, 1s)"},
		"a negative ticket":      {fibersession.Config{Timeouts: fibersession.Timeouts{Ticket: -1}}, "Timeouts.Ticket is -1ns"},
		"a negative lag":         {fibersession.Config{Tracking: fibersession.Tracking{MaxLag: -1}}, "Tracking.MaxLag is -1ns"},
		"a negative grace":       {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: -1}}, "Tracking.OutageGrace is -1ns: it must not be negative"},
		"a negative size":        {fibersession.Config{Limits: fibersession.Limits{MaxSize: -1}}, "Limits.MaxSize is -1"},
		"a negative count":       {fibersession.Config{Limits: fibersession.Limits{MaxKeys: -1}}, "Limits.MaxKeys is -1"},
		"an unknown freshness":   {fibersession.Config{Freshness: 3}, "Freshness is 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.says) {
					t.Errorf("panic %q", text)
				}
			}()
			_ = fibersession.New(tt.cfg).Close()
		})
	}
}

// IDs come only from us, and only from the cookie: whatever else a request brings,
// the ID is a new one, and what was brought is neither stored nor echoed.
func TestFixation(t *testing.T) {
	t.Parallel()
	spy := faulty.New(memory.New(), nil)
	defer func() { _ = spy.Close() }()
	s := newStore(t, fibersession.Config{Storage: spy})
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		if sess.Get("user") != nil || !sess.Fresh() {
			t.Error("somebody's session was entered")
		}
		sess.Set("n", 1)
		return nil
	}})
	victim := stored(t, s, map[string]any{"user": "alice"})
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
			if sessionIsStored(t, spy, s, evil) {
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

// When no randomness can be had, no ID is issued, and the request is refused.
func TestRandom_Fails(t *testing.T) {
	t.Parallel()
	tests := map[string]io.Reader{
		"an error":      iotest.ErrReader(errBroken),
		"nothing":       strings.NewReader(""),
		"too little":    bytes.NewReader(make([]byte, 31)),
		"an ID only":    bytes.NewReader(make([]byte, 32)),
		"then an error": io.MultiReader(bytes.NewReader(make([]byte, 40)), iotest.ErrReader(errBroken)),
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{})
			s.SetRandom(source)
			app := newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					sess := fibersession.FromContext(c)
					if err := sess.Err(); !errors.Is(err, fibersession.ErrRandom) || sess.ID() != "" {
						t.Errorf("%v, and an ID: %v", err, sess.ID() != "")
					}
					sess.Set("n", 1)
					return sess.Save()
				},
				"/get": func(c *fiber.Ctx) error {
					if _, err := s.Get(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Get: %v", err)
					}
					if _, err := s.Lift(c); !errors.Is(err, fibersession.ErrRandom) {
						t.Errorf("Lift: %v", err)
					}
					return nil
				},
			})
			for _, path := range []string{"/", "/get"} {
				if res := newBrowser(t, app).get(path); res.status != 500 || len(res.set) != 0 {
					t.Errorf("%s: %d with %d cookies", path, res.status, len(res.set))
				}
			}
		})
	}
}

func TestID_NoDuplicates(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	seen := make(map[string]bool)
	for range 100_000 {
		id, err := s.NewID()
		must(t, err)
		if len(id) != 43 || seen[id] {
			t.Fatalf("an ID of %d characters, or twice", len(id))
		}
		seen[id] = true
	}
}

func TestKeyGenerator(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id string
		ok bool
	}{
		"a UUID":      {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", true},
		"16":          {strings.Repeat("a", 16), true},
		"128":         {strings.Repeat("a", 128), true},
		"15":          {strings.Repeat("a", 15), false},
		"129":         {strings.Repeat("a", 129), false},
		"empty":       {"", false},
		"a slash":     {strings.Repeat("a", 16) + "/", false},
		"a semicolon": {strings.Repeat("a", 16) + ";", false},
		"CRLF":        {strings.Repeat("a", 16) + "\r\n", false},
		"all allowed": {"azAZ09_.~-azAZ09", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{KeyGenerator: func() string { return tt.id }})
			app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
				fibersession.FromContext(c).Set("n", 1)
				return nil
			}})
			b := newBrowser(t, app)
			if res := b.get("/"); (res.status == 200) != tt.ok || tt.ok && b.session() != tt.id {
				t.Errorf("status %d, the ID is %q", res.status, b.session())
			}
		})
	}
	t.Run("one that repeats itself", func(t *testing.T) {
		t.Parallel()
		s := newStore(t, fibersession.Config{KeyGenerator: func() string { return "the-same-id-again" }})
		h := stored(t, s, map[string]any{"user": "alice"})
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			sess.Set("user", "bob")
			return nil
		}})
		if res := newBrowser(t, app).get("/"); res.status == 200 || h.Get("user") != "alice" {
			t.Errorf("a second session entered the first: %d, user %v", res.status, h.Get("user"))
		}
		h.Release() // it is in the store alone now
		if res := newBrowser(t, app).get("/"); res.status == 200 || len(res.set) != 0 {
			t.Errorf("a second session entered the stored one: %d", res.status)
		}
	})
	t.Run("one that repeats itself at a new ID", func(t *testing.T) {
		t.Parallel()
		const taken = "the-same-id-again"
		ids := []string{taken, "another-id-in-use", taken}
		s := newStore(t, fibersession.Config{KeyGenerator: func() (id string) {
			id, ids = ids[0], ids[1:]
			return id
		}})
		stored(t, s, map[string]any{"user": "alice"}).Release() // it is in the store alone now
		bob := stored(t, s, map[string]any{"user": "bob"})
		if err := bob.Regenerate(ctx); !errors.Is(err, fibersession.ErrRandom) {
			t.Errorf("it got the other session's ID: %v", err)
		}
		for id, user := range map[string]string{taken: "alice", "another-id-in-use": "bob"} {
			if got := again(t, s, id).Get("user"); got != user {
				t.Errorf("the session of %s is that of %v", user, got)
			}
		}
	})
}

func TestSources(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for lookup, put := range map[string]func(b *browser, id string) string{
		"header:X-Session": func(b *browser, id string) string {
			b.headers = map[string]string{"X-Session": id}
			return "/"
		},
		"query:sid": func(_ *browser, id string) string { return "/?sid=" + id },
	} {
		log.Reset()
		s := newStore(t, fibersession.Config{KeyLookup: lookup, Logger: logger})
		if !strings.Contains(log.String(), "weaker") {
			t.Errorf("%s is not warned of", lookup)
		}
		var id string
		app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
			sess := fibersession.FromContext(c)
			id = sess.ID()
			if s.CookieName(c) != "" {
				t.Error("there is a cookie's name")
			}
			n := fibersession.Value[int](sess, "n") + 1
			sess.Set("n", n)
			if n == 3 {
				return sess.Destroy()
			}
			return nil
		}})
		b := newBrowser(t, app)
		res := b.get("/")
		if len(res.set) != 0 || res.header.Get("Vary") != "" {
			t.Errorf("%s: a cookie, or Vary %q", lookup, res.header.Get("Vary"))
		}
		first := id
		if lookup == "header:X-Session" && res.header.Get("X-Session") != id {
			t.Error("the header does not bring the ID")
		}
		b.get(put(b, first))
		if id != first {
			t.Errorf("%s: the second request began another session", lookup)
		}
		if got := again(t, s, first).Get("n"); got != 2 {
			t.Errorf("%s: n is %v", lookup, got)
		}
		if res := b.get(put(b, first)); res.header.Get("X-Session") != "" {
			t.Error("after Destroy the header still brings the ID")
		}
	}
}

func TestHandler_Headers(t *testing.T) {
	t.Parallel()
	spy := faulty.New(memory.New(), nil)
	defer func() { _ = spy.Close() }()
	s := newStore(t, fibersession.Config{Storage: spy, Next: func(c *fiber.Ctx) bool { return c.Path() == "/skipped" }})
	app := newApp(s, map[string]fiber.Handler{
		"/untouched": func(c *fiber.Ctx) error { return nil },
		"/skipped": func(c *fiber.Ctx) error {
			if fibersession.FromContext(c) != nil {
				t.Error("Next was not asked")
			}
			return nil
		},
		"/read": func(c *fiber.Ctx) error { fibersession.FromContext(c).Get("n"); return nil },
		"/vary": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Get("n")
			c.Set("Vary", "Origin")
			return nil
		},
		"/same": func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Get("n")
			c.Set("Vary", "Origin, cookie")
			return nil
		},
		"/write": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 1); return nil },
	})
	b := newBrowser(t, app)
	b.get("/write")
	tests := []struct {
		path  string
		vary  string
		calls int
	}{
		{"/untouched", "", 0},
		{"/skipped", "", 0},
		{"/read", "Cookie", 1},
		{"/vary", "Origin, Cookie", 1},
		{"/same", "Origin, cookie", 1},
		{"/write", "Cookie", 2},
	}
	for _, tt := range tests {
		for who, b := range map[string]*browser{"with a session": b, "without": newBrowser(t, app)} {
			before, calls := spy.Calls(), tt.calls
			if who == "without" {
				calls = max(0, calls-1) // nothing to load
			}
			res := b.get(tt.path)
			if got := res.header.Get("Vary"); got != tt.vary {
				t.Errorf("%s %s: Vary is %q, want %q", tt.path, who, got, tt.vary)
			}
			if got := spy.Calls() - before; got != calls {
				t.Errorf("%s %s: %d calls of the store, want %d", tt.path, who, got, calls)
			}
			if cookie := tt.path == "/write" && who == "without"; (len(res.set) > 0) != cookie {
				t.Errorf("%s %s: %d cookies", tt.path, who, len(res.set))
			}
		}
	}
}

// Handler and Save by hand get along, and a Handler inside a Handler does nothing.
func TestHandler_AndSaveByHand(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	app := fiber.New()
	app.Use(s.Handler(), s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		sess, err := s.Get(c)
		if err != nil {
			return err
		}
		if sess != fibersession.FromContext(c) {
			t.Error("one request has two sessions")
		}
		sess.Set("a", 1)
		if err := sess.Save(); err != nil {
			return err
		}
		if sess.Get("a") != 1 || sess.Changed() || sess.Fresh() {
			t.Error("Save made the session useless")
		}
		sess.Set("b", fibersession.Value[int](sess, "b")+1)
		return nil
	})
	b := newBrowser(t, app)
	for n := 1; n <= 3; n++ {
		b.get("/")
		if got := again(t, s, b.session()).Get("b"); got != n {
			t.Errorf("b is %v, want %d", got, n)
		}
	}
	if w := s.Stats().Writes; w != 6 {
		t.Errorf("%d writes, want 6", w)
	}
}
