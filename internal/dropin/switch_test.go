package dropin_test

import (
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A visitor logs in while the app runs on Fiber's middleware. Then the app runs on ours, over
// the same Redis: the visitor is still logged in, with the same value, and the old key is gone.
// The old cookie, which somebody may have copied, is worth nothing afterwards.
func TestF3_SwitchLogsNobodyOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	fiber, ours := build(t, "patterns", nil), build(t, "patterns", swap)
	var names []string
	for _, p := range list(t, fiber) {
		// Other values are stored by neither program.
		if strings.HasPrefix(p.Name, "login-") && !strings.HasSuffix(p.Name, "unregistered") {
			names = append(names, p.Name)
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
					t.Run(name, func(t *testing.T) { switchApp(t, newSite(t, before[i], scheme), newSite(t, after[i], scheme), server) })
				}
			})
		}
	}
}

func switchApp(t *testing.T, before, after *site, server *redistest.Server) {
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

	v.site = after
	// An empty slice is nil after Fiber has stored it, and stays so.
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
	for database := range strings.SplitSeq(server.Do("info", "keyspace"), "\n") {
		name, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(database), "db"), ":")
		if !ok {
			continue
		}
		if server.Do("-n", name, "exists", id) != "0" {
			t.Error("the old key is still there")
		}
	}

	// The one who logs out ends the session for the copied cookie too.
	send("POST", "/logout", 303)
	v, copied.site = copied, after
	send("GET", "/me", 401)
}
