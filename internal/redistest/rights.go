package redistest

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// LeastRights returns the command of docs/scaling.md that gives the app "shop" an ACL user, for
// an app of another name. The password is "pw-" and the name.
func LeastRights(t testing.TB, app string) []string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	page, err := os.ReadFile(filepath.Join(filepath.Dir(file), "../../docs/scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)ACL SETUSER shop [^`]*").FindString(string(page))
	if text == "" {
		t.Fatal("docs/scaling.md has no ACL SETUSER")
	}
	return strings.Fields(strings.NewReplacer("\\\n", " ", "'", "", "shop", app, "PASSWORD", "pw-"+app).Replace(text))
}
