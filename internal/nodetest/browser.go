package nodetest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Browser is a headless Chromium with a new profile.
type Browser struct {
	// Version is Chromium's version.
	Version string

	n *Node
	t testing.TB
	*Context
}

// Context is a set of pages that share cookies with each other but not with other
// contexts, like a private window.
type Context struct {
	n      *Node
	t      testing.TB
	number int
}

// Page is one tab. Its methods end the test if they fail.
type Page struct {
	n      *Node
	t      testing.TB
	number int
	queue  *eventQueue
}

// Cookie is a cookie as stored by the browser.
type Cookie struct {
	Name     string  `json:"name"`
	Value    string  `json:"value"`
	Domain   string  `json:"domain"`
	Path     string  `json:"path"`
	Expires  float64 `json:"expires"` // seconds since 1970, -1 for a session cookie
	HTTPOnly bool    `json:"httpOnly"`
	Secure   bool    `json:"secure"`
	SameSite string  `json:"sameSite"`
}

// browsers are Chromium without and with its windows. Without, it has the same engine, network and
// cookies, and takes a quarter of the CPU time.
var browsers = []string{"/usr/bin/chromium-headless-shell", "/usr/bin/chromium"}

// Browser starts Chromium, or returns the one that is running, with a new context. The
// program is the environment variable CHROMIUM, or the first of browsers that is installed. If
// none is, the test fails if CI is set, and is skipped otherwise.
func (n *Node) Browser(t testing.TB) *Browser {
	t.Helper()
	program := os.Getenv("CHROMIUM")
	for i := 0; program == "" && i < len(browsers); i++ {
		if _, err := os.Stat(browsers[i]); err == nil {
			program = browsers[i]
		}
	}
	if _, err := os.Stat(program); err != nil {
		missing(t, "Chromium", err)
	}
	b := &Browser{n: n, t: t}
	n.must(t, "browser", map[string]any{"executable": program}, &b.Version)
	b.Context = b.NewContext(nil)
	return b
}

// NewContext creates a context. options are those of Playwright's newContext.
func (b *Browser) NewContext(options map[string]any) *Context {
	b.t.Helper()
	c := &Context{n: b.n, t: b.t}
	c.number, _ = b.n.number()
	b.n.must(b.t, "context", map[string]any{"context": c.number, "options": options, "timeout": Timeout.Milliseconds()}, nil)
	return c
}

// Open opens url in a new tab and waits until it has loaded. If the test fails, the page's
// activity is logged.
func (c *Context) Open(url string) *Page {
	c.t.Helper()
	p := &Page{n: c.n, t: c.t}
	p.number, p.queue = c.n.number()
	c.t.Cleanup(p.explain)
	c.n.must(c.t, "open", map[string]any{"context": c.number, "page": p.number, "url": url}, nil)
	return p
}

// explain logs the page's journal if the test has failed.
func (p *Page) explain() {
	if p.t.Failed() {
		p.t.Logf("page %d, by UTC:\n%s", p.number, strings.Join(p.journal(), "\n"))
	}
}

// journal returns the page's activity so far: its requests, its WebSocket traffic and its
// console output, followed by its visible text.
func (p *Page) journal() (lines []string) {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	if err := p.n.do(ctx, "journal", map[string]any{"page": p.number}, &lines); err != nil {
		return []string{err.Error()}
	}
	return lines
}

// Cookies returns the cookies that the context would send to url.
func (c *Context) Cookies(url string) []Cookie {
	c.t.Helper()
	var out []Cookie
	c.n.must(c.t, "cookies", map[string]any{"context": c.number, "url": url}, &out)
	return out
}

// SetOffline disconnects the context's pages from the network, or reconnects them.
func (c *Context) SetOffline(offline bool) {
	c.t.Helper()
	c.n.must(c.t, "offline", map[string]any{"context": c.number, "offline": offline}, nil)
}

// Close closes the context and its pages.
func (c *Context) Close() {
	c.t.Helper()
	c.n.must(c.t, "closeContext", map[string]any{"context": c.number}, nil)
}

// Goto loads another URL in the tab.
func (p *Page) Goto(url string) { p.t.Helper(); p.do("goto", nil, "url", url) }

// Reload loads the page again.
func (p *Page) Reload() { p.t.Helper(); p.do("reload", nil) }

// Close closes the tab.
func (p *Page) Close() { p.t.Helper(); p.do("closePage", nil) }

// Click clicks the element that matches a CSS selector, once it can be clicked.
func (p *Page) Click(selector string) { p.t.Helper(); p.do("click", nil, "selector", selector) }

// Fill replaces the text of an input.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.do("fill", nil, "selector", selector, "text", text)
}

// Press presses a key, such as "Enter", in an element.
func (p *Page) Press(selector, key string) {
	p.t.Helper()
	p.do("press", nil, "selector", selector, "text", key)
}

// Text returns the visible text of an element.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	var text string
	p.do("text", &text, "selector", selector)
	return text
}

// Count returns the number of elements that match a selector.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	var n int
	p.do("count", &n, "selector", selector)
	return n
}

// WaitText waits until an element that matches the selector contains text, and returns its
// whole text.
func (p *Page) WaitText(selector, text string) string {
	p.t.Helper()
	var got string
	p.do("waitText", &got, "selector", selector, "text", text, "timeout", (Timeout - time.Second).Milliseconds())
	return got
}

// Screenshot writes an image of the whole page to a PNG file. Use an absolute path:
// relative ones start at the driver's folder.
func (p *Page) Screenshot(path string) { p.t.Helper(); p.do("screenshot", nil, "path", path) }

// Eval runs body as the body of an async function in the page, with the argument arg. It
// stores the returned value in result unless result is nil.
func (p *Page) Eval(body string, arg, result any) {
	p.t.Helper()
	p.do("evaluate", result, "body", body, "arg", arg)
}

// In returns the same tab for a subtest, which its methods end if they fail.
func (p *Page) In(t testing.TB) *Page {
	in := *p
	in.t = t
	return &in
}

// Dial is Driver.Dial in the page: the client is the page's own `io`, the official bundle
// that the page must have loaded. url can be "/".
func (p *Page) Dial(url string, o Options) *Client {
	p.t.Helper()
	c := p.n.newClient(p.t)
	p.adopt(c.number)
	options := o.encode()
	delete(options, "extraHeaders") // pages cannot set the Cookie header
	p.n.must(p.t, "connect", c.command("version", "page", "url", url, "options", options), nil)
	return c
}

// adopt makes the page run the commands of a client.
func (p *Page) adopt(number int) { p.t.Helper(); p.do("adopt", nil, "socket", number) }

// MustNext returns the page's next "console" message or "error" (an uncaught exception or
// a console.error), in order, and waits for it. It ends the test after Timeout.
func (p *Page) MustNext(event string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	h, err := p.queue.take(ctx, event)
	if err != nil {
		p.t.Fatal(err)
	}
	var text string
	h.args.Bind(p.t, &text)
	return text
}

// Waiting returns the number of "console" messages or "error"s that MustNext has not
// returned.
func (p *Page) Waiting(event string) int { return p.queue.count(event) }

func (p *Page) do(op string, result any, pairs ...any) {
	p.t.Helper()
	command := map[string]any{"page": p.number}
	for i := 0; i < len(pairs); i += 2 {
		command[pairs[i].(string)] = pairs[i+1]
	}
	p.n.must(p.t, op, command, result)
}
