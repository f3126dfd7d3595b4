package fibersession_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// reversedFormat is a CookieFormat: the ID reversed, after a letter that says whether the
// value has the old form ("a") or the new one ("b").
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

// C7: Config.Cookie.Format replaces the form of the cookie's value.
func TestC7_CookieFormat(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Format: reversedFormat{}}})
	app := userApp(s)
	b := newBrowser(t, app)
	b.get("/in")
	value := b.cookies["__Host-session"]
	if value[0] != 'b' {
		t.Fatalf("got the cookie %q, want it to start with \"b\"", value)
	}
	if got := b.get("/"); got.body != "ada" || len(got.set) != 0 {
		t.Errorf("got user %q and the cookies %v, want \"ada\" and none", got.body, got.set)
	}
	old := newBrowser(t, app)
	old.cookies["__Host-session"] = "a" + value[1:]
	if got := old.get("/"); got.body != "ada" || len(got.set) != 1 || old.cookies["__Host-session"] != value {
		t.Errorf("a value of the old form: got user %q and the cookies %v, want \"ada\" and the value of the new form", got.body, got.set)
	}
	bad := newBrowser(t, app)
	bad.cookies["__Host-session"] = "c" + value[1:] // neither form
	if got := bad.get("/"); got.body != "" || s.Stats().Forged != 1 {
		t.Errorf("a value of neither form: got user %q and Forged %d, want none and 1", got.body, s.Stats().Forged)
	}
}
