package fibersession_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// A Secure cookie that was sent over plain http, and that browsers therefore drop, is
// logged once.
func TestCookie_WarnsOfSecureCookieOverHTTP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg     fibersession.Config
		host    string
		headers map[string]string
		want    int
	}{
		"plain http":                       {host: "192.168.1.5:3000", want: 1},
		"a proxy that forwards plain http": {host: "shop.example", headers: map[string]string{"X-Forwarded-Proto": "http"}, want: 1},
		"a proxy that terminates TLS":      {host: "shop.example", headers: map[string]string{"X-Forwarded-Proto": "https"}},
		"a proxy that does not say which":  {host: "shop.example", headers: map[string]string{"X-Forwarded-For": "1.2.3.4"}},
		"localhost":                        {host: "localhost:3000"},
		"a proxy on localhost":             {host: "localhost:3000", headers: map[string]string{"X-Forwarded-Proto": "http"}},
		"Insecure":                         {cfg: fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}}, host: "192.168.1.5:3000"},
		"CookieSecure is set":              {cfg: fibersession.Config{CookieSecure: true}, host: "shop.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			app := newApp(newStore(t, tt.cfg), map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error { return fibersession.FromContext(c).Save() },
			})
			for range 2 {
				b := newBrowser(t, app)
				b.host, b.headers = tt.host, tt.headers
				if res := b.get("/"); len(res.set) != 1 {
					t.Fatalf("got %d cookies, want 1", len(res.set))
				}
			}
			if got := strings.Count(log.String(), "a Secure cookie was sent over plain http"); got != tt.want {
				t.Errorf("got %d warnings, want %d:\n%s", got, tt.want, &log)
			}
		})
	}
}
