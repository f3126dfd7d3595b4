package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// visitor is an HTTP client with cookies and without JavaScript.
type visitor struct {
	t    *testing.T
	site string
	http.Client
}

func newVisitor(t *testing.T, site string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, site: site}
	v.Jar = jar
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// newUser returns a visitor that has signed up.
func newUser(t *testing.T, site, login string) *visitor {
	t.Helper()
	v := newVisitor(t, site)
	res, body := v.submit("/signup", v.token("/signup"), "login", login, "name", login, "password", password)
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign up: %s %s", res.Status, body)
	}
	return v
}

func (v *visitor) get(path string) (*http.Response, string) {
	v.t.Helper()
	return v.read(v.Get(v.site + path))
}

func (v *visitor) submit(path, token string, pairs ...string) (*http.Response, string) {
	v.t.Helper()
	form := url.Values{"csrf": {token}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.read(v.PostForm(v.site+path, form))
}

func (v *visitor) read(res *http.Response, err error) (*http.Response, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, string(body)
}

var tokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// token returns the CSRF token of the forms on a page.
func (v *visitor) token(path string) string {
	v.t.Helper()
	_, body := v.get(path)
	found := tokenField.FindStringSubmatch(body)
	if found == nil {
		v.t.Fatalf("%s has no CSRF token: %s", path, body)
	}
	return found[1]
}

// cookie returns the Cookie header that the visitor sends.
func (v *visitor) cookie() string {
	v.t.Helper()
	at, err := url.Parse(v.site)
	if err != nil {
		v.t.Fatal(err)
	}
	var pairs []string
	for _, c := range v.Jar.Cookies(at) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// loggedIn reports whether the visitor can open the dashboard.
func (v *visitor) loggedIn() bool {
	v.t.Helper()
	res, _ := v.get("/")
	return res.StatusCode == http.StatusOK
}

// withCookie returns a visitor that sends the cookies of another one.
func withCookie(t *testing.T, site, header string) *visitor {
	t.Helper()
	v := newVisitor(t, site)
	at, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	cookies, err := http.ParseCookie(header)
	if err != nil {
		t.Fatal(err)
	}
	v.Jar.SetCookies(at, cookies)
	return v
}
