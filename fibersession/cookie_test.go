package fibersession_test

import (
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

func TestCookie_Attributes(t *testing.T) {
	t.Parallel()
	const week = "; max-age=604800"
	tests := map[string]struct {
		cfg   fibersession.Config
		host  string
		plain bool
		want  string // ID stands for the session's ID
	}{
		"default":                         {want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"plain http":                      {plain: true, want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"plain http, with a domain":       {plain: true, cfg: fibersession.Config{CookieDomain: "example.com"}, want: "session=ID" + week + "; domain=example.com; path=/; HttpOnly; SameSite=Lax"},
		"plain http, a name by KeyLookup": {plain: true, cfg: fibersession.Config{KeyLookup: "cookie:sid"}, want: "sid=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"plain http, a __Host- name":      {plain: true, cfg: fibersession.Config{KeyLookup: "cookie:__Host-a"}, want: "__Host-a=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"plain http, a __Secure- name":    {plain: true, cfg: fibersession.Config{KeyLookup: "cookie:__secure-a"}, want: "__secure-a=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"plain http, SameSite none":       {plain: true, cfg: fibersession.Config{CookieSameSite: "None"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=None"},
		"plain http, CookieSecure":        {plain: true, cfg: fibersession.Config{CookieSecure: true}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"localhost on plain http":         {plain: true, host: "localhost:3000", want: "session=ID" + week + "; path=/; HttpOnly; SameSite=Lax"},
		"localhost on https":              {host: "localhost:3000", want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"domain":                          {cfg: fibersession.Config{CookieDomain: "example.com"}, want: "__Secure-session=ID" + week + "; domain=example.com; path=/; HttpOnly; secure; SameSite=Lax"},
		"path":                            {cfg: fibersession.Config{CookiePath: "/app"}, want: "__Secure-session=ID" + week + "; path=/app; HttpOnly; secure; SameSite=Lax"},
		"partitioned":                     {cfg: fibersession.Config{CookiePartitioned: true, CookieSameSite: "None"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=None; Partitioned"},
		"partitioned, with a path":        {cfg: fibersession.Config{CookiePartitioned: true, CookiePath: "/app"}, want: "__Secure-session=ID" + week + "; path=/app; HttpOnly; secure; SameSite=Lax; Partitioned"},
		"partitioned on plain http":       {plain: true, cfg: fibersession.Config{CookiePartitioned: true}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax; Partitioned"},
		"SameSite strict":                 {cfg: fibersession.Config{CookieSameSite: "strict"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Strict"},
		"SameSite none":                   {cfg: fibersession.Config{CookieSameSite: "None"}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=None"},
		"until the browser closes":        {cfg: fibersession.Config{CookieSessionOnly: true}, want: "__Host-session=ID; path=/; HttpOnly; secure; SameSite=Lax"},
		"not HttpOnly":                    {cfg: fibersession.Config{CookieHTTPOnly: false}, want: "__Host-session=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"a name by KeyLookup":             {cfg: fibersession.Config{KeyLookup: "cookie:sid"}, want: "sid=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"a name by CookieName":            {cfg: fibersession.Config{CookieName: "sid"}, want: "sid=ID" + week + "; path=/; HttpOnly; secure; SameSite=Lax"},
		"no absolute limit":               {cfg: fibersession.Config{Timeouts: fibersession.Timeouts{Absolute: -1}}, want: "__Host-session=ID; max-age=34560000; path=/; HttpOnly; secure; SameSite=Lax"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, tt.cfg)
			var named string
			app := newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					named = s.CookieNameOf(c)
					fibersession.FromContext(c).Set("n", 1)
					return nil
				},
				"/out": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
			})
			b := newBrowser(t, app)
			if tt.host != "" {
				b.host = tt.host
			}
			b.plain = tt.plain
			res := b.get("/")
			if len(res.set) != 1 {
				t.Fatalf("got %d cookies, want 1", len(res.set))
			}
			id := res.set[0].Value
			if got := strings.Replace(res.header.Get("Set-Cookie"), id, "ID", 1); got != tt.want {
				t.Errorf("got Set-Cookie %s\nwant           %s", got, tt.want)
			}
			if named != res.set[0].Name {
				t.Errorf("CookieName: got %q, want %q", named, res.set[0].Name)
			}
			if got := handleOf(t, s, id).Get("n"); got != 1 {
				t.Errorf("got n = %v, want 1", got)
			}
			// The next request finds the session and sets no cookie.
			if res := b.get("/"); len(res.set) != 0 || b.cookies[named] != id {
				t.Error("the second request got a cookie, want none")
			}
			// Destroy removes the cookie: the same attributes, with a date in the past.
			out := b.get("/out").header.Get("Set-Cookie")
			want := strings.NewReplacer("ID", "", week, "; expires=Tue, 10 Nov 2009 23:00:00 GMT", "; max-age=34560000", "; expires=Tue, 10 Nov 2009 23:00:00 GMT").Replace(tt.want)
			if tt.cfg.CookieSessionOnly {
				want = strings.Replace(want, ";", "; expires=Tue, 10 Nov 2009 23:00:00 GMT;", 1)
			}
			if out != want {
				t.Errorf("after Destroy: got Set-Cookie %s\nwant                          %s", out, want)
			}
		})
	}
}
