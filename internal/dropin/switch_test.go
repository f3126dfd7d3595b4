package dropin_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A visitor logs in while the app runs on Fiber's middleware. Then the app runs on ours, over
// the same Redis: the visitor is still logged in, with the same value. The old session is gone:
// its key holds only a note for requests that are under way, for about a minute. After a logout,
// a copy of the old cookie is worth nothing.
func TestF3_SwitchLogsNobodyOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	fiber, ours := build(t, "patterns", nil), build(t, "patterns", swap)
	var names, databases []string
	for i, p := range list(t, fiber) {
		// Other values are stored by neither program.
		if strings.HasPrefix(p.Name, "login-") && !strings.HasSuffix(p.Name, "unregistered") {
			names, databases = append(names, p.Name), append(databases, strconv.Itoa(i))
		}
	}
	if len(names) < 20 {
		t.Fatalf("the program has only these logins: %v", names)
	}
	for _, storage := range []string{"driver", "own"} {
		for _, scheme := range []string{overHTTP, overHTTPS} {
			t.Run(storage+" "+scheme, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t, "--databases", "512")
				before := start(t, fiber, names, "-storage", "driver", "-redis", server.Addr())
				after := start(t, ours, names, "-storage", storage, "-redis", server.Addr())
				for i, name := range names {
					t.Run(name, func(t *testing.T) {
						redis := func(args ...string) string { return server.Do(append([]string{"-n", databases[i]}, args...)...) }
						switchApp(t, newSite(t, before[i], scheme), newSite(t, after[i], scheme), redis)
					})
				}
			})
		}
	}
}

func switchApp(t *testing.T, before, after *site, redis func(args ...string) string) {
	v := before.newVisitor()
	send := func(method, path string, status int) string {
		t.Helper()
		r, err := v.send(method, path, nil, false)
		must(t, err)
		if r.status != status {
			t.Fatalf("%s %s: got %d %s, want %d", method, path, r.status, r.body, status)
		}
		return r.body
	}
	send("POST", "/login", 200)
	want := send("GET", "/me", 200)
	id := v.sessionCookie()
	copied := v.clone()
	stored := redis("get", id)
	if !strings.Contains(stored, "user") {
		t.Fatal("Fiber's middleware did not store the session under its ID")
	}

	v.site = after
	for range 3 {
		if got := send("GET", "/me", 200); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	for _, c := range v.jar.Cookies(after.url) {
		if c.Name == "session_id" || c.Value == id {
			t.Errorf("the visitor still has the old cookie %s", c.Name)
		}
	}
	if now := redis("get", id); now == stored || strings.Contains(now, "user") { // the key of the value
		t.Errorf("the old key still holds the session: %q", now)
	}
	if ttl, err := strconv.Atoi(redis("ttl", id)); err != nil || ttl == -1 || ttl > 61 { // a storage may round up to the next second
		t.Errorf("the old key stays for %d s, want at most 61: %v", ttl, err)
	}

	// A node that still runs on Fiber's middleware does not know the new session, and leaves it.
	v.site = before
	send("GET", "/me", 401)
	v.site = after
	send("GET", "/me", 200)

	// A logout ends the session for the copied cookie too.
	send("POST", "/logout", 303)
	v, copied.site = copied, after
	send("GET", "/me", 401)
}
