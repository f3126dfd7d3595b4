package dropin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// importLine is what an app changes, and swapped is what it writes instead.
const (
	importLine = `"github.com/gofiber/fiber/v2/middleware/session"`
	swapped    = `session "github.com/fiberbridge/fiberbridge/fibersession"`
)

// storeEdits are the other edits that docs/from-fiber.md asks for: middlewares that take a
// *session.Store get one, and the app uses Handler before them.
var storeEdits = [][2]string{
	{"app.Use(csrf.New(csrf.Config{\n\t\t\tSession:", "app.Use(store.Handler())\n\t\tapp.Use(csrf.New(csrf.Config{\n\t\t\tSession:"},
	{"Session:    store,", "Session:    store.Fiber(),"},
	{"Session:        store,", "Session:        store.Fiber(),"},
	{"goth_fiber.SessionStore = store", "app.Use(store.Handler())\n\t\tgoth_fiber.SessionStore = store.Fiber()"},
}

// buildArgs are arguments of go build.
var buildArgs []string

// build builds the program in a folder of this module and returns its path. With edits, the
// compiler reads the files as edit returns them.
func build(t *testing.T, folder string, edit func(name, source string) string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "program")
	args = slices.Concat([]string{"build", "-o", out}, buildArgs, args)
	if edit != nil {
		args = append(args, "-overlay", overlay(t, folder, edit))
	}
	run(t, "go", append(args, "./"+folder)...)
	return out
}

// overlay writes the edited files of a folder and returns the argument of -overlay.
func overlay(t *testing.T, folder string, edit func(name, source string) string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	must(t, err)
	replace := map[string]string{}
	for i, file := range files {
		source, err := os.ReadFile(file)
		must(t, err)
		edited := edit(filepath.Base(file), string(source))
		if edited == string(source) {
			continue
		}
		abs, err := filepath.Abs(file)
		must(t, err)
		replace[abs] = filepath.Join(dir, strings.TrimSuffix(filepath.Base(file), ".go")+"_"+string(rune('a'+i))+".go")
		must(t, os.WriteFile(replace[abs], []byte(edited), 0o600))
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	path := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

// swap makes the edits of docs/from-fiber.md.
func swap(_, source string) string {
	source = strings.ReplaceAll(source, importLine, swapped)
	for _, e := range storeEdits {
		source = strings.ReplaceAll(source, e[0], e[1])
	}
	return source
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
