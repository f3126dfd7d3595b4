package fibersession_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Config has all fields of Fiber's session.Config. Session and Store have all methods of
// Fiber's types, with the same signatures.
func TestDropIn_Surface(t *testing.T) {
	t.Parallel()
	theirs, ours := reflect.TypeFor[session.Config](), reflect.TypeFor[fibersession.Config]()
	for _, f := range reflect.VisibleFields(theirs) {
		if !f.IsExported() {
			continue
		}
		g, ok := ours.FieldByName(f.Name)
		if !ok || g.Type != f.Type || g.Anonymous {
			t.Errorf("Config.%s: got type %v, want %v", f.Name, g.Type, f.Type)
		}
	}
	signature := func(m reflect.Method) string {
		var s []string
		for i := 1; i < m.Type.NumIn(); i++ {
			s = append(s, m.Type.In(i).String())
		}
		s = append(s, "->")
		for i := range m.Type.NumOut() {
			s = append(s, strings.ReplaceAll(m.Type.Out(i).String(), "fibersession.", "session."))
		}
		return strings.Join(s, " ")
	}
	for theirs, ours := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[*session.Session](): reflect.TypeFor[*fibersession.Session](),
		reflect.TypeFor[*session.Store]():   reflect.TypeFor[*fibersession.Store](),
	} {
		for i := range theirs.NumMethod() {
			m := theirs.Method(i)
			n, ok := ours.MethodByName(m.Name)
			if !ok || signature(m) != signature(n) {
				t.Errorf("%v.%s: found %t, want the signature %s", ours, m.Name, ok, signature(m))
			}
		}
	}
	_ = []fibersession.Source{fibersession.SourceCookie, fibersession.SourceHeader, fibersession.SourceURLQuery}
	if fibersession.ConfigDefault.Expiration != session.ConfigDefault.Expiration {
		t.Errorf("the default of Expiration: got %v, want Fiber's %v", fibersession.ConfigDefault.Expiration, session.ConfigDefault.Expiration)
	}
}

const importLine = `"github.com/gofiber/fiber/v2/middleware/session"`

// An app that was written for Fiber's session middleware prints the same after its import
// line was changed.
func TestDropIn_ChangedImportLine(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds two programs, and -short is set")
	}
	source, err := os.ReadFile(filepath.Join("testdata", "dropin", "main.go"))
	must(t, err)
	if strings.Count(string(source), importLine) != 1 {
		t.Fatal("testdata/dropin/main.go does not import Fiber's session middleware")
	}
	changed := strings.Replace(string(source), importLine, `session "github.com/fiberbridge/fiberbridge/fibersession"`, 1)
	want := runApp(t, string(source))
	got := runApp(t, changed)
	if got != want || strings.Count(want, "\n") < 10 {
		t.Errorf("got the output\n%s\nwant that with Fiber's middleware\n%s", got, want)
	}
}

// runApp builds a program inside this module, runs it and returns its output.
func runApp(t *testing.T, source string) string {
	t.Helper()
	dir, err := os.MkdirTemp("testdata", "run-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	out, err := exec.Command("go", "run", "./"+dir).Output()
	if err != nil {
		text := ""
		if exit, ok := err.(*exec.ExitError); ok {
			text = string(exit.Stderr)
		}
		t.Fatalf("%v\n%s%s", err, out, text)
	}
	return string(out)
}
