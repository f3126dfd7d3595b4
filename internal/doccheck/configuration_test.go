package doccheck_test

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this package.
var root = filepath.Join("..", "..")

// configs are the structs that docs/configuration.md lists, by package folder. Groups
// such as Limits are structs of their own.
var configs = []struct {
	dir     string
	structs []string
}{
	{"fibersession", []string{"Config", "Cookie", "Timeouts", "Tracking", "Limits", "OldLogins", "Express"}},
	{"fibersession/csrf", []string{"Config"}},
	{"socketbridge", []string{"Config", "Limits", "Timeouts", "Presence", "Recovery", "Repeats", "Drain", "Trace"}},
	{"socketbridge/engineio", []string{"Config", "Limits", "Timeouts"}},
	{"socketbridge/redisadapter", []string{"Config"}},
	{"socketbridge/emitter", []string{"Config"}},
	{"socketbridge/contribws", []string{"Config"}},
	{"socketbridge/metrics", []string{"Config"}},
	{"socketbridge/otel", []string{"Config"}},
	{"socketbridge/adminui", []string{"Config"}},
	{"socketbridge/inspector", []string{"Config"}},
	{"storage/redis", []string{"Config"}},
	{"storage/memory", []string{"Config"}},
}

// setting is one field of a config, as its source or as the page has it.
type setting struct{ name, typ, def string }

// TestConfigurationPage holds docs/configuration.md to the source: the table of a struct
// lists its fields in their order, each with its type and the default that its doc
// comment names, and with a reason.
func TestConfigurationPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	tables := pageTables(t, string(page))
	for _, c := range configs {
		structs := sourceStructs(t, c.dir)
		for _, name := range c.structs {
			full := filepath.Base(c.dir) + "." + name
			fields, ok := structs[name]
			if !ok {
				t.Errorf("%s: there is no such struct", full)
				continue
			}
			rows := tables[full]
			delete(tables, full)
			if len(rows) != len(fields) {
				t.Errorf("%s has %d fields, docs/configuration.md lists %d", full, len(fields), len(rows))
			}
			for i := range min(len(rows), len(fields)) {
				if rows[i] != fields[i] {
					t.Errorf("%s: docs/configuration.md has\n\t%+v\nthe source\n\t%+v", full, rows[i], fields[i])
				}
			}
		}
	}
	for full := range tables {
		t.Errorf("docs/configuration.md lists %s, which this test does not know", full)
	}
}

// TestConfigsAreListed finds config structs that the page and this test forgot.
func TestConfigsAreListed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range configs {
		known[c.dir] = true
	}
	for _, dir := range []string{"fibersession", "socketbridge", "storage"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "internal" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if _, ok := sourceStructs(t, rel)["Config"]; ok && !known[filepath.ToSlash(rel)] {
				t.Errorf("%s has a Config that docs/configuration.md does not list", rel)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sourceStructs returns the exported fields of each struct that a package declares.
func sourceStructs(t *testing.T, dir string) map[string][]setting {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string][]setting{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = fieldsOf(t, fset, spec.Name.Name, st)
			}
			return false
		})
	}
	return structs
}

func fieldsOf(t *testing.T, fset *token.FileSet, name string, st *ast.StructType) []setting {
	t.Helper()
	var all []setting
	for _, f := range st.Fields.List {
		var typ strings.Builder
		if err := printer.Fprint(&typ, fset, f.Type); err != nil {
			t.Fatal(err)
		}
		for _, id := range f.Names {
			if id.IsExported() {
				all = append(all, setting{id.Name, typ.String(), defaultIn(f.Doc.Text())})
			}
		}
	}
	return all
}

// defaultIn returns what a field's doc comment says of its default: the text after
// "Optional. Default:", "none; required" after "Required.", and "nil" for a hook that has
// neither.
func defaultIn(doc string) string {
	lines := strings.Split(strings.TrimSpace(doc), "\n")
	last := lines[len(lines)-1]
	if def, ok := strings.CutPrefix(last, "Optional. Default: "); ok {
		return strings.TrimSuffix(def, ".")
	}
	if strings.HasPrefix(last, "Required.") {
		return "none; required"
	}
	return "nil"
}

var (
	heading = regexp.MustCompile("^#+ `(\\w+\\.\\w+)`")
	row     = regexp.MustCompile("^\\| `(\\w+)` \\| (.+?) \\| (.+?) \\| (.+) \\|$")
)

// pageTables returns the rows of each table below a heading that names a struct.
func pageTables(t *testing.T, page string) map[string][]setting {
	t.Helper()
	tables := map[string][]setting{}
	var at string
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if m := heading.FindStringSubmatch(line); m != nil {
			at = m[1]
			if _, twice := tables[at]; twice {
				t.Errorf("docs/configuration.md lists %s twice", at)
			}
			tables[at] = nil
			continue
		}
		if strings.HasPrefix(line, "#") {
			at = ""
		}
		m := row.FindStringSubmatch(line)
		if m == nil || at == "" {
			continue
		}
		plain := strings.NewReplacer("`", "", `\|`, "|")
		if strings.TrimSpace(m[4]) == "" {
			t.Errorf("%s.%s has no reason", at, m[1])
		}
		tables[at] = append(tables[at], setting{m[1], plain.Replace(m[2]), plain.Replace(m[3])})
	}
	return tables
}
