package dropin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// accessors stand for what Fiber's tests read from unexported fields and methods. The package
// of the rewritten tests gets them as a file of its own.
const accessors = `package fibertests

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	. "github.com/fiberbridge/fiberbridge/fibersession"
)

// sessionName returns the name of the cookie, header or parameter that carries the ID.
func sessionName(store *Store) string {
	app := fiber.New()
	c := app.AcquireCtx(&fasthttp.RequestCtx{})
	defer app.ReleaseCtx(c)
	if name := store.CookieNameOf(c); name != "" {
		return name
	}
	_, name, _ := strings.Cut(store.KeyLookup, ":")
	return name
}

// sessionID returns the ID that a request presents.
func sessionID(store *Store, c *fiber.Ctx) string {
	name := sessionName(store)
	for _, id := range []string{c.Cookies(name), c.Get(name), c.Query(name)} {
		if id != "" {
			return id
		}
	}
	return ""
}
`

// Fiber's own tests of its session package, run against this project's, fail only where
// docs/from-fiber.md says so. The tests are read from the module cache and rewritten: the
// package is imported instead of tested from inside, and unexported names are replaced.
func TestF2_FibersOwnTests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED: builds a test, and -short is set")
	}
	listed := fiberTestsOfDoc(t)
	source := strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gofiber/fiber/v2"))
	dir, err := os.MkdirTemp(".", "fibertests-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.WriteFile(filepath.Join(dir, "accessors_test.go"), []byte(accessors), 0o600))
	files, err := filepath.Glob(filepath.Join(source, "middleware", "session", "*_test.go"))
	must(t, err)
	for _, file := range files {
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), rewrite(t, file, listed), 0o600))
	}
	program := filepath.Join(t.TempDir(), "fibertests")
	run(t, "go", "test", "-c", "-o", program, "./"+dir)
	var listedToFail []string
	for name, outcome := range listed {
		if outcome == "fails" {
			listedToFail = append(listedToFail, name)
			// Alone, because it may end the process with a panic.
			if results := runTests(t, program, "-test.run", pattern(name)); results[name] != "fail" {
				t.Errorf("%s: %s, and the page says that it fails", name, results[name])
			}
		}
	}
	skip := "^$"
	if listedToFail != nil {
		skip = pattern(listedToFail...)
	}
	results := runTests(t, program, "-test.skip", skip)
	for name, outcome := range results {
		if outcome != "pass" {
			t.Errorf("%s: %s, and the page does not list it", name, outcome)
		}
	}
	if len(results) < 20 {
		t.Errorf("only %d tests ran: %v", len(results), results)
	}
}

// pattern returns a regular expression for exactly these tests. A subtest is one with its test.
func pattern(names ...string) string {
	for i, name := range names {
		parts := strings.Split(name, "/")
		for j := range parts {
			parts[j] = "^" + regexp.QuoteMeta(parts[j]) + "$"
		}
		names[i] = strings.Join(parts, "/")
	}
	return strings.Join(names, "|")
}

// rewrite returns one of Fiber's test files as a test of this project's package. It drops
// benchmarks and the tests that are listed as not run.
func rewrite(t *testing.T, file string, listed map[string]string) []byte {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	must(t, err)
	f.Name.Name = "fibertests"
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && (strings.HasPrefix(fn.Name.Name, "Benchmark") || listed[fn.Name.Name] == "not run")
	})
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "getSessionID" {
			call.Fun, call.Args = ast.NewIdent("sessionID"), append([]ast.Expr{sel.X}, call.Args...)
		}
		for i, arg := range call.Args {
			call.Args[i] = exported(arg)
		}
		return true
	})
	dropUnusedImports(f)
	importDot := &ast.ImportSpec{Name: ast.NewIdent("."), Path: &ast.BasicLit{Kind: token.STRING, Value: `"github.com/fiberbridge/fiberbridge/fibersession"`}}
	f.Decls = append([]ast.Decl{&ast.GenDecl{Tok: token.IMPORT, Specs: []ast.Spec{importDot}}}, f.Decls...)
	f.Comments = nil // their positions belong to the old declarations
	var b bytes.Buffer
	must(t, format.Node(&b, fset, f))
	return b.Bytes()
}

// exported returns an expression that reads an unexported field as one that calls an accessor.
func exported(e ast.Expr) ast.Expr {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return e
	}
	switch sel.Sel.Name {
	case "sessionName":
		return &ast.CallExpr{Fun: ast.NewIdent("sessionName"), Args: []ast.Expr{sel.X}}
	case "id":
		return &ast.CallExpr{Fun: &ast.SelectorExpr{X: sel.X, Sel: ast.NewIdent("ID")}}
	}
	return e
}

// dropUnusedImports removes the imports that only dropped functions used.
func dropUnusedImports(f *ast.File) {
	used := map[string]bool{}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					used[x.Name] = true
				}
			}
			return true
		})
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT {
			continue
		}
		g.Specs = slices.DeleteFunc(g.Specs, func(s ast.Spec) bool {
			path, _ := strconv.Unquote(s.(*ast.ImportSpec).Path.Value)
			parts := strings.Split(path, "/")
			name := parts[len(parts)-1]
			if name == "v2" {
				name = parts[len(parts)-2]
			}
			return !used[name]
		})
	}
	f.Imports = nil
}

// runTests runs a test program and returns each test's outcome: "pass", "fail", or "no result" if
// the program ended before.
func runTests(t *testing.T, program string, args ...string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"tool", "test2json", program, "-test.v=test2json"}, args...)...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	results := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e struct{ Action, Test string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		switch e.Action {
		case "run":
			results[e.Test] = "no result"
		case "pass", "fail":
			results[e.Test] = e.Action
		}
	}
	if len(results) == 0 {
		t.Fatalf("no test ran:\n%s", out)
	}
	return results
}
