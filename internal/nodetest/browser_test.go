package nodetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = `<!doctype html><title>t</title>
<input id="name"><button id="go">go</button><p id="out"></p>
<script>
document.cookie = document.cookie || "seen=" + Math.random().toString(36).slice(2);
document.getElementById("go").onclick = () => {
  document.getElementById("out").textContent = "hello " + document.getElementById("name").value;
  console.log("clicked");
};
document.getElementById("name").onkeydown = (e) => { if (e.key === "Enter") throw new Error("boom"); };
</script>`

func TestBrowser(t *testing.T) {
	t.Parallel()
	n := Start(t)
	html := page
	url := n.Serve(t, nil, map[string]File{"/": {Type: "text/html", Body: &html}})
	b := n.Browser(t)
	p := b.Open(url + "/")
	p.Fill("#name", "you")
	p.Click("#go")
	if got := p.WaitText("#out", "hello"); got != "hello you" {
		t.Errorf("the page shows %q", got)
	}
	if got := p.Text("#out"); got != "hello you" {
		t.Errorf("the page shows %q", got)
	}
	if got := p.MustNext("console"); got != "clicked" {
		t.Errorf("console message is %q", got)
	}
	p.Press("#name", "Enter")
	if got := p.MustNext("error"); got != "Error: boom" {
		t.Errorf("page error is %q", got)
	}
	var sum int
	p.Eval("return await Promise.resolve(arg.a + arg.b)", map[string]int{"a": 1, "b": 2}, &sum)
	if sum != 3 || p.Count("button") != 1 {
		t.Errorf("sum is %d, number of buttons %d", sum, p.Count("button"))
	}

	journal := strings.Join(p.journal(), "\n")
	for _, want := range []string{"GET " + url, "200 after", "is at " + url, "console.log: clicked", "uncaught: Error: boom", "hello you"} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal does not contain %q:\n%s", want, journal)
		}
	}

	picture := filepath.Join(t.TempDir(), "page.png")
	p.Screenshot(picture)
	if data, err := os.ReadFile(picture); err != nil || len(data) < 8 || string(data[1:4]) != "PNG" {
		t.Errorf("Screenshot wrote no PNG: %v", err)
	}

	// The tabs of a context share cookies; other contexts have their own.
	second := b.Open(url + "/")
	other := b.NewContext(nil)
	third := other.Open(url + "/")
	var cookies [3]string
	for i, tab := range []*Page{p, second, third} {
		tab.Eval("return document.cookie", nil, &cookies[i])
	}
	if cookies[0] != cookies[1] || cookies[0] == cookies[2] || cookies[0] == "" {
		t.Errorf("cookies are %q", cookies)
	}
	if got := b.Cookies(url); len(got) != 1 || "seen="+got[0].Value != cookies[0] {
		t.Errorf("Cookies returned %+v", got)
	}
	p.Reload()
	p.Goto(url + "/")
	second.Close()
	other.Close()
}
