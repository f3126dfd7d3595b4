package socketbridge_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
)

// These tests check rows of docs/security.md that no other test covers.

// TestConnectionIDOfAnother checks that a connection's ID is worthless without the cookie
// of its session, and that the response does not reveal whether the connection exists.
// (Row 11)
func TestConnectionIDOfAnother(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter().serve()
	alice, bob := s.agent(), s.agent()
	alice.post("/incr")
	bob.post("/incr")
	forged := fibersessionCookie(alice, strings.Repeat("A", 43))
	for _, transports := range [][]string{{"polling"}, {"websocket"}} {
		c := alice.connect(n, "/", nodetest.Options{Transports: transports})
		sid := c.State().Engine
		for who, cookie := range map[string]string{"bob": bob.cookie(), "nobody": "", "a forger": forged} {
			for _, tt := range []struct{ method, transport string }{{"GET", "polling"}, {"POST", "polling"}, {"GET", "websocket"}} {
				got := engineRequest(t, s, tt.method, tt.transport, sid, cookie)
				unknown := engineRequest(t, s, tt.method, tt.transport, "AAAAAAAAAAAAAAAAAAAAAAAA", cookie)
				if got != unknown || !strings.HasPrefix(got, `400 {"code":1,`) {
					t.Errorf("%s over %s by %s: got %s, want 400 as for an unknown ID: %s", tt.method, tt.transport, who, got, unknown)
				}
			}
		}
		want := call(t, c, "count")
		equal(t, "alice's count over "+transports[0], call(t, c, "count"), want)
		c.Close()
	}
}

// fibersessionCookie returns a's cookie with another value.
func fibersessionCookie(a *agent, value string) string {
	name, _, _ := strings.Cut(a.cookie(), "=")
	return name + "=" + value
}

// engineRequest sends an Engine.IO request and returns the status and the body.
func engineRequest(t *testing.T, s *site, method, transport, sid, cookie string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/socket.io/?EIO=4&transport="+transport+"&sid="+sid, strings.NewReader(`42["incr"]`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	if transport == "websocket" {
		req.Body, req.ContentLength = nil, 0
		for k, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			req.Header.Set(k, v)
		}
	}
	res, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, b)
}

// TestCVE_2026_44553_RoleIsReadForEachEvent checks that a user who lost the admin role is
// refused at the next event, on a socket that was opened with the role. (Row 7)
func TestCVE_2026_44553_RoleIsReadForEachEvent(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	onEachStorage(t, func(t *testing.T, url string) {
		s := newSite(t, options{storage: url})
		s.app.Post("/role/:role", func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("role", strings.Clone(c.Params("role")))
			return nil
		})
		s.io.On("delete", func(p *socketbridge.Packet) error { // the app checks the event's session
			if valueOf[string](p.Session(), "role") != "admin" {
				return &socketbridge.EventError{Code: "forbidden", Message: "for admins"}
			}
			return p.Next()
		}, func(p *socketbridge.Packet) error { return p.Ack("deleted") })
		s.serve()
		a := s.agent()
		a.post("/role/admin")
		for name, o := range map[string]nodetest.Options{"polling": {Transports: []string{"polling"}}, "websocket": {Transports: []string{"websocket"}}} {
			a.post("/role/admin")
			c := a.connect(n, "/", o)
			equal(t, name+": answer to an admin", call(t, c, "delete"), `"deleted"`)
			a.post("/role/guest")
			equal(t, name+": answer without the role", call(t, c, "delete"), `{"error":{"code":"forbidden","message":"for admins"}}`)
			a.post("/role/admin")
			equal(t, name+": answer to an admin again", call(t, c, "delete"), `"deleted"`)
			c.Close()
		}
	})
}

// TestMaxConnsPerSession checks that the limit is exact on each transport, that an upgrade
// is not a second connection, that sessions are counted separately, and that a closed
// connection no longer counts. (Row 30)
func TestMaxConnsPerSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{Limits: socketbridge.Limits{MaxConnsPerSession: 2}}}).counter().serve()
	a, b := s.agent(), s.agent()
	a.post("/incr")
	b.post("/incr")
	first := a.connect(n, "/", nodetest.Options{Transports: []string{"polling", "websocket"}})
	if first.State().Transport != "websocket" {
		first.MustNext(nodetest.Upgraded)
	}
	second := a.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})
	for _, transport := range []string{"polling", "websocket"} {
		one := n.Dial(t, s.url, nodetest.Options{Cookie: a.cookie(), Transports: []string{transport}})
		one.MustNext(nodetest.ConnectError)
		one.Close()
		b.connect(n, "/", nodetest.Options{Transports: []string{transport}})
	}
	equal(t, "refused handshakes that are counted", fmt.Sprint(s.io.Stats().Notices["too_many_of_session"]), "2")
	equal(t, "counts of the open connections", call(t, first, "count")+call(t, second, "count"), "11")
	second.Close()
	waitForNil(t, func() error {
		if st := s.io.Stats(); st.Connections != 3 {
			return fmt.Errorf("got %d connections, want 3", st.Connections)
		}
		return nil
	})
	a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
}

// TestNamesOfClientsAreNotKept checks that namespace names, event names and ack IDs made up
// by clients are not kept in memory. (Rows 34, 35, 40)
func TestNamesOfClientsAreNotKept(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
	server.On("after", func(p *socketbridge.Packet) error { return p.Ack() })
	c := join(t, server, "/")
	before := server.Stats()
	for i := range 20_000 {
		if i%100 == 99 { // more refusals would close the connection
			c.leave()
			c = join(t, server, "/")
		}
		c.send(fmt.Sprintf("0/made-up-%d,", i))
		c.expect(fmt.Sprintf(`4/made-up-%d,{"message":"Invalid namespace"}`, i))
		c.send(fmt.Sprintf(`2["made-up-%d"]`, i))
		c.send(fmt.Sprintf(`3%d["made up"]`, i))
	}
	c.send(`21["after"]`)
	c.expect(`31[]`)
	waitFor(t, "the end of the earlier sockets", func() bool { return server.Stats().Sockets == 1 })
	after := server.Stats()
	if before.Notices, after.Notices = nil, nil; !reflect.DeepEqual(after, before) {
		t.Errorf("got stats %+v, want %+v as before", after, before)
	}
	if got := server.NamespaceCount(); got != 1 {
		t.Errorf("got %d namespaces, want 1", got)
	}
}

// TestSecurityPage checks that docs/security.md names only tests and fields that exist,
// and that each of its rows has a test or says that there is none.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	testsExist(t, "docs/security.md", page)
	configs := map[string]reflect.Type{
		"fibersession": reflect.TypeFor[fibersession.Config](),
		"engineio":     reflect.TypeFor[engineio.Config](),
		"socketbridge": reflect.TypeFor[socketbridge.Config](),
		"inspector":    reflect.TypeFor[inspector.Config](),
	}
	for _, m := range regexp.MustCompile("`(fibersession|engineio|socketbridge|inspector)\\.Config\\.([\\w.]+)`").FindAllSubmatch(page, -1) {
		at := configs[string(m[1])]
		for name := range strings.SplitSeq(string(m[2]), ".") {
			field, ok := at.FieldByName(name)
			if !ok {
				t.Errorf("docs/security.md names the field %s.Config.%s, which does not exist", m[1], m[2])
				break
			}
			at = field.Type
		}
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || !regexp.MustCompile(`^ \d+ $`).MatchString(cells[1]) {
			continue
		}
		rows++
		if !strings.Contains(cells[5], "`Test") && !strings.Contains(cells[5], "no test") {
			t.Errorf("the row names no test: %s", line)
		}
	}
	if rows < 45 {
		t.Errorf("got %d rows, want at least 45", rows)
	}
}

// TestReliabilityPage checks that docs/reliability.md names only tests that exist, and each
// callback of TestR19_MisbehavingCallbacks.
func TestReliabilityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	testsExist(t, "docs/reliability.md", page)
	for name := range callbacks {
		name, _, _ = strings.Cut(name, " ")
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/reliability.md does not say where %s runs", name)
		}
	}
}

// testsExist checks that a page names only tests that exist.
func testsExist(t *testing.T, name string, page []byte) {
	t.Helper()
	defined := map[string]bool{}
	for _, file := range testFiles(t) {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(src, -1) {
			defined[string(m[1])] = true
		}
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllSubmatch(page, -1) {
		if !defined[string(m[1])] {
			t.Errorf("%s names the test %s, which does not exist", name, m[1])
		}
	}
}

// testFiles returns all test files of the repository.
func testFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, root := range []string{"fibersession", "socketbridge", "storage", "internal", "examples"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(file string, d os.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "node_modules":
				return filepath.SkipDir
			case strings.HasSuffix(file, "_test.go"):
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
