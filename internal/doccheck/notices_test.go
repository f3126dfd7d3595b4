package doccheck_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
)

// noticeRow is a row of a table of docs/troubleshooting.md: name, level, message, what to
// do, and the rest.
var noticeRow = regexp.MustCompile("^\\| `([a-z_]+)` \\| (\\w+) \\| (.+?) \\| (.+?) \\| (.+?) \\|$")

// libraryDirs returns the folders of the packages that apps use.
func libraryDirs(t *testing.T) (dirs []string) {
	t.Helper()
	for _, top := range []string{"fibersession", "socketbridge", "storage"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && !strings.HasSuffix(d.Name(), "test") && !strings.HasSuffix(d.Name(), "tests") { // no suites for tests
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// TestS6_TroubleshootingPage: docs/troubleshooting.md lists every kind of notice that the
// module declares, and no other, each with its level, its message and its setting.
func TestS6_TroubleshootingPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ level, message, todo string }
	rows := map[string]row{}
	for line := range strings.Lines(string(page)) {
		m := noticeRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		if _, twice := rows[m[1]]; twice {
			t.Errorf("the page lists %s twice", m[1])
		}
		rows[m[1]] = row{m[2], m[3], m[4]}
	}
	seen := map[string]string{}
	for _, dir := range libraryDirs(t) {
		for name, k := range noticetest.Declared(t, dir) {
			if other, twice := seen[name]; twice {
				t.Errorf("%s and %s both declare %s: an operator could not tell them apart", dir, other, name)
			}
			seen[name] = dir
			r, ok := rows[name]
			if !ok {
				t.Errorf("%s declares %s, which the page does not list", dir, name)
				continue
			}
			_, message, found := strings.Cut(k.Text, ": ")
			if !found || !strings.HasPrefix(message, r.message) || len(r.message) < 15 {
				t.Errorf("%s: the page has the message\n\t%s\nthe source\n\t%s", name, r.message, k.Text)
			}
			if !strings.EqualFold(r.level, k.Level) {
				t.Errorf("%s: the page has the level %s, the source %s", name, r.level, k.Level)
			}
			for setting := range strings.SplitSeq(k.Setting, ", ") {
				if !strings.Contains(r.todo, setting[strings.LastIndex(setting, ".")+1:]) {
					t.Errorf("%s: the page does not say what to do with %s", name, setting)
				}
			}
		}
	}
	for name := range rows {
		if seen[name] == "" {
			t.Errorf("the page lists %s, which no package declares", name)
		}
	}
}

// linesAtStart are the functions that log without a notice.Board: what they log depends on
// the configuration alone, and is logged once for each server or store.
var linesAtStart = []string{
	"fibersession/config_defaults.go: warnOfWeakness",
	"fibersession/user_index.go: logNoIndex",
	"fibersession/config_defaults.go: warnOfPrefork",
	"socketbridge/prefork.go: warnOfPrefork",
	"socketbridge/user_presence.go: newPresence",
	"socketbridge/engineio/server.go: New",
	"storage/redis/redis.go: New",
}

// TestS6_LinesAreBounded: all that clients, visitors and other nodes can cause is logged
// through a notice.Board, which bounds it.
func TestS6_LinesAreBounded(t *testing.T) {
	t.Parallel()
	var unused []string
	unused = append(unused, linesAtStart...)
	for _, dir := range libraryDirs(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, where := range logCalls(t, file) {
				if !slices.Contains(linesAtStart, where) {
					t.Errorf("%s writes to the log directly: use a notice.Board, so that the lines are bounded and counted", where)
				}
				unused = slices.DeleteFunc(unused, func(w string) bool { return w == where })
			}
		}
	}
	for _, where := range unused {
		t.Errorf("%s logs nothing any more", where)
	}
}

// logCalls returns the functions of a file that call a method of a *slog.Logger, or a
// function of slog that logs.
func logCalls(t *testing.T, file string) (where []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch name := sel.Sel.Name; strings.TrimSuffix(name, "Context") {
			case "Debug", "Info", "Warn", "Error", "Log", "LogAttrs":
				if len(call.Args) > 0 && !isNil(call.Args[0]) { // Error() of an error has none, net.Error(nil) is a conversion
					where = append(where, filepath.ToSlash(rel)+": "+fn.Name.Name)
				}
			}
			return true
		})
	}
	return where
}

func isNil(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "nil"
}

// code is a constant with a code that clients get.
var code = regexp.MustCompile(`(?m)^\tCode[A-Z]\w+ += "(\w+)"`)

// TestS6_CodesAreListed: docs/troubleshooting.md lists each code that clients get.
func TestS6_CodesAreListed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range []string{"errors.go", "repeat.go"} {
		source, err := os.ReadFile(filepath.Join(root, "socketbridge", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllStringSubmatch(string(source), -1) {
			found++
			if !strings.Contains(string(page), "\n| `"+m[1]+"` |") {
				t.Errorf("the page does not list the code %s", m[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("found only %d codes", found)
	}
}
