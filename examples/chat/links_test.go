package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// TestD5_LinksInMessages posts texts with URLs in Chromium, hostile ones too. Addresses of http
// and https become links that tell the linked site nothing. Everything else stays text.
func TestD5_LinksInMessages(t *testing.T) {
	t.Parallel()
	browser := nodetest.Start(t).Browser(t)
	page, _ := openChat(start(t, "none", "memory://", 1).urls()[0], browser.Context, "Ada")
	for _, tt := range []struct {
		text  string
		links []string // the targets
	}{
		{"see https://example.com/a?b=c&d=e#f and HTTP://EXAMPLE.org\nhttps://example.com/größe", []string{"https://example.com/a?b=c&d=e#f", "http://example.org/", "https://example.com/gr%C3%B6%C3%9Fe"}},
		{"(https://en.wikipedia.org/wiki/Go_(game)), https://example.com/x.", []string{"https://en.wikipedia.org/wiki/Go_(game)", "https://example.com/x"}},
		{`<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`, nil},
		{`https://example.com/"onmouseover="window.hacked=1" x='<b>y</b>`, []string{"https://example.com/"}},
		{`<a href="javascript:window.hacked=1">https://example.com/ok</a>`, []string{"https://example.com/ok"}},
		{"javascript:window.hacked=1 data:text/html,x ftp://example.com file:///etc/passwd //example.com", nil},
		{"javascript:window.hacked=1//https://example.com/", []string{"https://example.com/"}},
		{"https://your-bank.example@evil.example/ https://user:pass@evil.example", nil}, // shows one site and leads to another
		{"https:// http://: https://[::1 https://%zz/ xhttps://example.com", nil},
		{strings.Repeat("https://a.example/((((", 40), nil},
	} { // not more than a visitor may send at once
		page.Fill("#text", tt.text)
		page.Click("#say button:enabled")
		var got struct {
			Text          string
			Links, Unsafe []string
			Others        int
			Hacked        bool
		}
		page.Eval(`
			const shown = () => [...document.querySelectorAll("#messages .text")].at(-1);
			for (const end = Date.now() + 15000; shown()?.textContent !== arg && Date.now() < end;) await new Promise((ok) => setTimeout(ok, 20));
			const row = shown(), links = [...row.querySelectorAll("a")];
			return {
				text: row.textContent,
				links: links.map((a) => a.href),
				unsafe: links.filter((a) => a.rel !== "noopener noreferrer nofollow" || a.target !== "_blank" || a.attributes.length !== 3).map((a) => a.outerHTML),
				others: row.querySelectorAll("*").length - links.length,
				hacked: "hacked" in window,
			};`, strings.TrimSpace(tt.text), &got)
		if got.Text != tt.text {
			t.Errorf("%q is shown as %q", tt.text, got.Text)
		}
		if tt.links == nil && strings.HasPrefix(tt.text, "https://a.example/(") {
			tt.links = got.Links // any, as long as the page answers
		}
		if len(got.Links)+len(tt.links) > 0 && !reflect.DeepEqual(got.Links, tt.links) {
			t.Errorf("%q has the links %q, want %q", tt.text, got.Links, tt.links)
		}
		if len(got.Unsafe) > 0 || got.Others > 0 || got.Hacked {
			t.Errorf("%q: unsafe links %q, %d other elements, script ran: %v", tt.text, got.Unsafe, got.Others, got.Hacked)
		}
	}
	if n := page.Waiting("error"); n > 0 {
		t.Errorf("the page logged %d errors, first: %s", n, page.MustNext("error"))
	}
}
