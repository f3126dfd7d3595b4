package socketbridge_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// C10: a script under a name with a hash never changes, and another version has another
// name. Under the plain name, the browser revalidates it each time.
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
		t.Fatalf("%s is not the ES module: hash %q, body of %d bytes", module, hash, len(body))
	}
	if _, script := a.ask("GET", classic); !strings.HasPrefix(script, "var fiberbridge = ") || strings.Contains(script, "\nexport ") {
		t.Error("the classic script is not one: want it to start with var fiberbridge and export nothing")
	}
	const forever, revalidate = "public, max-age=31536000, immutable", "no-cache"
	tests := []struct {
		name, method, path, none string // If-None-Match
		status                   int
		cache                    string
	}{
		{"module", "GET", module, "", 200, forever},
		{"classic", "GET", classic, "", 200, forever},
		{"with the same ETag", "GET", module, etag, 304, forever},
		{"HEAD", "HEAD", module, "", 200, forever},
		{"plain name", "GET", "/socket.io/fiberbridge.mjs", "", 200, revalidate},
		{"plain classic name", "GET", "/socket.io/fiberbridge.js", "", 200, revalidate},
		{"plain name again", "GET", "/socket.io/fiberbridge.mjs", etag, 304, revalidate},
		{"weak ETag, as a compressing proxy sends", "GET", "/socket.io/fiberbridge.mjs", "W/" + etag, 304, revalidate},
		{"one of several ETags", "GET", "/socket.io/fiberbridge.mjs", `"x", ` + etag, 304, revalidate},
		{"any ETag", "GET", "/socket.io/fiberbridge.mjs", "*", 304, revalidate},
		{"ETag of an older version", "GET", "/socket.io/fiberbridge.mjs", `"AAAAAAAAAAAAAAAA"`, 200, revalidate},
		{"an older hash", "GET", "/socket.io/fiberbridge.AAAAAAAAAAAAAAAA.mjs", "", 404, "no-store"},
		{"hash of the other script", "GET", strings.Replace(module, ".mjs", ".js", 1), "", 404, "no-store"},
		{"no hash at all", "GET", "/socket.io/fiberbridge..mjs", "", 404, "no-store"},
		{"POST", "POST", module, "", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := a.ask(tt.method, tt.path, "If-None-Match", tt.none)
			if res.StatusCode != tt.status || res.Header.Get("Cache-Control") != tt.cache {
				t.Errorf("got status %d and Cache-Control %q, want %d and %q", res.StatusCode, res.Header.Get("Cache-Control"), tt.status, tt.cache)
			}
			if full := tt.status == 200 && tt.method == "GET"; full != (len(body) > 1000) {
				t.Errorf("got a body of %d bytes, want the script: %v", len(body), full)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || len(res.Cookies()) > 0 {
				t.Errorf("got headers %v, want nosniff and no cookies", res.Header)
			}
			if tt.status == 200 && (res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || res.Header.Get("Etag") == "") {
				t.Errorf("got headers %v, want a JavaScript type and an ETag", res.Header)
			}
		})
	}
	other := newSite(t, options{bridge: socketbridge.Config{Engine: engineAt("/live/")}}).serve()
	if res, _ := other.agent().ask("GET", other.io.ScriptURL("module")); res.StatusCode != 200 || !strings.HasPrefix(res.Request.URL.Path, "/live/fiberbridge.") {
		t.Errorf("on another path: got status %d for %s, want 200", res.StatusCode, res.Request.URL.Path)
	}
	for page, want := range map[string]string{
		"/":                "./socket.io/fiberbridge.",
		"/?a=/b/c/":        "./socket.io/fiberbridge.",
		"/index.html":      "./socket.io/fiberbridge.",
		"/rooms/":          "../socket.io/fiberbridge.",
		"/rooms/1?x=/y":    "../socket.io/fiberbridge.",
		"/a%2Fb":           "./socket.io/fiberbridge.",
		"http://x.test/a/": "../socket.io/fiberbridge.",
		"/a//b":            "../../socket.io/fiberbridge.",
		"//evil.test/":     "../../socket.io/fiberbridge.",
	} {
		var c fasthttp.RequestCtx
		c.Request.SetRequestURI(page)
		fc := s.app.AcquireCtx(&c)
		if got := s.io.ScriptURL("module", fc); !strings.HasPrefix(got, want) || strings.TrimPrefix(got, want) != hash+".mjs" {
			t.Errorf("for the page %s: got %s, want %s<hash>.mjs", page, got, want)
		}
		s.app.ReleaseCtx(fc)
	}
	defer func() {
		if recover() == nil {
			t.Error("ScriptURL of an unknown kind did not panic")
		}
	}()
	s.io.ScriptURL("css")
}

// C10 in Chromium with its cache: the hashed script is fetched once for all pages. The
// plain one is revalidated by each page and sent once.
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
		t.Errorf("the hashed script was answered with %v, want one 200", got)
	}
	got := seen[pages["plain"]]
	if len(got) < 2 || got[0] != http.StatusOK {
		t.Fatalf("the plain script was answered with %v, want 200 and then 304", got)
	}
	for _, status := range got[1:] {
		if status != http.StatusNotModified {
			t.Errorf("the plain script was answered with %v, want 304 after the first", got)
		}
	}
}
