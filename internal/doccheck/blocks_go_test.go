package doccheck_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Blocks in Go are type-checked as they stand. One with a package clause is a whole program.
// Any other is a fragment: declarations, or the statements of a function, after the imports
// that it has. What a fragment takes from its surroundings is declared in testdata/blocks:
// common.go is for all pages, docs/x.go for the page docs/x.md. The imports of these files are
// those of the fragments too. A name in the fragment hides one of its page, which hides one of
// common.go.
//
// testdata/modules has what fragments need of modules that this one does not require.
//
// The types of imported packages come from the export data of the build cache, so that one run
// of go list is all that is built.

// TestBlocks_Go: each block in Go compiles.
func TestBlocks_Go(t *testing.T) {
	t.Parallel()
	blocks := blocksIn(t, "go")
	c := newGoChecker(t, blocks)
	report(t, blocks, c.check(blocks))
	for _, p := range c.stale(pageNames(t), blocks) {
		t.Error(p)
	}
}

// TestBlocks_GoFindsMistakes: the checker names the line of each mistake.
func TestBlocks_GoFindsMistakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"statements":            {"io.To(\"room\").Emit(\"news\", 1)\nx, err := io.To(\"room\").FetchSockets(ctx)", ""},
		"a wrong method":        {"\nio.To(\"room\").Emitt(\"news\", 1)", "docs/p.md:3: io.To(\"room\").Emitt undefined"},
		"a wrong field":         {"x := socketbridge.New(socketbridge.Config{\n\tSession: sessions,\n})", "docs/p.md:3: unknown field Session"},
		"too many values":       {"a, b := sessions.Handler()", "docs/p.md:2: assignment mismatch"},
		"unknown":               {"io.On(\"pay\", payer)", "docs/p.md:2: undefined: payer"},
		"an unknown package":    {"import \"github.com/fiberbridge/fiberbridge/x\"\n", "docs/p.md:2: could not import github.com/fiberbridge/fiberbridge/x"},
		"imports, statements":   {"import session \"github.com/fiberbridge/fiberbridge/fibersession\"\n\ns := session.New()\ns.Handle()", "docs/p.md:5: s.Handle undefined"},
		"declarations":          {"type T struct{}\n\nfunc (T) f() int { return \"\" }", "docs/p.md:4: cannot use \"\""},
		"imports a common name": {"import \"io\"\n\nvar r io.Reader\nr.Red()", "docs/p.md:5: r.Red undefined"},
		"hides a common name":   {"func app() {}\n\nvar io = app", ""},
		"a local name":          {"store := 1\nstore.Get()", "docs/p.md:3: store.Get undefined"},
		"both":                  {"func f() {}\n\nf()", "docs/p.md:4: expected declaration"},
		"syntax":                {"f(\n}", "docs/p.md:3: "},
		"unused":                {"x := 1\nvar y int", ""},
		"unused in a function":  {"f := func() {\n\tx := 1\n}", "docs/p.md:3: declared and not used: x"},
		"returns an error":      {"if err := sessions.Close(); err != nil {\n\treturn err\n}", ""},
		"returns no error":      {"return 1", "docs/p.md:2: cannot use 1"},
		"a program":             {"package main\n\nimport \"os\"\n\nfunc main() {}", "docs/p.md:4: \"os\" imported and not used"},
		"a program's names":     {"package main\n\nfunc main() { io.Of(\"/\") }", "docs/p.md:4: undefined: io"},
	}
	blocks := map[string][]block{}
	var all []block
	for name, tt := range tests {
		blocks[name] = blocksOf("docs/p.md", "```go\n"+tt.text+"\n```")
		all = append(all, blocks[name]...)
	}
	c := newGoChecker(t, all) // once, since it runs go list
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			compare(t, c.check(blocks[name]), tt.want)
		})
	}
}

// TestBlocks_GoStale: a preamble has nothing that no block uses.
func TestBlocks_GoStale(t *testing.T) {
	t.Parallel()
	blocks := blocksOf("docs/p.md", "```go\nx.f(os.Args)\n```")
	for name, tt := range map[string]struct{ file, text, want string }{
		"used":       {"docs/p.go", "package b\nvar x, _ = a, 1\nvar a int", ""},
		"a variable": {"docs/p.go", "package b\nvar x int\nvar xx int", "testdata/blocks/docs/p.go:3: no block uses xx"},
		"an import":  {"docs/p.go", "package b\nimport \"os\"\nimport \"io\"", "testdata/blocks/docs/p.go:3: no block uses io"},
		"a page":     {"docs/q.go", "package b", "testdata/blocks/docs/q.go:1: there is no such page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := goChecker{preambles: map[string]string{tt.file: tt.text}}
			compare(t, c.stale([]string{"docs/p.md"}, blocks), tt.want)
		})
	}
}

// goChecker type-checks blocks. It is not safe for concurrent use.
type goChecker struct {
	fset      *token.FileSet
	preambles map[string]string         // file below testdata/blocks -> text
	stubs     map[string]string         // import path -> text of the file in testdata/modules
	export    map[string]string         // import path -> file with export data
	gc        types.Importer            // reads export data
	stubbed   map[string]*types.Package // stubs that were checked
}

// newGoChecker builds all that the blocks and their preambles import.
func newGoChecker(t *testing.T, blocks []block) *goChecker {
	t.Helper()
	c := &goChecker{
		fset:      token.NewFileSet(),
		preambles: goFiles(t, filepath.Join("testdata", "blocks")),
		stubs:     map[string]string{},
		export:    map[string]string{},
		stubbed:   map[string]*types.Package{},
	}
	for file, text := range goFiles(t, filepath.Join("testdata", "modules")) {
		c.stubs[path.Dir(file)] = text
	}
	imported := map[string]bool{}
	need := func(name, text string) {
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if f == nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			imported[importPath(spec)] = true
		}
	}
	for _, texts := range []map[string]string{c.preambles, c.stubs} {
		for name, text := range texts {
			need(name, text)
		}
	}
	for _, b := range blocks {
		need(b.page, asFile(b))
	}
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}", "--"}
	for name := range imported {
		if _, stub := c.stubs[name]; !stub {
			args = append(args, name)
		}
	}
	list := exec.Command("go", args...)
	list.Dir = root
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			c.export[name] = file
		}
	}
	c.gc = importer.ForCompiler(c.fset, "gc", func(name string) (io.ReadCloser, error) {
		file, ok := c.export[name]
		if !ok {
			return nil, fmt.Errorf("no such package in this module, nor in testdata/modules")
		}
		return os.Open(file)
	})
	return c
}

// goFiles returns the text of the Go files in a folder, by their path below it.
func goFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Import returns a package of testdata/modules, or one of the build cache.
func (c *goChecker) Import(name string) (*types.Package, error) {
	text, stub := c.stubs[name]
	if !stub {
		return c.gc.Import(name)
	}
	if pkg := c.stubbed[name]; pkg != nil {
		return pkg, nil
	}
	f, err := parser.ParseFile(c.fset, "testdata/modules/"+name, text, 0)
	if err != nil {
		return nil, err
	}
	conf := types.Config{Importer: c}
	pkg, err := conf.Check(name, c.fset, []*ast.File{f}, nil)
	c.stubbed[name] = pkg
	return pkg, err
}

// check returns what does not compile.
func (c *goChecker) check(blocks []block) (problems []problem) {
	for _, b := range blocks {
		for _, p := range c.checkBlock(b) {
			if !slices.Contains(problems, p) { // a mistake in a preamble, found once for each block
				problems = append(problems, p)
			}
		}
	}
	return problems
}

func (c *goChecker) checkBlock(b block) (problems []problem) {
	add := func(at token.Position, text string) {
		problems = append(problems, problem{filepath.ToSlash(at.Filename), at.Line, text})
	}
	src, unused, err := c.source(b)
	if err != nil {
		return []problem{parseProblem(b, err)}
	}
	f, err := parser.ParseFile(c.fset, "block.go", src, parser.SkipObjectResolution)
	if err != nil {
		return []problem{parseProblem(b, err)}
	}
	files := []*ast.File{f}
	if !isProgram(b) {
		hidden := declared(f)
		maps.Copy(hidden, imports(f))
		for _, name := range []string{preambleOf(b.page), "common.go"} {
			text, ok := c.preambles[name]
			if !ok {
				continue
			}
			p, err := parser.ParseFile(c.fset, "testdata/blocks/"+name, text, parser.SkipObjectResolution)
			if err != nil {
				return []problem{{"testdata/blocks/" + name, 0, err.Error()}}
			}
			own := declared(p)
			hide(p, hidden)
			maps.Copy(hidden, own)
			maps.Copy(hidden, imports(p))
			files = append(files, p)
		}
	}
	conf := types.Config{Importer: c, GoVersion: "go1.26", Error: func(err error) {
		var e types.Error
		if !errors.As(err, &e) {
			add(token.Position{Filename: b.page, Line: b.line}, err.Error())
			return
		}
		at := c.fset.Position(e.Pos)
		switch {
		case isProgram(b):
		case unusedImport.MatchString(e.Msg):
			return
		case strings.HasPrefix(e.Msg, "declared and not used: ") && unused(at, strings.TrimPrefix(e.Msg, "declared and not used: ")):
			return
		}
		add(at, e.Msg)
	}}
	_, _ = conf.Check("blocks", c.fset, files, nil) // Error has been called
	return problems
}

// parseProblem is the first mistake that the parser found.
func parseProblem(b block, err error) problem {
	if list := (scanner.ErrorList)(nil); errors.As(err, &list) {
		return problem{b.page, list[0].Pos.Line, list[0].Msg}
	}
	return b.at(1, "%v", err)
}

var unusedImport = regexp.MustCompile(` imported (as \w+ )?and not used`)

// stale returns preambles of pages that do not exist or have no fragment, declarations and
// imports that none of their fragments uses, and stubs that none imports.
func (c *goChecker) stale(pages []string, blocks []block) (problems []problem) {
	words := map[string]map[string]bool{"common.go": {}} // preamble -> words of its fragments
	imported := map[string]bool{}
	for _, page := range pages {
		words[preambleOf(page)] = map[string]bool{}
	}
	for _, b := range blocks {
		for _, w := range word.FindAllString(b.text, -1) {
			words[preambleOf(b.page)][w], words["common.go"][w] = true, true
		}
	}
	for name, text := range c.preambles {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "testdata/blocks/"+name, text, 0)
		if err != nil {
			problems = append(problems, problem{"testdata/blocks/" + name, 0, err.Error()})
			continue
		}
		used, exists := words[name]
		if !exists {
			problems = append(problems, problem{"testdata/blocks/" + name, 1, "there is no such page"})
			continue
		}
		inside := map[string]int{} // occurrences in the preamble itself
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				inside[id.Name]++
			}
			return true
		})
		for _, id := range declarations(f) {
			if id.Name != "_" && !used[id.Name] && inside[id.Name] < 2 {
				at := fset.Position(id.Pos())
				problems = append(problems, problem{at.Filename, at.Line, "no block uses " + id.Name})
			}
		}
		for _, spec := range f.Imports {
			imported[importPath(spec)] = true
			if n := importName(spec); n != "_" && !used[n] && inside[n] == 0 {
				at := fset.Position(spec.Pos())
				problems = append(problems, problem{at.Filename, at.Line, "no block uses " + n})
			}
		}
	}
	for _, b := range blocks {
		f, _ := parser.ParseFile(token.NewFileSet(), "", asFile(b), parser.ImportsOnly)
		for _, spec := range f.Imports {
			imported[importPath(spec)] = true
		}
	}
	for name := range c.stubs {
		if !imported[name] {
			problems = append(problems, problem{"testdata/modules/" + name, 1, "no block imports it"})
		}
	}
	return problems
}

var word = regexp.MustCompile(`\w+`)
