package fibersession_test

import (
	"fmt"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// F5: Chromium visits one host name over plain http and over https. Each side has its own
// session, and neither is ever served to the other.
func TestF5_InTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for name, tt := range map[string]struct {
		cfg           fibersession.Config
		plain, secure string // names of the cookies
		after         []int  // visits over plain http after those over https
	}{
		"default": {plain: "session", secure: "__Host-session", after: []int{4, 5}},
		// A browser with a Secure cookie keeps no other cookie of that name from plain http.
		"KeyLookup": {cfg: fibersession.Config{KeyLookup: "cookie:sid"}, plain: "sid", secure: "sid", after: []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, tt.cfg)
			config := fiber.Config{DisableStartupMessage: true}
			plainPort, securePort := serveBoth(t, appOf(s, config), appOf(s, config))
			plain, secure := "http://app.test:"+plainPort+"/", "https://app.test:"+securePort+"/"
			browser := n.Browser(t).NewContext(map[string]any{"ignoreHTTPSErrors": true})
			page := browser.Open("about:blank")
			visit := func(url string, want ...int) {
				t.Helper()
				for _, n := range want {
					page.Goto(url)
					if got := page.Text("body"); got != fmt.Sprint(n) {
						t.Errorf("%s: got %s visits, want %d", url, got, n)
					}
				}
			}
			visit(plain, 1, 2, 3)
			if got := browser.Cookies(plain); len(got) != 1 || got[0].Name != tt.plain || got[0].Secure || !got[0].HTTPOnly || got[0].Domain != "app.test" {
				t.Errorf("over plain http: got the cookies %+v, want one %s that is not Secure", got, tt.plain)
			}
			visit(secure, 1, 2)
			var kept *nodetest.Cookie
			for _, c := range browser.Cookies(secure) {
				if c.Name == tt.secure {
					kept = &c
				}
			}
			if kept == nil || !kept.Secure || !kept.HTTPOnly || kept.Path != "/" || kept.SameSite != "Lax" {
				t.Errorf("over https: got the cookie %+v, want a Secure %s", kept, tt.secure)
			}
			visit(plain, tt.after...)
			visit(secure, 3)
		})
	}
}
