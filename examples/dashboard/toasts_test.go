package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestD5_ToastsAreForVisitors stops Redis while a page is open. The page says that something
// went wrong, and no word of the program's parts. The same holds for every code of an error
// that the library can answer with.
func TestD5_ToastsAreForVisitors(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	site := start(t, redis.URL())
	tab := nodetest.Start(t).Browser(t).Open(site)
	signUp(tab, site, "ada", "Ada Lovelace")
	tab.WaitText("#signedin", "this device")
	redis.Kill()
	say(tab, "Is anybody there?")
	tab.WaitText(".toast", "Something went wrong. Please try again in a moment.")

	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n## Codes for clients\n")
	table, _, _ = strings.Cut(table, "\nThe reason of")
	codes := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1)
	if len(codes) < 10 {
		t.Fatalf("docs/troubleshooting.md lists %d codes", len(codes))
	}
	for _, m := range codes {
		var text string
		tab.Eval(`const { problemText } = await import(document.querySelector("script[type=module]").src.replace("dashboard.mjs", "ui.mjs"));
			return problemText({ code: arg, message: "the session store is unavailable" })`, m[1], &text)
		if strings.Contains(text, "store") || !strings.HasSuffix(text, ".") {
			t.Errorf("a visitor gets %q for %s", text, m[1])
		}
	}
}

// TestD5_ToastsCoverNoList: on a phone, a toast lies over the bar at the top, and over none of
// the lists, wherever the page is scrolled to.
func TestD5_ToastsCoverNoList(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	browser := nodetest.Start(t).Browser(t)
	signUp(browser.Open(site), site, "ada", "Ada Lovelace")
	phone := browser.NewContext(map[string]any{"userAgent": iPhone, "viewport": map[string]int{"width": 390, "height": 844}}).Open(site)
	logIn(phone, site, "ada")
	phone.WaitText("#signedin", "this device")
	for _, scroll := range []string{"0", "document.body.scrollHeight"} {
		phone.Eval(`scrollTo({ top: `+scroll+`, behavior: "instant" }); document.getElementById("toasts").replaceChildren()`, nil, nil)
		phone.Eval(`for (const text of ["one", arg])
			(await import(document.querySelector("script[type=module]").src.replace("dashboard.mjs", "ui.mjs"))).showToast(text)`,
			strings.Repeat("a comment of a friend that is long ", 10), nil)
		var covered []string
		phone.Eval(`
			for (const a of document.getAnimations()) a.finish();
			const bar = document.querySelector(".bar").getBoundingClientRect();
			return [...document.querySelectorAll(".toast")].map((e) => e.getBoundingClientRect())
				.filter((r) => r.height > 0 && (r.top < 0 || r.bottom > bar.bottom)).map((r) => r.top + " to " + r.bottom + ", bar to " + bar.bottom)`, nil, &covered)
		if len(covered) > 0 {
			t.Errorf("scrolled to %s, a toast covers more than the bar: %v", scroll, covered)
		}
		if n := phone.Count(".toast"); n != 2 {
			t.Errorf("%d toasts, want 2", n)
		}
	}
}

// TestD5_LinksInComments: URLs of http and https are links, and all else stays text. The chat
// has the same function, and more texts in its test.
func TestD5_LinksInComments(t *testing.T) {
	t.Parallel()
	site := start(t, "memory://")
	tab := nodetest.Start(t).Browser(t).Open(site)
	signUp(tab, site, "ada", "Ada Lovelace")
	text := `<b>see</b> https://example.com/a, javascript:window.hacked=1 https://your-bank.example@evil.example/`
	say(tab, text)
	tab.WaitText("#comments .text", text)
	var links []string
	tab.Eval(`return [...document.querySelectorAll("#comments .text *")].map((e) => e.outerHTML)`, nil, &links)
	want := `<a href="https://example.com/a" target="_blank" rel="noopener noreferrer nofollow">https://example.com/a</a>`
	if len(links) != 1 || links[0] != want {
		t.Errorf("the elements %q, want %q", links, want)
	}
	checkNoErrors(t, tab)
	if got := tab.Text("#everywhere"); got != "Log out everywhere" {
		t.Errorf("a button says %q, which does not say what it does", got)
	}
}
