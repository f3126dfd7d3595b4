package adminui_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

// openUI opens the UI of the npm package. If ADMINUI_SCREENSHOTS names a folder, picture
// writes what it shows there.
func openUI(t testing.TB, browser *nodetest.Context, site string) *nodetest.Page {
	t.Helper()
	p := browser.Open(site + "/ui/index.html")
	p.WaitText(".v-dialog", "Connection")
	return p
}

func picture(p *nodetest.Page, name string) {
	if dir := os.Getenv("ADMINUI_SCREENSHOTS"); dir != "" {
		p.Screenshot(filepath.Join(dir, name+".png"))
	}
}

// logIn fills in the login form. The UI connects to the address of the server.
func logIn(p *nodetest.Page, url, user, pass string) {
	const field = ".v-dialog input[type=text] >> nth="
	p.Fill(field+"0", url)
	p.Fill(field+"1", user)
	p.Fill(".v-dialog input[type=password]", pass)
	p.Click(".v-dialog button[type=submit]")
}

// show opens a page of the UI.
func show(p *nodetest.Page, path string) {
	p.Eval("location.hash = arg", "#"+path, nil)
}

// TestN8_AdminUIInChromium clicks through the UI of the npm package: login with a wrong and
// with the right password, the server, its sockets, rooms and events, and the commands.
func TestN8_AdminUIInChromium(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{PasswordHash: hashed(t), ServerID: "the-go-server", Arguments: []string{"chat"}}})
	browser := n.Browser(t) // first, because its start may take a minute
	alice := n.Connect(t, site.url, nodetest.Options{Auth: map[string]any{"rooms": []string{"lobby"}}, Transports: []string{"websocket"}})
	alice.MustNext("ready")
	id := alice.State().ID

	p := openUI(t, browser.Context, site.url)
	logIn(p, site.url, "admin", "wrong")
	p.WaitText(".v-dialog", "Invalid credentials")
	logIn(p, site.url, "admin", password)
	p.WaitText("main", "HTTP long-polling") // the dashboard
	show(p, "/servers/")
	p.WaitText("main", "the-go-server")
	picture(p, "servers")
	show(p, "/sockets/")
	p.WaitText("main", id)
	p.WaitText("main tr", "127.0.0.1")
	picture(p, "sockets")
	show(p, "/rooms/")
	p.WaitText("main", "lobby")

	// The UI shows events by name. TestN8_AdminUIShowsNoSecrets has their arguments.
	show(p, "/events/")
	alice.MustCall("chat", "hello you")
	p.WaitText("main", "Event name: chat")
	p.WaitText("main", "Event name: reply")
	if text := p.Text("main"); strings.Contains(text, "SECRET") {
		t.Errorf("the page shows an argument that is not listed: %s", text)
	}
	picture(p, "events")

	// The socket's page shows what is shared, makes it join and leave a room, and disconnects
	// it.
	show(p, "/n/"+"%2F"+"/sockets/"+id)
	p.WaitText("main", `"name": "Ada"`)
	if text := p.Text("main"); strings.Contains(text, "SECRET") || strings.Contains(text, "fiberbridge:") || strings.Contains(text, "_admin") {
		t.Errorf("the page shows what it must not: %s", text)
	}
	socket := site.io.Of("/").Socket(id)
	p.Fill("main form input[type=text]", "made by admin")
	p.Click("main form button[type=submit]")
	p.WaitText("main tr", "made by admin")
	if !slices.Contains(socket.Rooms(), "made by admin") {
		t.Errorf("the socket is in %q", socket.Rooms())
	}
	picture(p, "socket")
	p.Click("main tr:has-text('made by admin') button")
	deadline := time.Now().Add(nodetest.Timeout)
	for slices.Contains(socket.Rooms(), "made by admin") {
		if time.Now().After(deadline) {
			t.Fatalf("the socket is still in %q", socket.Rooms())
		}
		time.Sleep(5 * time.Millisecond) // there is no event to wait for
	}
	show(p, "/n/%2F/sockets/"+id) // the click has opened the page of the room too
	p.WaitText("main", `"name": "Ada"`)
	p.Click("main tr:has(td:text-is('Status')) button >> nth=1") // of the socket; the first is that of its client
	if got := alice.MustNext(nodetest.Disconnected).String(); !strings.Contains(got, "io server disconnect") {
		t.Errorf("the socket was disconnected with %s", got)
	}
	p.WaitText("main", "disconnected")

	// After a reload, the token replaces the password.
	p.Reload()
	show(p, "/servers/")
	p.WaitText("main", "the-go-server")
	if !site.log.Has("notice=admin_command") {
		t.Error("the log does not name the commands")
	}
	show(p, "/")
	p.WaitText("main", "HTTP long-polling")
	picture(p, "dashboard")
}

// TestN8_AdminUIBySession logs in to the site instead: the UI's form stays empty, and the
// session decides. When it ends, the UI is disconnected.
func TestN8_AdminUIBySession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{ServerID: "the-go-server", Authorize: func(session *fibersession.Handle) bool {
		return session.User() == "boss" && session.Get("demoted") == nil
	}}})
	browser := n.Browser(t).Context
	for role, allowed := range map[string]bool{"visitor": false, "boss": true} {
		in := browser
		if role != "boss" {
			in = n.Browser(t).NewContext(nil)
		}
		in.Open(site.url + "/login/" + role)
		p := openUI(t, in, site.url)
		logIn(p, site.url, "", "")
		if !allowed {
			p.WaitText(".v-dialog", "Invalid credentials")
			continue
		}
		show(p, "/servers/")
		p.WaitText("main", "the-go-server")
	}
	if got := site.ui.Stats().Admins; got != 1 {
		t.Errorf("%d pages are connected, want 1", got)
	}
	browser.Open(site.url + "/demote")
	deadline := time.Now().Add(nodetest.Timeout)
	for site.ui.Stats().Admins != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the page stays connected although its session does not allow it any more")
		}
		time.Sleep(5 * time.Millisecond) // there is no event to wait for
	}
	if !site.log.Has("notice=admin_refused") {
		t.Error("the log does not tell that a page was refused")
	}
}
