package nodetest

import "testing"

// TestShare: two tests use the same process, and what the first one has made is closed at its
// end.
func TestShare(t *testing.T) {
	t.Parallel()
	html := `<!doctype html><title>t</title><script>document.cookie = document.cookie || "seen=" + Math.random()</script>`
	s := &Sharing{}
	t.Cleanup(func() {
		if s.process.stop(); s.failed {
			t.Error("the process has failed")
		}
	})
	n := start(t, s)
	url := n.Serve(t, nil, map[string]File{"/": {Type: "text/html", Body: &html}})
	var cookies [2]string
	var first *Client
	var page *Page
	t.Run("first", func(t *testing.T) {
		mine := start(t, s)
		if mine.process != n.process {
			t.Error("the test has a process of its own")
		}
		first = mine.Connect(t, url, Options{})
		page = mine.Browser(t).Open(url + "/")
		page.Eval("return document.cookie", nil, &cookies[0])
	})
	t.Run("second", func(t *testing.T) {
		mine := start(t, s)
		if got := mine.Connect(t, url, Options{}).MustCall("echo", 1).String(); got != "[1]" {
			t.Errorf("echo answers %s", got)
		}
		for what, err := range map[string]error{
			"client": mine.do(t.Context(), "state", first.command(), nil),
			"page":   mine.do(t.Context(), "text", map[string]any{"page": page.number, "selector": "body"}, nil),
		} {
			if err == nil {
				t.Errorf("the %s of a test before is there", what)
			}
		}
		mine.Browser(t).Open(url+"/").Eval("return document.cookie", nil, &cookies[1])
	})
	if cookies[0] == "" || cookies[0] == cookies[1] {
		t.Errorf("the tests have the cookies %q", cookies)
	}
	if got := n.Connect(t, url, Options{}).MustCall("echo", 2).String(); got != "[2]" {
		t.Errorf("after both, echo answers %s", got)
	}
}
