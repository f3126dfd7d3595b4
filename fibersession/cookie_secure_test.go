package fibersession_test

import (
	"bytes"
	"cmp"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// appOf returns an app with this configuration behind the store's Handler, whose "/" counts
// the session's visits.
func appOf(s *fibersession.Store, config fiber.Config) *fiber.App {
	app := fiber.New(config)
	app.Use(s.Handler())
	app.Get("/", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		sess.Set("n", valueOf[int](sess, "n")+1)
		return c.JSON(sess.Get("n"))
	})
	return app
}

// F5: a cookie is Secure, and has the name of https, if Fiber takes the request for https:
// a proxy's header counts if Fiber trusts the proxy.
func TestF5_SecureAsFiberSeesIt(t *testing.T) {
	t.Parallel()
	const peer = "0.0.0.0" // of app.Test
	check := fiber.Config{EnableTrustedProxyCheck: true}
	trusted := fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{peer}}
	for name, tt := range map[string]struct {
		config fiber.Config
		header [2]string
		want   bool
		named  int // log lines that name the header, the peer and the settings
	}{
		"plain http":                            {},
		"no check: any peer is trusted":         {header: [2]string{"X-Forwarded-Proto", "https"}, want: true},
		"a trusted proxy":                       {config: trusted, header: [2]string{"X-Forwarded-Proto", "https"}, want: true},
		"a trusted network":                     {config: fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"0.0.0.0/8"}}, header: [2]string{"X-Forwarded-Proto", "https"}, want: true},
		"a trusted proxy, two values":           {config: trusted, header: [2]string{"X-Forwarded-Proto", "https, http"}, want: true},
		"a trusted proxy of plain http":         {config: trusted, header: [2]string{"X-Forwarded-Proto", "http"}},
		"a trusted proxy that says nothing":     {config: trusted, header: [2]string{"X-Forwarded-For", "1.2.3.4"}},
		"a trusted proxy, X-Forwarded-Protocol": {config: trusted, header: [2]string{"X-Forwarded-Protocol", "https"}, want: true},
		"a trusted proxy, X-Forwarded-Ssl":      {config: trusted, header: [2]string{"X-Forwarded-Ssl", "on"}, want: true},
		"a trusted proxy, X-Url-Scheme":         {config: trusted, header: [2]string{"X-Url-Scheme", "https"}, want: true},
		"another peer":                          {config: check, header: [2]string{"X-Forwarded-Proto", "https"}, named: 1},
		"another peer, two values":              {config: check, header: [2]string{"X-Forwarded-Proto", "https, http"}, named: 1},
		"another peer, X-Forwarded-Protocol":    {config: check, header: [2]string{"X-Forwarded-Protocol", "https"}, named: 1},
		"another peer, X-Forwarded-Ssl":         {config: check, header: [2]string{"X-Forwarded-Ssl", "on"}, named: 1},
		"another peer, X-Url-Scheme":            {config: check, header: [2]string{"X-Url-Scheme", "https"}, named: 1},
		"another peer of plain http":            {config: check, header: [2]string{"X-Forwarded-Proto", "http"}},
		"another proxy is trusted": {config: fiber.Config{EnableTrustedProxyCheck: true, TrustedProxies: []string{"10.0.0.1"}},
			header: [2]string{"X-Forwarded-Proto", "https"}, named: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := newStore(t, fibersession.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			app := appOf(s, tt.config)
			for range 2 {
				b := newBrowser(t, app)
				b.plain = true
				if tt.header[0] != "" {
					b.headers = map[string]string{tt.header[0]: tt.header[1]}
				}
				res := b.get("/")
				wantName := map[bool]string{true: "__Host-session", false: "session"}[tt.want]
				if len(res.set) != 1 || res.set[0].Secure != tt.want || res.set[0].Name != wantName {
					t.Fatalf("got the cookies %v, want %s with Secure %t", res.set, wantName, tt.want)
				}
				if res := b.get("/"); len(res.set) != 0 || res.body != "2" {
					t.Errorf("the second visit: got %q and the cookies %v, want \"2\" and none", res.body, res.set)
				}
			}
			named := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "does not trust the peer") {
					named++
					for _, part := range []string{"level=WARN", "header=" + tt.header[0], "peer=" + peer, "TrustedProxies", "EnableTrustedProxyCheck"} {
						if !strings.Contains(line, part) {
							t.Errorf("the log line does not contain %q: %s", part, line)
						}
					}
				}
			}
			if named != tt.named {
				t.Errorf("got %d log lines about an untrusted peer, want %d:\n%s", named, tt.named, &log)
			}
		})
	}
}

// F5: one log line says what plain http means for the session, or which setting makes
// browsers drop the cookie there.
func TestF5_PlainHTTPIsLoggedOnce(t *testing.T) {
	t.Parallel()
	const warns, informs, drops = "anyone on the network path can read them", "on plain http to this machine", "browsers drop such cookies"
	for name, tt := range map[string]struct {
		cfg     fibersession.Config
		host    string
		peer    string // "" is 127.0.0.1
		headers map[string]string
		tls     bool
		want    string // part of the only line
		part    string // another part of it
	}{
		"plain http":                        {host: "192.168.1.5:3000", want: warns, part: "host=192.168.1.5:3000"},
		"a name that starts with localhost": {host: "localhost.example.com", want: warns},
		"a name that ends with localhost":   {host: "notlocalhost", want: warns},
		"a proxy of plain http":             {host: "shop.example", headers: map[string]string{"X-Forwarded-Proto": "http"}, want: warns},
		"a proxy that says nothing":         {host: "shop.example", headers: map[string]string{"X-Forwarded-For": "1.2.3.4"}, want: warns, part: "X-Forwarded-Proto"},
		"a proxy on localhost":              {host: "localhost:3000", headers: map[string]string{"X-Forwarded-For": "1.2.3.4"}, want: warns},
		"localhost":                         {host: "localhost:3000", want: informs},
		"localhost over IPv6":               {host: "localhost:3000", peer: "::1", want: informs},
		"localhost from another machine":    {host: "localhost:3000", peer: "10.0.0.7", want: warns}, // nginx sends this by default
		"127.0.0.1 from another machine":    {host: "127.0.0.1:3000", peer: "10.0.0.7", want: warns},
		"localhost over a Unix socket":      {host: "localhost", peer: "0.0.0.0", want: warns},
		"localhost in mixed case":           {host: "LocalHost", want: informs},
		"a subdomain of localhost":          {host: "app.localhost:80", want: informs},
		"127.1.2.3":                         {host: "127.1.2.3", want: informs},
		"::1":                               {host: "[::1]:3000", want: informs},
		"::1 without a port":                {host: "[::1]", want: informs},
		"a name by KeyLookup":               {cfg: fibersession.Config{KeyLookup: "cookie:sid"}, host: "shop.example", want: warns},
		"a __Host- name":                    {cfg: fibersession.Config{KeyLookup: "cookie:__Host-a"}, host: "shop.example", want: drops, part: "KeyLookup names the cookie __Host-a"},
		"a __Secure- name":                  {cfg: fibersession.Config{KeyLookup: "cookie:__Secure-a"}, host: "localhost", want: drops, part: "__Secure-a"},
		"SameSite None":                     {cfg: fibersession.Config{CookieSameSite: "None"}, host: "shop.example", want: drops, part: "CookieSameSite"},
		"Partitioned":                       {cfg: fibersession.Config{CookiePartitioned: true}, host: "shop.example", want: drops, part: "CookiePartitioned"},
		"CookieSecure":                      {cfg: fibersession.Config{CookieSecure: true}, host: "shop.example"},
		"CookieSecure and None":             {cfg: fibersession.Config{CookieSecure: true, CookieSameSite: "None"}, host: "shop.example"},
		"https":                             {host: "shop.example", tls: true},
		"https and a __Host- name":          {cfg: fibersession.Config{KeyLookup: "cookie:__Host-a"}, host: "shop.example", tls: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			app := appOf(newStore(t, tt.cfg), fiber.Config{})
			for range 2 {
				b := newBrowser(t, app)
				b.host, b.headers, b.plain, b.peer = tt.host, tt.headers, !tt.tls, cmp.Or(tt.peer, "127.0.0.1")
				if res := b.get("/"); len(res.set) != 1 {
					t.Fatalf("got %d cookies, want 1", len(res.set))
				}
			}
			lines := strings.Count(log.String(), "\n")
			switch {
			case tt.want == "" && lines != 0:
				t.Errorf("want no log line, got\n%s", &log)
			case tt.want != "" && (lines != 1 || !strings.Contains(log.String(), tt.want) || !strings.Contains(log.String(), tt.part)):
				t.Errorf("want one log line with %q and %q, got\n%s", tt.want, tt.part, &log)
			}
			if level := map[bool]string{true: "level=INFO", false: "level=WARN"}[tt.want == informs]; tt.want != "" && !strings.Contains(log.String(), level) {
				t.Errorf("want a line at %s, got\n%s", level, &log)
			}
		})
	}
	// A visit from this machine does not use up the warning.
	var log bytes.Buffer
	b := newBrowser(t, appOf(newStore(t, fibersession.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}), fiber.Config{}))
	b.plain, b.peer = true, "127.0.0.1"
	for _, b.host = range []string{"localhost", "shop.example"} {
		b.cookies = map[string]string{}
		b.get("/")
	}
	if !strings.Contains(log.String(), informs) || !strings.Contains(log.String(), warns) {
		t.Errorf("want a line for each host, got\n%s", &log)
	}
}

// F5: a session that began on https is not accepted from a cookie that came over plain http,
// and the other way round, with every cookie name and every generator of IDs. Neither a new
// ID, another node nor a former ID changes that.
func TestF5_PlainAndHTTPSNeverMix(t *testing.T) {
	t.Parallel()
	made := 0
	for name, cfg := range map[string]fibersession.Config{
		"default names":            {},
		"a domain":                 {CookieDomain: "example.com"},
		"a name by KeyLookup":      {KeyLookup: "cookie:sid"},
		"a chain":                  {Extractor: fibersession.Chain(fibersession.FromCookie("sid"), fibersession.FromCookie(""))},
		"signed":                   {KeyLookup: "cookie:sid", Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}},
		"IDs of the app":           {KeyLookup: "cookie:sid", KeyGenerator: func() string { made++; return strings.Repeat("a", 20) + string(rune('a'+made)) }},
		"a read of the copy alone": {KeyLookup: "cookie:sid", Freshness: fibersession.Tracked},
	} {
		for _, plain := range []bool{true, false} {
			t.Run(map[bool]string{true: "from plain http, ", false: "from https, "}[plain]+name, func(t *testing.T) {
				var log bytes.Buffer
				cfg := cfg
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				_, s, there := twoNodes(t, cfg)
				routes := map[string]fiber.Handler{
					"/": func(c *fiber.Ctx) error {
						return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
					},
					"/in": func(c *fiber.Ctx) error {
						sess := fibersession.FromContext(c)
						sess.Set("user", "ada")
						if err := sess.Save(); err != nil {
							return err
						}
						return sess.Regenerate()
					},
					"/name": func(c *fiber.Ctx) error { return c.SendString(s.CookieNameOf(c)) },
				}
				b := newBrowser(t, newApp(s, routes))
				b.plain = plain
				b.get("/in")
				value, name := b.cookies[b.get("/name").body], ""
				if got := b.get("/").body; got != "ada" || value == "" {
					t.Fatalf("got user %q with the cookies %v, want ada", got, b.cookies)
				}
				held := handleOf(t, s, idOf(value))
				for _, node := range []*fibersession.Store{s, there} {
					other := newBrowser(t, newApp(node, routes))
					other.plain = !plain
					name = other.get("/name").body
					other.cookies[name] = value
					crossed := node.Stats().Crossed
					res := other.get("/")
					if res.body != "" {
						t.Errorf("the session was accepted on the other side, in the cookie %s", name)
					}
					if name == b.get("/name").body && node.Stats().Crossed != crossed+1 {
						t.Errorf("got Crossed %d, want %d", node.Stats().Crossed, crossed+1)
					}
					// A session of the other side begins, and is accepted there alone.
					other.get("/in")
					fresh := other.cookies[name]
					if fresh == value || other.get("/").body != "ada" {
						t.Errorf("the visitor of the other side got no session of their own: cookie %q", fresh)
					}
					b2 := newBrowser(t, b.app)
					b2.plain, b2.cookies = plain, map[string]string{b.get("/name").body: fresh}
					if got := b2.get("/").body; got != "" {
						t.Errorf("the other side's session was accepted: user %q", got)
					}
					// A socket that the session opened is not served to the other side either.
					for _, p := range []bool{plain, !plain} {
						var owns bool
						app := fiber.New()
						app.Get("/", func(c *fiber.Ctx) error { owns = s.Owns(c, held); return nil })
						visitor := newBrowser(t, app)
						visitor.plain = p
						visitor.cookies = map[string]string{"sid": value, "session": value, "__Host-session": value, "__Secure-session": value}
						visitor.get("/")
						if owns != (p == plain) {
							t.Errorf("Owns for plain %t: got %t", p, owns)
						}
					}
				}
				if text := log.String(); strings.Contains(text, idOf(value)) {
					t.Errorf("the log has the session's ID:\n%s", text)
				}
				if n := strings.Count(log.String(), "was not accepted"); s.Stats().Crossed+there.Stats().Crossed > 0 && n == 0 || n > 4 {
					t.Errorf("got %d log lines about refused sessions:\n%s", n, &log)
				}
			})
		}
	}
}

// idOf returns the ID in a cookie's value, which may be signed.
func idOf(value string) string {
	id, _, _ := strings.Cut(value, ".")
	return id
}

// F5: what has no cookie is not bound to https or plain http: a handle, a header. A cookie
// is never given an ID of the other side.
func TestF5_OtherWaysCrossOnPurpose(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Extractor: fibersession.Chain(
		fibersession.FromCustom(func(c *fiber.Ctx) (string, error) { return c.Get("X-Key"), nil }),
		fibersession.FromCookie("sid"), fibersession.FromHeader("X-Session"))})
	var regenerate bool
	app := newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		user := valueOf[string](sess, "user")
		if regenerate {
			if err := sess.Regenerate(); err != nil {
				return err
			}
		} else if err := sess.Save(); err != nil {
			return err
		}
		return c.SendString(user)
	}})
	h := storedSession(t, s, map[string]any{"user": "ada"}) // of https
	for _, header := range []string{"X-Session", "X-Key"} {
		for _, regenerate = range []bool{false, true} {
			b := newBrowser(t, app)
			b.plain = true
			b.headers = map[string]string{header: h.ID()}
			res := b.get("/")
			if res.body != "ada" || len(res.set) != 0 {
				t.Errorf("%s: got user %q and the cookies %v, want ada and none", header, res.body, res.set)
			}
		}
	}
	if ids := s.Stats().Crossed; ids != 0 {
		t.Errorf("got Crossed %d, want 0", ids)
	}
}

// F5: with the forms of other programs a session cannot record where it began. It is the
// same on https and on plain http, as it is for those programs.
func TestF5_SharedFormsAreNotBound(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]fibersession.Config{"Builtin": {Builtin: true}, "Express": expressConfig(fibersession.Config{})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, cfg)
			b := newBrowser(t, userApp(s))
			b.get("/in")
			b.plain = true
			if got := b.get("/").body; got != "ada" {
				t.Errorf("got user %q, want ada", got)
			}
		})
	}
}

// F5: without EnableTrustedProxyCheck, Fiber believes any client that says https. On a site
// of plain http such a client gets a Secure cookie, which its browser drops, and nothing
// else: no session of another visitor and no session that plain http can use.
func TestF5_ClaimedHTTPS(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{KeyLookup: "cookie:sid"})
	app := userApp(s)
	victim := newBrowser(t, app)
	victim.plain = true
	victim.get("/in")

	liar := newBrowser(t, app) // says https
	liar.cookies["sid"] = victim.cookies["sid"]
	if got := liar.get("/").body; got != "" {
		t.Errorf("a client that says https was given the session of a plain cookie: user %q", got)
	}
	liar.cookies = map[string]string{}
	res := liar.get("/in")
	if len(res.set) != 1 || !res.set[0].Secure {
		t.Fatalf("got the cookies %v, want one that is Secure", res.set)
	}
	planted := newBrowser(t, app)
	planted.plain, planted.cookies["sid"] = true, liar.cookies["sid"]
	if got := planted.get("/").body; got != "" {
		t.Errorf("a session of claimed https was accepted over plain http: user %q", got)
	}
	if got := victim.get("/").body; got != "ada" {
		t.Errorf("the visitor's own session: got user %q, want ada", got)
	}
}

// F5: a session's mark survives its life: decoding on another node, a new ID by a handle, a
// note that leads from an old ID to the new one.
func TestF5_TheMarkStays(t *testing.T) {
	t.Parallel()
	_, s, there := twoNodes(t, fibersession.Config{KeyLookup: "cookie:sid"})
	b := newBrowser(t, userApp(s))
	b.plain = true
	b.get("/in")
	h := handleOf(t, there, b.cookies["sid"])
	must(t, h.Regenerate(ctx))
	ticket, err := h.CookieTicket(ctx)
	must(t, err)
	app := newApp(there, map[string]fiber.Handler{"/renew": func(c *fiber.Ctx) error { return there.RedeemCookie(c, ticket) }})
	b.app = app
	if res := b.get("/renew"); res.status != 200 || b.cookies["sid"] != h.ID() {
		t.Fatalf("got status %d and the cookies %v, want 200 and the new ID", res.status, res.set)
	}
	b.app = userApp(s)
	if got := b.get("/").body; got != "ada" {
		t.Errorf("with the new ID: got user %q, want ada", got)
	}
	b.plain = false
	if got := b.get("/").body; got != "" {
		t.Errorf("the session with a new ID was accepted on https: user %q", got)
	}
}

// IsSessionCookie knows the names of both sides, and of old logins.
func TestIsSessionCookie(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg  fibersession.Config
		want []string
	}{
		"default":       {want: []string{"__Host-session", "session", "session_id"}},
		"a domain":      {cfg: fibersession.Config{CookieDomain: "example.com"}, want: []string{"__Secure-session", "session", "session_id"}},
		"KeyLookup":     {cfg: fibersession.Config{KeyLookup: "cookie:sid"}, want: []string{"sid"}},
		"Builtin":       {cfg: fibersession.Config{Builtin: true}, want: []string{"session_id"}},
		"a header":      {cfg: fibersession.Config{KeyLookup: "header:sid"}},
		"a chain":       {cfg: fibersession.Config{Extractor: fibersession.Chain(fibersession.FromCookie("a"), fibersession.FromHeader("sid"), fibersession.FromCookie(""))}, want: []string{"a", "__Host-session", "session", "session_id"}},
		"Secure always": {cfg: fibersession.Config{CookieSecure: true}, want: []string{"__Host-session", "session_id"}},
	} {
		s := newStore(t, tt.cfg)
		for _, cookie := range []string{"__Host-session", "__Secure-session", "session", "session_id", "sid", "a", ""} {
			if want := strings.Contains(" "+strings.Join(tt.want, " ")+" ", " "+cookie+" ") && cookie != ""; s.IsSessionCookie(cookie) != want {
				t.Errorf("%s: IsSessionCookie(%q): got %t, want %t", name, cookie, !want, want)
			}
		}
	}
}
