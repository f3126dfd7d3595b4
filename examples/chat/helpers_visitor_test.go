package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// visitor is an HTTP client with cookies.
type visitor struct {
	t    *testing.T
	site string
	http http.Client
}

func newVisitor(t *testing.T, site string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, site: site, http: http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{ExpectContinueTimeout: 30 * time.Second}}}
	t.Cleanup(v.http.CloseIdleConnections)
	return v
}

// announce posts the first 20,000 of n bytes, and returns the status of the answer. A client that
// sends all of a refused body can lose the answer with the connection.
func (v *visitor) announce(path string, n int64) int {
	v.t.Helper()
	body, rest := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, v.site+path, io.MultiReader(strings.NewReader(strings.Repeat("x", 20_000)), body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.ContentLength = n
	req.Header.Set("Origin", v.site)
	res, err := v.http.Do(req)
	_ = rest.CloseWithError(io.ErrUnexpectedEOF)
	if err != nil {
		v.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// do sends a request with headers, given in pairs, and returns the response and its body.
func (v *visitor) do(method, path, body string, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.site+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.site)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, string(text)
}

// logIn logs in and returns the node that served the visitor.
func (v *visitor) logIn(name string) (node string) {
	v.t.Helper()
	res, _ := v.do(http.MethodPost, "/login", "name="+url.QueryEscape(name))
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" {
		v.t.Fatalf("logging in as %s leads to %s with %s", name, res.Request.URL, res.Status)
	}
	return res.Header.Get("X-Node")
}

// cookie returns the visitor's Cookie header, with the session's cookie and the proxy's.
func (v *visitor) cookie() string {
	at, _ := url.Parse(v.site)
	var all []string
	for _, c := range v.http.Jar.Cookies(at) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// window returns a browser context with the visitor's cookies.
func (v *visitor) window(browser *nodetest.Browser) *nodetest.Context {
	at, _ := url.Parse(v.site)
	cookies := []map[string]any{}
	for _, c := range v.http.Jar.Cookies(at) {
		cookies = append(cookies, map[string]any{"name": c.Name, "value": c.Value, "domain": at.Hostname(), "path": "/",
			"expires": -1, "httpOnly": true, "secure": strings.HasPrefix(c.Name, "__"), "sameSite": "Lax"})
	}
	return browser.NewContext(map[string]any{"storageState": map[string]any{"cookies": cookies, "origins": []any{}}})
}

// visitorOnOtherNode returns a visitor that the proxy sends to another node.
func visitorOnOtherNode(t *testing.T, site, node string) *visitor {
	t.Helper()
	for range 60 { // 60 visitors on one of three nodes by chance is practically impossible
		v := newVisitor(t, site)
		if res, _ := v.do("GET", "/login", ""); res.Header.Get("X-Node") != node {
			return v
		}
	}
	t.Fatalf("the proxy sends all visitors to %s", node)
	return nil
}
