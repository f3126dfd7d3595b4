package socketbridge_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// C10: under a name with a hash the script is the same for good, and another version
// has another name; under the plain name a browser asks each time.
func TestC10_ScriptsAreNeverStale(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{}).serve()
	a := s.agent()
	module, classic := s.io.ScriptURL("module"), s.io.ScriptURL("classic")
	hash := strings.TrimSuffix(strings.TrimPrefix(module, "/socket.io/fiberbridge."), ".mjs")
	_, body := a.ask("GET", module)
	res, _ := a.ask("GET", "/socket.io/fiberbridge.mjs")
	etag := res.Header.Get("ETag")
	if len(hash) != 16 || !strings.Contains(body, "export function connectWithSession") || strings.Contains(body, `from "./`) {
		t.Fatalf("%s is not the module", module)
	}
	if _, script := a.ask("GET", classic); !strings.HasPrefix(script, "var fiberbridge = ") || strings.Contains(script, "\nexport ") {
		t.Error("the classic script is none")
	}
	const forGood, askAgain = "public, max-age=31536000, immutable", "no-cache"
	tests := []struct {
		name, method, path, none string // If-None-Match
		status                   int
		cache                    string
	}{
		{"module", "GET", module, "", 200, forGood},
		{"classic", "GET", classic, "", 200, forGood},
		{"with the same ETag", "GET", module, etag, 304, forGood},
		{"HEAD", "HEAD", module, "", 200, forGood},
		{"plain name", "GET", "/socket.io/fiberbridge.mjs", "", 200, askAgain},
		{"plain classic name", "GET", "/socket.io/fiberbridge.js", "", 200, askAgain},
		{"plain name again", "GET", "/socket.io/fiberbridge.mjs", etag, 304, askAgain},
		{"weak, as of a compressing proxy", "GET", "/socket.io/fiberbridge.mjs", "W/" + etag, 304, askAgain},
		{"among others", "GET", "/socket.io/fiberbridge.mjs", `"x", ` + etag, 304, askAgain},
		{"whatever there is", "GET", "/socket.io/fiberbridge.mjs", "*", 304, askAgain},
		{"an older version's", "GET", "/socket.io/fiberbridge.mjs", `"AAAAAAAAAAAAAAAA"`, 200, askAgain},
		{"an older hash", "GET", "/socket.io/fiberbridge.AAAAAAAAAAAAAAAA.mjs", "", 404, "no-store"},
		{"the other's hash", "GET", strings.Replace(module, ".mjs", ".js", 1), "", 404, "no-store"},
		{"no hash at all", "GET", "/socket.io/fiberbridge..mjs", "", 404, "no-store"},
		{"POST", "POST", module, "", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := a.ask(tt.method, tt.path, "If-None-Match", tt.none)
			if res.StatusCode != tt.status || res.Header.Get("Cache-Control") != tt.cache {
				t.Errorf("%d, Cache-Control %q", res.StatusCode, res.Header.Get("Cache-Control"))
			}
			if full := tt.status == 200 && tt.method == "GET"; full != (len(body) > 1000) {
				t.Errorf("a body of %d bytes", len(body))
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || len(res.Cookies()) > 0 {
				t.Errorf("headers %v", res.Header)
			}
			if tt.status == 200 && (res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || res.Header.Get("Etag") == "") {
				t.Errorf("headers %v", res.Header)
			}
		})
	}
	elsewhere := newSite(t, options{bridge: socketbridge.Config{Engine: engineAt("/live/")}}).serve()
	if res, _ := elsewhere.agent().ask("GET", elsewhere.io.ScriptURL("module")); res.StatusCode != 200 || !strings.HasPrefix(res.Request.URL.Path, "/live/fiberbridge.") {
		t.Errorf("on another path: %d", res.StatusCode)
	}
	defer func() {
		if recover() == nil {
			t.Error("a kind that there is not is taken")
		}
	}()
	s.io.ScriptURL("css")
}

// C10 in Chromium, whose cache is the one that counts: the hashed script is fetched
// once however many pages load it; the plain one is asked for by each and sent once.
func TestC10_InTheBrowsersCache(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	var mu sync.Mutex
	seen := map[string][]int{}
	s := newSite(t, options{before: func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			err := c.Next()
			if path := string(c.Context().Path()); strings.Contains(path, "fiberbridge") {
				mu.Lock()
				seen[path] = append(seen[path], c.Response().StatusCode())
				mu.Unlock()
			}
			return err
		})
	}})
	pages := map[string]string{"hashed": s.io.ScriptURL("module"), "plain": "/socket.io/fiberbridge.mjs"}
	s.app.Get("/:page", func(c *fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>t</title><link rel="icon" href="data:,"><p id="there"></p><script type="module">
			import { connectWithSession } from "` + pages[c.Params("page")] + `";
			document.getElementById("there").textContent = typeof connectWithSession;
		</script>`)
	})
	s.serve()
	browser := n.Browser(t)
	for name := range pages {
		page := browser.Open(s.url + "/" + name)
		for range 2 {
			page.WaitText("#there", "function")
			page.Goto("about:blank")
			page.Goto(s.url + "/" + name)
		}
		page.WaitText("#there", "function")
		page.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	if got := seen[pages["hashed"]]; len(got) != 1 || got[0] != http.StatusOK {
		t.Errorf("the hashed script was answered with %v", got)
	}
	got := seen[pages["plain"]]
	if len(got) < 2 || got[0] != http.StatusOK {
		t.Fatalf("the plain one was answered with %v", got)
	}
	for _, status := range got[1:] {
		if status != http.StatusNotModified {
			t.Errorf("the plain one was answered with %v", got)
		}
	}
}
