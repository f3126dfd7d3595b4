package examples_test

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// audit returns what is wrong with the look of a page.
//
//go:embed testdata/audit.js
var audit string

// TestExamples_Look opens the pages of each example in Chromium, on a desktop and on a phone,
// light and dark: text can be read, fingers hit what they aim at, the focus can be seen, and
// no page is wider than its window. With SCREENSHOTS=/a/folder it saves what it saw.
func TestExamples_Look(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	browser := n.Browser(t)
	for _, e := range examples(t) {
		if e.name == "benchserver" { // has no page
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			e.program = build(t, e.name)
			port := 0
			if e.ports > 0 {
				port = freePorts(t, e.ports)
			}
			p := run(t, e, port)
			site := url.FindString(p.waitForURL())
			for _, look := range looks() {
				window := browser.NewContext(map[string]any{"colorScheme": look.scheme, "hasTouch": look.width < 600,
					"viewport": map[string]int{"width": look.width, "height": look.height}})
				page := window.Open(site).In(t)
				check := func(state string) {
					t.Helper()
					var wrong []string
					page.Eval(audit, map[string]bool{"touch": look.width < 600}, &wrong)
					for _, w := range wrong {
						t.Errorf("%s, %s, %s: %s", state, look.name, look.scheme, w)
					}
					if dir := os.Getenv("SCREENSHOTS"); dir != "" {
						page.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%s-%s-%s.png", e.name, state, look.name, look.scheme)))
					}
				}
				walk[e.name](page, look.name, check)
				window.Close()
			}
			p.stop()
		})
	}
}

type look struct {
	name, scheme  string
	width, height int
}

// looks returns the windows in which pages are opened. Two of them find almost everything.
func looks() []look {
	two := []look{{"desktop", "dark", 1280, 800}, {"small", "light", 320, 640}}
	if os.Getenv("SCREENSHOTS") == "" {
		return two
	}
	return append(two, look{"desktop", "light", 1280, 800}, look{"phone", "light", 390, 844}, look{"phone", "dark", 390, 844})
}

// walk has what a visitor does with each example. It calls check for each state of the page.
var walk = map[string]func(page *nodetest.Page, look string, check func(state string)){
	"quickstart": func(page *nodetest.Page, _ string, check func(string)) {
		page.WaitText("#state", "connected")
		check("empty")
		page.Click("#http")
		page.WaitText("#count", "1")
		page.Click("#socket")
		page.WaitText("#count", "2")
		page.Eval(`open(location)`, nil, nil)
		page.WaitText("#log", "opened")
		check("used")
	},
	"websocket": func(page *nodetest.Page, _ string, check func(string)) {
		page.WaitText("#state", "connected")
		check("empty")
		page.Fill("#text", "too early")
		page.Click("#say")
		page.WaitText("#wall", "Enter your name first.")
		page.Fill("#name", "Ada")
		page.Click("#enter")
		page.WaitText("#you", "Ada")
		for _, text := range []string{"Hello, wall", "A longer message, which shows how a row wraps a text that does not fit into one line of the wall."} {
			page.Fill("#text", text)
			page.Click("#say")
			page.WaitText("#wall", text)
		}
		page.Fill("#text", "anybody there?")
		page.Click("#raw")
		page.WaitText("#wall", "Received 14 bytes")
		check("used")
	},
	"crosssite": func(page *nodetest.Page, _ string, check func(string)) {
		page.WaitText("#again:enabled", "Try again")
		check("own")
		page.Click("nav a:nth-child(2)")
		page.WaitText("#again:enabled", "Try again")
		page.WaitText("#polling", "without your session")
		check("other")
		page.Click("nav a:nth-child(3)")
		page.WaitText("#again:enabled", "Try again")
		page.WaitText("#ticket", "rejected")
		check("rejected")
	},
	"express-neighbour": func(page *nodetest.Page, _ string, check func(string)) {
		page.WaitText("#state", "connected")
		page.WaitText("#express-user", "not logged in")
		check("empty")
		page.Click("#express-login")
		page.WaitText("#socket-user", "ada")
		page.Click("#fiber-add")
		page.WaitText("#express-count", "1")
		check("used")
	},
	"dashboard": func(page *nodetest.Page, _ string, check func(string)) {
		check("login")
		page.Click(".tabs a:not([aria-current])")
		page.WaitText("form#credentials button", "Sign up")
		check("signup")
		page.Fill("[name=name]", "Ada Lovelace")
		page.Fill("[name=login]", fmt.Sprintf("ada%d", time.Now().UnixMilli()%1e9)) // each window is another user
		page.Fill("[name=password]", "correct horse battery")
		page.Click("form#credentials button")
		page.WaitText("#signedin", "this device")
		check("empty")
		page.Fill("#text", "The engine weaves algebraic patterns: https://example.com/notes")
		page.Click("#say button")
		page.WaitText("#comments", "algebraic")
		page.Fill("#who", "nothing_here")
		page.Click("#ask button")
		page.WaitText(".toast", "There is no user")
		check("toast")
	},
	"chat": func(page *nodetest.Page, look string, check func(string)) {
		check("login")
		page.Fill("#name", "Ada "+look)
		page.Click("#enter")
		page.WaitText("#state.on", " · ")
		page.WaitText("#title", "lobby")
		page.Fill("#text", "See https://example.com/a_(b)?c=d&e=f, and https://example.com.")
		page.Click("#say button:enabled")
		page.WaitText("#messages", "example.com")
		check("lobby")
		if look == "desktop" {
			return
		}
		page.Click("#open-side")
		check("side")
		page.Press("body", "Escape")
		page.Click("#open-people")
		check("people")
	},
}
