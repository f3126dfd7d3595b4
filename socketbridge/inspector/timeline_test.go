package inspector_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// records returns the records of an answer, as "kind event request keys told".
func records(t *testing.T, answer map[string]any) (all []string) {
	t.Helper()
	list, _ := answer["records"].([]any)
	for _, r := range list {
		m := r.(map[string]any)
		line := m["kind"].(string)
		for _, field := range []string{"event", "request", "notice"} {
			if v, ok := m[field]; ok {
				line += " " + v.(string)
			}
		}
		if v, ok := m["keys"]; ok {
			line += fmt.Sprint(" ", v)
		}
		if v, ok := m["told"]; ok {
			line += fmt.Sprintf(" told %d", len(v.([]any)))
		}
		all = append(all, line)
	}
	return all
}

// TestM5_WhoChangedWhatAndWhoWasTold: the time line says which event or request on which node
// changed which keys of the session, and which sockets of which node were told.
func TestM5_WhoChangedWhatAndWhoWasTold(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	n := nodetest.Start(t)
	admin := nodes[0].admin(n, nodes[1])
	first, cookie := nodes[0].socketOf(n, "ada")
	second := n.Connect(t, nodes[1].url, nodetest.Options{Cookie: cookie})
	third := n.Connect(t, nodes[1].url, nodetest.Options{Cookie: cookie})
	third.MustCall("join", "r")
	first.MustCall("keep", "theme", "dark")
	second.MustCall("keep", "token", "s3cr3t-value")
	nodes[1].do("POST", "/set/cart/s3cr3t-cart", cookie)
	_, _ = first.Call(ctx(t), "join")
	first.MustCall("typed")
	second.Close()
	var got []string
	want := []string{"disconnected", "failed typed invalid_argument", "failed join bad_arguments", "changed POST /set/cart/* [cart]", "told [cart] told 2", "told [cart] told 1", "changed keep [token]", "changed keep [theme]", "told [theme] told 2", "changed POST /login/ada [user]"}
	await(t, func() bool {
		answer, _ := ask(t, admin, "timeline", map[string]any{"filter": map[string]any{"user": "ada"}})
		got = records(t, answer)
		for _, line := range want {
			if !contains(got, line) {
				return false
			}
		}
		return true
	}, func() string { return strings.Join(got, "\n") })

	if all := strings.Join(got, "\n"); strings.Count(all, "invalid_argument") != 1 {
		t.Errorf("a refused event is more than one record:\n%s", all)
	}

	// The records that a filter selects.
	for name, tt := range map[string]struct {
		filter map[string]any
		want   string
	}{
		"of a kind":   {map[string]any{"text": "join", "kinds": []string{"failed"}}, "failed join bad_arguments"},
		"with a text": {map[string]any{"text": "TOKEN", "kinds": []string{"changed"}}, "changed keep [token]"},
	} {
		answer, _ := ask(t, admin, "timeline", map[string]any{"filter": tt.filter})
		if got := records(t, answer); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// await tries until ok, or until nodetest.Timeout. Each try asks the servers, which takes a while.
func await(t *testing.T, ok func() bool, explain func() string) {
	t.Helper()
	for deadline := ctx(t); !ok(); {
		if deadline.Err() != nil {
			t.Fatal("waited in vain; at last:\n" + explain())
		}
	}
}

// TestM5_NoSecretLeaves: neither session IDs nor values of keys that Config.Values does not list
// are in what pages get or nodes send each other.
func TestM5_NoSecretLeaves(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	published := monitor(t, redis.Addr())
	var nodes []*site
	for range 2 {
		store, err := storage.Open(redis.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		nodes = append(nodes, start(t, store, redisadapter.For(store), options{}))
	}
	n := nodetest.Start(t)
	admin := nodes[0].admin(n, nodes[0])
	admin.Emit("visible", true)
	ada, cookie := nodes[1].socketOf(n, "ada")
	ada.MustCall("keep", "theme", "dark-and-listed")
	ada.MustCall("keep", "token", "s3cr3t-value")
	nodes[1].do("POST", "/set/cart/s3cr3t-cart", cookie)
	_, id, _ := strings.Cut(cookie, "=")
	id, err := url.QueryUnescape(id)
	if err != nil || len(id) < 40 {
		t.Fatalf("cookie %q: %v", cookie, err)
	}
	var all strings.Builder
	session := ""
	for _, q := range []map[string]any{
		{"op": "users"}, {"op": "sessions"}, {"op": "sockets"}, {"op": "rooms"}, {"op": "sent"}, {"op": "timeline"}, {"op": "history"},
		{"op": "explain", "name": "flood"}, {"op": "sockets", "search": strings.ToLower(id)},
	} {
		_, text := ask(t, admin, q["op"].(string), q)
		all.WriteString(text)
	}
	all.WriteString(string(admin.MustNext("summary")[0]))
	var sent string
	await(t, func() bool { // the monitor is behind, and an answer of the other node can be late
		answer, text := ask(t, admin, "sessions", nil)
		_, user := ask(t, admin, "user", map[string]any{"user": "ada"})
		all.WriteString(text + user)
		list, _ := answer["sessions"].([]any)
		for _, row := range list { // another is that of the administrator, on the page's own node
			if row := row.(map[string]any); row["user"] == "ada" {
				session = row["session"].(string)
			}
		}
		sent = published()
		return session != "" && strings.Contains(sent, session) && strings.Contains(user, "dark-and-listed")
	}, func() string { return "the answers of the other node were not captured: " + sent })
	for where, text := range map[string]string{"what a page gets": all.String(), "what nodes send": sent, "the log": nodes[0].log.String() + nodes[1].log.String()} {
		for _, secret := range []string{id, "s3cr3t-value", "s3cr3t-cart"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q", where, secret)
			}
		}
	}
	if !strings.Contains(all.String(), "dark-and-listed") || session == "" || !strings.Contains(all.String(), `"token"`) {
		t.Errorf("the listed value, the name of the other key or the session's pseudonym %q is missing: %s", session, all.String())
	}
}

// monitor captures what is published on a Redis, without the feed of sessions, which nodes of
// the same store read anyway.
func monitor(t *testing.T, addr string) (published func() string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		text strings.Builder
		done = make(chan struct{})
	)
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil { // +OK
		t.Fatal(err)
	}
	go func() { // ends with the connection
		defer close(done)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if upper := strings.ToUpper(line); (strings.Contains(upper, "PUBLISH") || strings.Contains(upper, "XADD")) && !strings.Contains(line, ":changes") {
				mu.Lock()
				text.WriteString(line)
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

// TestN8_AdviceIsThatOfTheDocs: the explanations are those of docs/troubleshooting.md.
func TestN8_AdviceIsThatOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Join(regexp.MustCompile("(?m)^\\| `[a-z_]+` \\| (error|warn|info|debug) \\|.*\n").FindAllString(string(page), -1), "")
	if os.Getenv("UPDATE_ADVICE") != "" {
		if err := os.WriteFile("advice.md", []byte(rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("advice.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != rows {
		t.Error("advice.md differs from the tables of docs/troubleshooting.md: run UPDATE_ADVICE=1 go test ./socketbridge/inspector -run TestN8_AdviceIsThatOfTheDocs")
	}
}

// TestN8_PageIsSmallAndOffline: less than 60 KB of source, and nothing from elsewhere.
func TestN8_PageIsSmallAndOffline(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, e := range entries {
		body, err := os.ReadFile(filepath.Join("page", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		total += len(body)
		if strings.Contains(strings.ReplaceAll(string(body), "http://www.w3.org/2000/svg", ""), "://") || strings.Contains(string(body), "innerHTML") {
			t.Errorf("%s has a URL of another site, or sets markup", e.Name())
		}
	}
	if total > 60<<10 {
		t.Errorf("the page has %d bytes", total)
	}
}
