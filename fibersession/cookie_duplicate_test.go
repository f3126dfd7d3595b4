package fibersession_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// visitCount counts the visits of a session at any path. With "only-read", the session is
// not saved.
func visitCount(s *fibersession.Store) *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/favicon.ico", func(c *fiber.Ctx) error { return c.SendStatus(204) }) // of every browser
	app.Use(s.Handler())
	app.Get("/*", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n := valueOf[int](sess, "n")
		switch c.Query("do") {
		case "only-read":
			return c.SendString(fmt.Sprint(n))
		case "destroy":
			if err := sess.Destroy(); err != nil {
				return err
			}
			sess.Set("m", 1)
			return c.SendString("1")
		case "login":
			sess.Set("n", n+1)
			if err := sess.Save(); err != nil {
				return err
			}
			if err := sess.Regenerate(); err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(n + 1))
		}
		sess.Set("n", n+1)
		return c.SendString(fmt.Sprint(n + 1))
	})
	return app
}

type duplication struct {
	old, new fibersession.Config
	path     string // of the visits
	secure   bool   // https
}

// duplicated are changes of the configuration after which browsers have two cookies.
var duplicated = map[string]duplication{
	"a domain is set":           {new: fibersession.Config{CookieDomain: "app.test"}},
	"a domain is removed":       {old: fibersession.Config{CookieDomain: "app.test"}},
	"a domain is narrowed":      {old: fibersession.Config{CookieDomain: "app.test"}, new: fibersession.Config{CookieDomain: "eu.app.test"}},
	"a domain is widened":       {old: fibersession.Config{CookieDomain: "www.eu.app.test"}, new: fibersession.Config{CookieDomain: "app.test"}},
	"a domain with a dot":       {old: fibersession.Config{CookieDomain: ".app.test"}, new: fibersession.Config{CookieDomain: "eu.app.test"}},
	"a path is set":             {new: fibersession.Config{CookiePath: "/shop"}, path: "/shop/cart"},
	"a path is removed":         {old: fibersession.Config{CookiePath: "/shop"}, path: "/shop/cart"},
	"a path with a slash":       {old: fibersession.Config{CookiePath: "/shop/"}, path: "/shop/cart"},
	"a path is lengthened":      {old: fibersession.Config{CookiePath: "/shop"}, new: fibersession.Config{CookiePath: "/shop/eu"}, path: "/shop/eu/cart"},
	"domain and path are set":   {new: fibersession.Config{CookieDomain: "app.test", CookiePath: "/shop"}, path: "/shop"},
	"a domain is set, on https": {new: fibersession.Config{CookieDomain: "app.test"}, secure: true},
	"the default names, https":  {old: fibersession.Config{KeyLookup: "cookie:__Secure-session", CookieDomain: "eu.app.test"}, new: fibersession.Config{KeyLookup: "cookie:__Secure-session", CookieDomain: "app.test"}, secure: true},
}

const duplicateHost = "www.eu.app.test"

// duplicateSites serves a site as it was and as it is after the change, with one storage. It
// returns the two stores, the sites' URLs and a client that keeps cookies.
func duplicateSites(t *testing.T, before, after fibersession.Config, secure bool, log io.Writer) (stores [2]*fibersession.Store, urls [2]string, client *http.Client) {
	t.Helper()
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	for i, cfg := range []fibersession.Config{before, after} {
		cfg.Storage = st
		if cfg.KeyLookup == "" {
			cfg.KeyLookup = "cookie:sid"
		}
		if i == 1 {
			cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		}
		stores[i] = newStore(t, cfg)
		app := visitCount(stores[i])
		plainPort, securePort := serveBoth(t, app, visitCount(stores[i]))
		urls[i] = "http://" + duplicateHost + ":" + plainPort
		if secure {
			urls[i] = "https://" + duplicateHost + ":" + securePort
		}
	}
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return stores, urls, &http.Client{Jar: jar, Transport: transport}
}

// F5: a client with two session cookies of one name is not locked out: the first response
// removes both and sets the session's own, and from then on there is one.
func TestF5_DuplicateCookiesAreRemoved(t *testing.T) {
	t.Parallel()
	for name, tt := range duplicated {
		if tt.path == "" {
			tt.path = "/"
		}
		for _, step := range []struct {
			do         string
			want, next string
			cookies    int // of the next visit
		}{
			{"", "1", "2", 0}, {"login", "1", "2", 0}, {"destroy", "1", "1", 0},
			{"only-read", "0", "1", 1},
		} {
			t.Run(name+" "+step.do, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				stores, urls, client := duplicateSites(t, tt.old, tt.new, tt.secure, &log)
				visit := func(site, query, want string) []string {
					t.Helper()
					res, err := client.Get(site + tt.path + query)
					must(t, err)
					defer func() { _ = res.Body.Close() }()
					body, err := io.ReadAll(res.Body)
					must(t, err)
					if string(body) != want {
						t.Errorf("%s: got %q, want %q", query, body, want)
					}
					return res.Header["Set-Cookie"]
				}
				here, err := url.Parse(urls[1] + tt.path)
				must(t, err)
				visit(urls[0], "", "1")
				visit(urls[1], "?do=login", "2") // sets the second cookie
				if got := len(client.Jar.Cookies(here)); got != 2 {
					t.Fatalf("got %d cookies in the jar, want 2", got)
				}
				size := 0
				for _, line := range visit(urls[1], "?do="+step.do, step.want) {
					size += len("Set-Cookie: " + line + "\r\n")
				}
				if size > 2<<10+300 {
					t.Errorf("the response has %d bytes of Set-Cookie headers, want at most 2 KiB and the session's cookie", size)
				}
				if set := visit(urls[1], "", step.next); len(set) != step.cookies {
					t.Errorf("the next visit: got the cookies %q, want %d", set, step.cookies)
				}
				if got := len(client.Jar.Cookies(here)); got != 1 {
					t.Errorf("got %d cookies in the jar, want 1: %v", got, client.Jar.Cookies(here))
				}
				if was, is := stores[0].Stats().Duplicates, stores[1].Stats().Duplicates; was != 0 || is != 1 {
					t.Errorf("got Duplicates %d and %d, want 0 and 1", was, is)
				}
				if n := strings.Count(log.String(), "two session cookies"); n != 1 || !strings.Contains(log.String(), "CookieDomain") {
					t.Errorf("got %d log lines about two cookies, want 1:\n%s", n, &log)
				}
			})
		}
	}
}

// F5: the same in Chromium. A cookie that became partitioned is one more such change.
func TestF5_DuplicateCookiesInTheBrowser(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	changes := maps.Clone(duplicated)
	maps.DeleteFunc(changes, func(name string, _ duplication) bool { // the others differ for the server alone
		return !slices.Contains([]string{"a domain is removed", "a path is removed", "a domain is set, on https"}, name)
	})
	partitioned := changes["a domain is set, on https"]
	partitioned.old, partitioned.new = fibersession.Config{KeyLookup: "cookie:__Host-a"}, fibersession.Config{KeyLookup: "cookie:__Host-a", CookiePartitioned: true}
	changes["a cookie is partitioned"] = partitioned
	partitioned.old, partitioned.new = partitioned.new, partitioned.old
	changes["a cookie is no longer partitioned"] = partitioned
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			stores, urls, _ := duplicateSites(t, tt.old, tt.new, tt.secure, &log)
			browser := n.Browser(t).NewContext(map[string]any{"ignoreHTTPSErrors": true})
			page := browser.Open("about:blank")
			visit := func(site, query, want string) {
				t.Helper()
				page.Goto(site + tt.path + query)
				if got := page.Text("body"); got != want {
					t.Errorf("%s: got %s, want %s", query, got, want)
				}
			}
			visit(urls[0], "", "1")
			visit(urls[1], "?do=login", "2")
			if got := len(browser.Cookies(urls[1] + tt.path)); got != 2 {
				t.Fatalf("the browser has %d cookies, want 2", got)
			}
			for _, want := range []string{"1", "2", "3"} {
				visit(urls[1], "", want)
			}
			if got := browser.Cookies(urls[1] + tt.path); len(got) != 1 {
				t.Errorf("the browser has the cookies %+v, want 1", got)
			}
			if got := stores[1].Stats().Duplicates; got != 1 {
				t.Errorf("got Duplicates %d, want 1", got)
			}
		})
	}
}

// The headers that remove cookies stay within their bound, and the session's own cookie
// comes last, whatever host and path a request names.
func TestF5_RemovalsAreBounded(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 60)
	for name, tt := range map[string]struct{ host, forwarded, path string }{
		"short":          {host: "app.test", path: "/"},
		"many labels":    {host: strings.Repeat("a.", 100) + "test", path: "/"},
		"long labels":    {host: label + "." + label + "." + label + ".test", path: "/"},
		"too long":       {host: strings.Repeat(label+".", 6) + "test", path: "/"},
		"two hosts":      {host: "10.0.0.1:8080", forwarded: "shop.app.test, 10.0.0.1", path: "/"},
		"a hostile host": {host: "app.test", forwarded: "app.test; path=/x", path: "/"},
		"long paths":     {host: "app.test", path: "/" + strings.Repeat(label+"/", 20)},
		"a hostile path": {host: "app.test", path: "/a;b=c/d,e/%0d%0a"},
		"an address":     {host: "[::1]:3000", path: "/a/b/c/d/e/f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fibersession.Config{KeyLookup: "cookie:sid", CookieDomain: "app.test", CookiePath: "/a"})
			app := visitCount(s)
			req := httptest.NewRequest("GET", tt.path, nil)
			req.Host = tt.host
			req.Header.Set("Cookie", "sid=a; sid=b")
			if tt.forwarded != "" {
				req.Header.Set("X-Forwarded-Host", tt.forwarded)
			}
			res, err := app.Test(req, -1)
			must(t, err)
			set, size := res.Header["Set-Cookie"], 0
			for i, line := range set {
				last := i == len(set)-1
				if removal := strings.HasPrefix(line, "sid=;") && strings.Contains(line, "max-age=0"); removal == last {
					t.Errorf("header %d of %d: got %s, want removals and then the session's cookie", i+1, len(set), line)
				}
				if strings.ContainsAny(line, ",\r\n") || strings.Count(line, ";") > 6 {
					t.Errorf("a header is not well formed: %s", line)
				}
				if !last {
					size += len("Set-Cookie: " + line + "\r\n")
				}
			}
			if len(set) < 3 || size > 2<<10 {
				t.Errorf("got %d cookies, and %d bytes of removals, want at least 3 and at most 2 KiB", len(set), size)
			}
			if tt.forwarded == "shop.app.test, 10.0.0.1" && !strings.Contains(strings.Join(set, "|"), "domain=shop.app.test") {
				t.Errorf("no cookie of the forwarded host is removed: %q", set)
			}
		})
	}
}

// The same cookie twice counts as one, and removes nothing.
func TestF5_EqualCookiesAreOne(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{KeyLookup: "cookie:sid"})
	b := newBrowser(t, visitCount(s))
	b.get("/")
	b.headers = map[string]string{"Cookie": "sid=" + b.cookies["sid"] + "; sid=" + b.cookies["sid"]}
	if res := b.get("/"); res.body != "2" || len(res.set) != 0 || s.Stats().Duplicates != 0 {
		t.Errorf("got %q, the cookies %v and Duplicates %d, want 2, none and 0", res.body, res.set, s.Stats().Duplicates)
	}
}
