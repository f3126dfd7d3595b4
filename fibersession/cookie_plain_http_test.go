package fibersession_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// TestCookie_LostOnPlainHTTP: a cookie that no browser keeps is named in the log, once.
func TestCookie_LostOnPlainHTTP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg     fibersession.Config
		host    string
		headers map[string]string
		want    int
	}{
		"plain http":                 {host: "192.168.1.5:3000", want: 1},
		"a proxy that says so":       {host: "shop.example", headers: map[string]string{"X-Forwarded-Proto": "http"}, want: 1},
		"a proxy with TLS":           {host: "shop.example", headers: map[string]string{"X-Forwarded-Proto": "https"}},
		"a proxy that does not say":  {host: "shop.example", headers: map[string]string{"X-Forwarded-For": "1.2.3.4"}},
		"this machine":               {host: "localhost:3000"},
		"a proxy on this machine":    {host: "localhost:3000", headers: map[string]string{"X-Forwarded-Proto": "http"}},
		"Insecure":                   {cfg: fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}}, host: "192.168.1.5:3000"},
		"CookieSecure: it is wanted": {cfg: fibersession.Config{CookieSecure: true}, host: "shop.example"},
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
					t.Fatalf("%d cookies", len(res.set))
				}
			}
			if got := strings.Count(log.String(), "a Secure cookie was sent over plain http"); got != tt.want {
				t.Errorf("said %d times, want %d:\n%s", got, tt.want, &log)
			}
		})
	}
}
