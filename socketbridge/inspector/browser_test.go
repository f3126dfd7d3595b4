package inspector_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
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
