package inspector_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// TestN8_FromComplaintToCause is the operator's way: "Bob cannot see new messages". Bob and Ada
// are on one node, the page on the other. The cause is two steps away: search, then the notice.
func TestN8_FromComplaintToCause(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	n := nodetest.Start(t)
	browser := n.Browser(t)
	ada, _ := nodes[1].socketOf(n, "ada")
	bob, bobs := nodes[1].socketOf(n, "bob")
	ada.MustCall("join", "gardens")
	bob.MustCall("join", "lobby")
	_, _ = bob.Call(ctx(t), "join", "gardens")
	bob.MustCall("keep", "theme", "dark")
	bob.MustCall("keep", "token", "s3cr3t-value")
	nodes[1].do("POST", "/set/cart/3", bobs)
	page := nodes[0].openPage(browser, 1280, "light")
	page.WaitText(".view-overview .tiles", "Users")
	ada.MustCall("say", "gardens", "Roses are in bloom")
	ada.MustNext("message")

	page.Press("body", "/")
	page.Fill("#q", "bob")
	page.Press("#q", "Enter") // 1
	page.WaitText("#detail h2", "bob")
	page.WaitText("#detail .out", "column gardens.members does not exist")
	page.WaitText("#detail .out", "Not reached by event message to gardens")
	page.Click("#detail .out button.badge") // 2
	page.WaitText("#detail .out .explain", "correct the handler")
	page.WaitText("#detail .out .explain", "notice=handler_error")
	text := page.WaitText("#detail .timeline", "sockets told")
	for _, want := range []string{"keep", "theme = \"dark\"", "token", "POST /set/", "cart", "connected"} {
		if !strings.Contains(text, want) {
			t.Errorf("the time line of bob has no %q:\n%s", want, text)
		}
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		for range 300 {
			ada.MustCall("say", "gardens", "Roses are in bloom")
		}
		ada.Emit("join")
		screenshots(t, dir, nodes[0], browser)
	}
	if page.Waiting("error") > 0 {
		t.Error(page.MustNext("error"))
	}
}

func screenshots(t *testing.T, dir string, s *site, b *nodetest.Browser) {
	for _, width := range []int{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			page := s.openPage(b, width, scheme)
			shot := func(name string) {
				page.Screenshot(filepath.Join(dir, name+"-"+map[int]string{1280: "desktop", 390: "phone"}[width]+"-"+scheme+".png"))
			}
			page.Eval(`await new Promise((r) => setTimeout(r, 6000))`, nil, nil)
			shot("overview")
			page.Goto(s.url + "/inspector#/users/bob")
			page.WaitText("#detail .timeline", "told")
			shot("user")
			page.Goto(s.url + "/inspector#/problems/handler_error")
			page.WaitText("#detail .explain", "handler")
			shot("problem")
			page.Goto(s.url + "/inspector#/timeline")
			page.WaitText("#list .timeline", "told")
			shot("timeline")
			page.Goto(s.url + "/inspector#/rooms")
			page.WaitText("#list", "gardens")
			shot("rooms")
			page.Goto(s.url + "/inspector#/users/bob")
			page.WaitText("#detail .timeline", "told")
			page.Click("#detail button.danger")
			page.WaitText("#confirm", "Log bob out")
			shot("confirm")
			page.Close()
		}
	}
}

// TestN8_EndFromThePage ends a socket, a session and a user's sessions on another node than the
// page's, by clicks.
func TestN8_EndFromThePage(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2)
	n := nodetest.Start(t)
	page := nodes[0].openPage(n.Browser(t), 1280, "dark")
	ada, adas := nodes[1].socketOf(n, "ada")
	bob, _ := nodes[1].socketOf(n, "bob")
	cleo, _ := nodes[1].socketOf(n, "cleo")

	page.Goto(nodes[0].url + "/inspector#/sockets/" + ada.State().ID)
	page.Click("#detail [data-key='end-Disconnect']")
	page.WaitText("#confirm", "Disconnect this socket?")
	page.Press("#confirm", "Escape")
	ada.MustCall("join", "still here")
	page.Click("#detail [data-key='end-Disconnect']")
	page.Click("#confirm-yes")
	ada.MustNext("disconnect")
	page.WaitText("#detail .status", "not connected")
	if res, _ := nodes[1].do("POST", "/set/a/b", adas); res.StatusCode != 200 {
		t.Error("the end of a socket has ended the session")
	}

	page.Goto(nodes[0].url + "/inspector#/users/bob")
	page.Click("#detail a.row[href*='/sessions/']")
	page.WaitText("#detail .kind", "Session")
	page.Click("#detail [data-key='end-End session']")
	page.Click("#confirm-yes")
	bob.MustNext("disconnect")
	page.WaitText("#detail .timeline", "session ended")

	page.Goto(nodes[0].url + "/inspector#/users/cleo")
	page.Click("#detail [data-key='end-Log out everywhere']")
	page.Click("#confirm-yes")
	cleo.MustNext("disconnect")
	page.WaitText("#detail .out", "Not connected.")
	page.WaitText("#detail .timeline", "user: ended, by root")
	for _, what := range []string{"what=socket", "what=session", "what=user"} {
		if log := nodes[0].log.String(); !strings.Contains(log, what) || !strings.Contains(log, "notice=inspector_ended") || !strings.Contains(log, "administrator=root") {
			t.Errorf("the log has no line with %s, inspector_ended and the administrator", what)
		}
	}

	// A revoked administrator ends nothing, and loses the page.
	dora, _ := nodes[1].socketOf(n, "dora")
	page.Goto(nodes[0].url + "/inspector#/users/dora")
	page.WaitText("#detail [data-key='end-Log out everywhere']", "Log out")
	nodes[0].revoked.Store(true)
	page.Click("#detail [data-key='end-Log out everywhere']")
	page.Click("#confirm-yes")
	page.WaitText("#confirm-error", "not allowed")
	dora.MustCall("join", "still here")
	page.Press("#confirm", "Escape")
	page.WaitText("#banner", "may not see this page any more")
}

// TestN8_HostileNames: names that are markup, or very long, are shown as text.
func TestN8_HostileNames(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{})
	n := nodetest.Start(t)
	page := s.openPage(n.Browser(t), 390, "light")
	const hostile = `<img src=x onerror="document.title='owned'">`
	c, _ := s.socketOf(n, url.PathEscape(hostile))
	c.MustCall("join", hostile+strings.Repeat("w", 180))
	c.MustCall("keep", hostile, "v")
	c.MustCall("keep", "theme", hostile)
	c.Emit(hostile, 1)
	c.Emit("join", map[string]any{})
	for _, view := range []string{"users", "sockets", "rooms", "sessions", "timeline"} {
		page.Goto(s.url + "/inspector#/" + view)
		page.WaitText("#list", "<img src=x")
	}
	page.Goto(s.url + "/inspector#/users/" + url.PathEscape(hostile))
	page.WaitText("#detail .out", "bad_arguments")
	var bad struct{ Images, Wide bool }
	page.Eval(`return { Images: !!document.querySelector("main img") || document.title === "owned", Wide: document.documentElement.scrollWidth > innerWidth }`, nil, &bad)
	if bad.Images || bad.Wide {
		t.Errorf("markup was made of a name, or the page is wider than a phone: %+v", bad)
	}
	if page.Waiting("error") > 0 {
		t.Error(page.MustNext("error"))
	}
}

// TestN8_NodeWithoutInspector: its sockets are found by user and room, and the page says that
// the node is missing.
func TestN8_NodeWithoutInspector(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, 2, options{}, options{mount: "-"})
	n := nodetest.Start(t)
	ada, _ := nodes[1].socketOf(n, "ada")
	ada.MustCall("join", "gardens")
	page := nodes[0].openPage(n.Browser(t), 1280, "light")
	page.WaitText("#list", "1 node without an inspector, or not answering")
	page.Goto(nodes[0].url + "/inspector#/users/ada")
	page.WaitText("#detail .rows", "a node without inspector")
	page.WaitText("#detail .rows", "gardens")
	page.Click("#detail a.row[href*='/sessions/']")
	page.WaitText("#detail .kind", "Session")
}

// TestN8_Keyboard uses the page without a mouse: search, arrows, Enter, Escape.
func TestN8_Keyboard(t *testing.T) {
	t.Parallel()
	s := start(t, memory.New(), nil, options{})
	n := nodetest.Start(t)
	for _, user := range []string{"ada", "bob"} {
		s.socketOf(n, user)
	}
	page := s.openPage(n.Browser(t), 1280, "light")
	page.Press("body", "/")
	page.Press(":focus", "b")
	page.WaitText("#list .row", "bob")
	page.Press(":focus", "Escape")
	page.WaitText("#list h2", "Users 2")
	page.Press("body", "ArrowDown")
	page.Press(":focus", "ArrowDown")
	page.Press(":focus", "Enter")
	page.WaitText("#detail h2", "bob")
	var outline string
	page.Eval(`return getComputedStyle(document.activeElement).outlineStyle`, nil, &outline)
	if outline != "solid" {
		t.Errorf("the outline of the focus is %q", outline)
	}
	page.Press(":focus", "Escape")
	page.WaitText("#detail", "Choose one of the users")

	// All texts have a contrast of at least 4.5 to what is behind them, in light and dark.
	page.Close()
	for _, scheme := range []string{"light", "dark"} {
		page := s.openPage(n.Browser(t), 1280, scheme)
		for _, view := range []string{"", "#/users/bob", "#/problems", "#/timeline"} {
			page.Goto(s.url + "/inspector" + view)
			page.WaitText("#list", "")
			var low []string
			page.Eval(contrast, nil, &low)
			if len(low) > 0 {
				t.Errorf("%s %q: low contrast of %q", scheme, view, low)
			}
		}
	}
}

// contrast returns the visible texts whose contrast is under 4.5 (WCAG 2, level AA).
const contrast = `
const rgb = (c) => (c.match(/[\d.]+/g) ?? []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((a, v, i) => a + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
const low = [];
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length || e.matches(".skip, noscript")) continue;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) low.push(e.textContent.slice(0, 40));
}
return low;`

// TestN8_HistoryOfPlotsOfAllNodes: the plots begin with what happened before the page was opened,
// on all nodes, also if one of them is of a version that keeps no history.
func TestN8_HistoryOfPlotsOfAllNodes(t *testing.T) {
	t.Parallel()
	quick := options{mount: "-", app: func(app *fiber.App, io *socketbridge.Server) {
		app.Use("/inspector", inspector.NewFor(inspector.Config{Bridge: io, Authorize: func(*fiber.Ctx) (string, error) { return "root", nil }}, time.Minute, time.Second))
	}}
	older := options{mount: "-", app: func(_ *fiber.App, io *socketbridge.Server) {
		io.Of(inspector.Namespace).OnServerSideEmit("ask", func(e *socketbridge.ServerEvent) {
			_ = e.Ack(map[string]any{"node": io.ID(), "total": 0})
		})
	}}
	nodes := startNodes(t, 3, quick, quick, older)
	n := nodetest.Start(t)
	ada, _ := nodes[1].socketOf(n, "ada")
	admin := nodes[0].admin(n, nodes[0])
	for range 30 {
		ada.MustCall("say", "gardens", "Roses are in bloom")
	}
	events, sent := 0.0, 0.0
	await(t, func() bool {
		answer, _ := ask(t, admin, "history", nil)
		events, sent = 0, 0
		histories, _ := answer["histories"].([]any)
		for _, h := range histories {
			for _, p := range h.(map[string]any)["points"].([]any) {
				events += p.(map[string]any)["events"].(float64)
				sent += p.(map[string]any)["sent"].(float64)
			}
		}
		return len(histories) == 2 && events >= 30
	}, func() string { return fmt.Sprintf("%v events in the histories", events) })
	if events != 30 || sent != 30 {
		t.Errorf("the histories have %v events received and %v sent, want 30 and 30", events, sent)
	}

	// The event rate of the page's first drawing is that of the time before.
	page := nodes[0].openPage(n.Browser(t), 1280, "light")
	page.WaitText(".plot[aria-label='Events a second']", "at most")
	page.WaitText(".plot[aria-label='Time to answer an event']", "at most")
	page.WaitText(".plot[aria-label='Sockets'] dd", "2") // Ada's, and one of the administrator
	if page.Waiting("error") > 0 {
		t.Error(page.MustNext("error"))
	}
}
