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

// visitor is somebody with a browser that runs no scripts.
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

// member is a visitor who has signed up.
func member(t *testing.T, site, login string) *visitor {
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

// token returns the token of the forms on a page.
func (v *visitor) token(path string) string {
	v.t.Helper()
	_, body := v.get(path)
	found := tokenField.FindStringSubmatch(body)
	if found == nil {
		v.t.Fatalf("no form on %s: %s", path, body)
	}
	return found[1]
}

// cookie returns the Cookie header that the visitor's browser sends.
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

// inside says whether the dashboard opens.
func (v *visitor) inside() bool {
	v.t.Helper()
	res, _ := v.get("/")
	return res.StatusCode == http.StatusOK
}

// withCookie is a visitor who sends the cookie of another.
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

// Who plants a session and waits until somebody signs in with it, has nothing.
func TestSigningInChangesTheSessionsID(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	member(t, site, "ada")
	for path, more := range map[string][]string{
		"/login":  {"login", "ada"},
		"/signup": {"login", "bob", "name", "Bob"},
	} {
		victim := newVisitor(t, site)
		token := victim.token(path)
		planted := victim.cookie()
		if planted == "" {
			t.Fatal("the form came without a session")
		}
		res, _ := victim.submit(path, token, append(more, "password", password)...)
		if res.StatusCode != http.StatusSeeOther || !victim.inside() {
			t.Fatalf("%s: %s", path, res.Status)
		}
		if withCookie(t, site, planted).inside() {
			t.Errorf("%s: the cookie from before opens the dashboard", path)
		}
		if res, _ := victim.submit("/logout", token); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: a form's token from before is good after it: %s", path, res.Status)
		}
	}
}

func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	ada, bob := member(t, site, "ada"), member(t, site, "bob")
	for name, token := range map[string]string{
		"none":         "",
		"wrong":        "x",
		"of a visitor": newVisitor(t, site).token("/login"),
		"of another":   bob.token("/"),
	} {
		for _, path := range []string{"/logout", "/logout/everywhere"} {
			if res, _ := ada.submit(path, token); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s, token %s: %s", path, name, res.Status)
			}
		}
		v := newVisitor(t, site)
		res, body := v.submit("/login", token, "login", "ada", "password", password)
		if res.StatusCode != http.StatusForbidden || !tokenField.MatchString(body) {
			t.Errorf("/login, token %s: %s, or no new form", name, res.Status)
		}
		if v.inside() {
			t.Errorf("/login, token %s: it let somebody in", name)
		}
	}
	if !ada.inside() {
		t.Error("ada was logged out")
	}
	ada.submit("/logout", ada.token("/"))
	if ada.inside() {
		t.Error("with the right token, ada was not logged out")
	}
}

func TestLogOutEverywhere(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	first, other := member(t, site, "ada"), member(t, site, "bob")
	second := newVisitor(t, site)
	second.submit("/login", second.token("/login"), "login", "ada", "password", password)
	if !second.inside() {
		t.Fatal("not logged in")
	}
	second.submit("/logout/everywhere", second.token("/"))
	if first.inside() || second.inside() {
		t.Error("a session of the user lives on")
	}
	if !other.inside() {
		t.Error("somebody else was logged out")
	}
}

// A wrong name and a wrong password look the same.
func TestLoginTellsNotWhatWasWrong(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	member(t, site, "ada")
	answer := func(login, pass string) string {
		v := newVisitor(t, site)
		res, body := v.submit("/login", v.token("/login"), "login", login, "password", pass)
		body = tokenField.ReplaceAllString(body, "")
		return res.Status + strings.ReplaceAll(body, `value="`+login+`"`, "")
	}
	wrong, nobody := answer("ada", "wrong password"), answer("eve", "wrong password")
	if wrong != nobody || !strings.HasPrefix(wrong, "401") {
		t.Errorf("a wrong password: %s\na wrong name: %s", wrong, nobody)
	}
}

func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	member(t, site, "ada")
	member(t, site, "bob")
	v := newVisitor(t, site)
	token := v.token("/login")
	try := func(login, pass string) int {
		res, _ := v.submit("/login", token, "login", login, "password", pass)
		return res.StatusCode
	}
	for range signInsPerUser {
		if got := try("@ADA ", "wrong password"); got != http.StatusUnauthorized {
			t.Fatal(got)
		}
	}
	if got := try("ada", password); got != http.StatusTooManyRequests {
		t.Errorf("after %d wrong ones, the right password gets %d", signInsPerUser, got)
	}
	if got := try("bob", password); got != http.StatusSeeOther {
		t.Errorf("somebody else gets %d", got)
	}
}

// A form comes back with what was typed, as text, and without the password.
func TestFormIsRepeatedAsText(t *testing.T) {
	t.Parallel()
	v := newVisitor(t, start(t, "memory://"))
	const bad = `"><script>alert(1)</script>`
	res, body := v.submit("/signup", v.token("/signup"), "login", "x"+bad, "name", "y"+bad, "password", "z"+bad)
	if res.StatusCode != http.StatusUnprocessableEntity {
		t.Error(res.Status)
	}
	for _, typed := range []string{"x", "y"} {
		if !strings.Contains(body, typed+"&#34;&gt;&lt;script&gt;") {
			t.Errorf("%q was not repeated", typed+bad)
		}
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "z&#34;") {
		t.Error(body)
	}
}

func TestAnswersAreSafe(t *testing.T) {
	t.Parallel()
	v := member(t, start(t, "memory://"), "ada")
	_, home := v.get("/")
	assets := regexp.MustCompile(`/assets/[0-9a-f]+/[a-z.]+`).FindAllString(home, -1)
	if len(assets) < 3 {
		t.Fatalf("assets: %q", assets)
	}
	for _, path := range append(assets, "/", "/login", "/signup", "/nothing", "/socket.io/?EIO=4&transport=none") {
		res, _ := v.get(path)
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, got)
		}
	}
	if res, _ := v.get("/"); res.Header.Get("Cache-Control") != "no-store" {
		t.Error("the dashboard may be kept")
	}
	for _, path := range []string{"/login", "/signup", "/nothing"} {
		if res, _ := newVisitor(t, v.site).get(path); res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", path)
		}
	}
	for _, path := range assets {
		res, body := v.get(path)
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Set-Cookie") != "" || body == "" {
			t.Errorf("%s: %s %v", path, res.Status, res.Header)
		}
	}
	for path, want := range map[string]int{
		"/nothing":                   http.StatusNotFound,
		"/assets/0123/app.css":       http.StatusNotFound,
		assets[0] + "/../schema.sql": http.StatusNotFound,
	} {
		if res, body := v.get(path); res.StatusCode != want || !strings.Contains(body, "Back to the start") {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}
