package fibersession_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// reversed is a form of somebody else's: the ID backwards, after a letter that says
// how old the form is.
type reversedFormat struct{}

func (reversedFormat) Value(_, id string) string { return "b" + reverse(id) }

func (reversedFormat) ID(_, value string) (string, bool, bool) {
	if value == "" || value[0] != 'a' && value[0] != 'b' {
		return "", false, false
	}
	return reverse(value[1:]), value[0] == 'a', true
}

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// C7: a parser of the cookie can be given.
func TestC7_CookieFormat(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true, Format: reversedFormat{}}})
	app := userApp(s)
	b := newBrowser(t, app)
	b.get("/in")
	value := b.cookies["session"]
	if value[0] != 'b' {
		t.Fatalf("the cookie holds %q", value)
	}
	if got := b.get("/"); got.body != "ada" || len(got.set) != 0 {
		t.Errorf("%q, cookies %v", got.body, got.set)
	}
	old := newBrowser(t, app)
	old.cookies["session"] = "a" + value[1:]
	if got := old.get("/"); got.body != "ada" || len(got.set) != 1 || old.cookies["session"] != value {
		t.Errorf("an old value gives %q and the cookies %v", got.body, got.set)
	}
	bad := newBrowser(t, app)
	bad.cookies["session"] = "c" + value[1:] // of no form
	if got := bad.get("/"); got.body != "" || s.Stats().Forged != 1 {
		t.Errorf("a bad value gives %q, counted %d", got.body, s.Stats().Forged)
	}
}
