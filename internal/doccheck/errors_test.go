package doccheck_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	errorSection = regexp.MustCompile("^## `([a-z/]+)`$")
	errorRow     = regexp.MustCompile("^\\| `(\\w+)` \\| (.+?) \\| (.+?) \\| (.+?) \\|$")
	codeOfRow    = regexp.MustCompile("^`([a-z_]+)`")
)

// declaredErrors returns the exported errors of a package: variables that begin with Err, and
// types with a method Error.
func declaredErrors(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
						for _, name := range v.Names {
							if name.IsExported() && strings.HasPrefix(name.Name, "Err") {
								all[name.Name] = true
							}
						}
					}
				}
			case *ast.FuncDecl:
				if d.Name.Name != "Error" || d.Recv == nil || d.Type.Params.NumFields() != 0 {
					continue
				}
				recv := d.Recv.List[0].Type
				if star, ok := recv.(*ast.StarExpr); ok {
					recv = star.X
				}
				if id, ok := recv.(*ast.Ident); ok && id.IsExported() {
					all[id.Name] = true
				}
			}
		}
	}
	return all
}

// TestS6_ErrorsPage: docs/errors.md lists every exported error of the packages that apps use,
// and no other, each with its cause, its cure, and the code or status that a client gets.
func TestS6_ErrorsPage(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	for line := range strings.Lines(read(t, "docs/troubleshooting.md")) {
		if m := regexp.MustCompile("^\\| `([a-z_]+)` \\| [^|]+ \\| [^|]+ \\|$").FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			codes[m[1]] = true
		}
	}
	listed := map[string]map[string]bool{} // package -> errors
	section := ""
	for line := range strings.Lines(read(t, "docs/errors.md")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "## ") {
			section = ""
		}
		if m := errorSection.FindStringSubmatch(line); m != nil {
			section = m[1]
			listed[section] = map[string]bool{}
			continue
		}
		m := errorRow.FindStringSubmatch(line)
		if m == nil || section == "" {
			continue
		}
		if listed[section][m[1]] {
			t.Errorf("the page lists %s of %s twice", m[1], section)
		}
		listed[section][m[1]] = true
		if len(m[2]) < 15 || len(m[3]) < 5 {
			t.Errorf("%s of %s has no cause or no cure", m[1], section)
		}
		if c := codeOfRow.FindStringSubmatch(m[4]); c != nil && !codes[c[1]] {
			t.Errorf("%s of %s: there is no code %q", m[1], section, c[1])
		}
	}
	declared := map[string]map[string]bool{}
	for _, dir := range libraryDirs(t) {
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(rel)
		if found := declaredErrors(t, dir); len(found) > 0 && !strings.Contains(name, "internal") && !strings.Contains(name, "testdata") {
			declared[name] = found
		}
	}
	if len(declared["fibersession"]) < 20 || !declared["socketbridge"]["EventError"] || !declared["socketbridge/engineio"]["ErrForbidden"] {
		t.Fatalf("the test finds too few errors in the source: %v", declared)
	}
	for name, errs := range declared {
		for _, e := range slices.Sorted(maps.Keys(errs)) {
			if !listed[name][e] {
				t.Errorf("%s declares %s, which the page does not list", name, e)
			}
		}
	}
	for name, errs := range listed {
		for _, e := range slices.Sorted(maps.Keys(errs)) {
			if !declared[name][e] {
				t.Errorf("the page lists %s of %s, which does not exist", e, name)
			}
		}
	}
}
