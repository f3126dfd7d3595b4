package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// An attacker that plants a session in a browser is not logged in when the victim logs in.
func TestSigningInChangesTheSessionsID(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	newUser(t, site, "ada")
	for path, more := range map[string][]string{
		"/login":  {"login", "ada"},
		"/signup": {"login", "bob", "name", "Bob"},
	} {
		victim := newVisitor(t, site)
		token := victim.token(path)
		planted := victim.cookie()
		if planted == "" {
			t.Fatal("the form was served without a session")
		}
		res, _ := victim.submit(path, token, append(more, "password", password)...)
		if res.StatusCode != http.StatusSeeOther || !victim.loggedIn() {
			t.Fatalf("%s: %s", path, res.Status)
		}
		if withCookie(t, site, planted).loggedIn() {
			t.Errorf("%s: the cookie from before the login opens the dashboard", path)
		}
		if res, _ := victim.submit("/logout", token); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: the CSRF token from before the login still works: %s", path, res.Status)
		}
	}
}

func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	ada, bob := newUser(t, site, "ada"), newUser(t, site, "bob")
	for name, token := range map[string]string{
		"none":                               "",
		"wrong":                              "x",
		"of a visitor that is not logged in": newVisitor(t, site).token("/login"),
		"of another user":                    bob.token("/"),
	} {
		for _, path := range []string{"/logout", "/logout/everywhere"} {
			if res, _ := ada.submit(path, token); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s, token %s: %s", path, name, res.Status)
			}
		}
		v := newVisitor(t, site)
		res, body := v.submit("/login", token, "login", "ada", "password", password)
		if res.StatusCode != http.StatusForbidden || !tokenField.MatchString(body) {
			t.Errorf("/login, token %s: status %s, or no new form; want 403 and a form", name, res.Status)
		}
		if v.loggedIn() {
			t.Errorf("/login, token %s: the login succeeded", name)
		}
	}
	if !ada.loggedIn() {
		t.Error("ada was logged out")
	}
	ada.submit("/logout", ada.token("/"))
	if ada.loggedIn() {
		t.Error("with the right token, ada was not logged out")
	}
}

func TestLogOutEverywhere(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	first, other := newUser(t, site, "ada"), newUser(t, site, "bob")
	second := newVisitor(t, site)
	second.submit("/login", second.token("/login"), "login", "ada", "password", password)
	if !second.loggedIn() {
		t.Fatal("not logged in")
	}
	second.submit("/logout/everywhere", second.token("/"))
	if first.loggedIn() || second.loggedIn() {
		t.Error("a session of the user is still valid")
	}
	if !other.loggedIn() {
		t.Error("another user was logged out")
	}
}

// A wrong name and a wrong password get the same response.
func TestLoginDoesNotRevealNames(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	newUser(t, site, "ada")
	answer := func(login, pass string) string {
		v := newVisitor(t, site)
		res, body := v.submit("/login", v.token("/login"), "login", login, "password", pass)
		body = tokenField.ReplaceAllString(body, "")
		return res.Status + strings.ReplaceAll(body, `value="`+login+`"`, "")
	}
	wrongPassword, wrongName := answer("ada", "wrong password"), answer("eve", "wrong password")
	if wrongPassword != wrongName || !strings.HasPrefix(wrongPassword, "401") {
		t.Errorf("a wrong password: %s\na wrong name: %s", wrongPassword, wrongName)
	}
}

func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	newUser(t, site, "ada")
	newUser(t, site, "bob")
	v := newVisitor(t, site)
	token := v.token("/login")
	try := func(login, pass string) int {
		res, _ := v.submit("/login", token, "login", login, "password", pass)
		return res.StatusCode
	}
	for range loginsPerName {
		if got := try("@ADA ", "wrong password"); got != http.StatusUnauthorized {
			t.Fatal(got)
		}
	}
	if got := try("ada", password); got != http.StatusTooManyRequests {
		t.Errorf("after %d wrong passwords, the right one gets status %d", loginsPerName, got)
	}
	if got := try("bob", password); got != http.StatusSeeOther {
		t.Errorf("another user gets status %d", got)
	}
}

// A rejected form keeps what was typed, escaped, and without the password.
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
			t.Errorf("the form does not contain %q", typed+bad)
		}
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "z&#34;") {
		t.Error(body)
	}
}

func TestAnswersAreSafe(t *testing.T) {
	t.Parallel()
	v := newUser(t, start(t, "memory://"), "ada")
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
		t.Error("the dashboard may be cached")
	}
	for _, path := range []string{"/login", "/signup", "/nothing"} {
		if res, _ := newVisitor(t, v.site).get(path); res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
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
		if res, body := v.get(path); res.StatusCode != want || !strings.Contains(body, "Back to the home page") {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}
