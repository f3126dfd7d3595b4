package doccheck_test

import (
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
	"strconv"
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
		e, ok := err.(types.Error)
		if !ok {
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
	if list, ok := err.(scanner.ErrorList); ok {
		return problem{b.page, list[0].Pos.Line, list[0].Msg}
	}
	return b.at(1, "%v", err)
}

var unusedImport = regexp.MustCompile(` imported (as \w+ )?and not used`)

var packageClause = regexp.MustCompile(`(?m)\A(?:\s*//.*\n|\s*\n)*package \w`)

func isProgram(b block) bool { return packageClause.MatchString(b.text) }

// lineDirective makes the position of what follows that of the nth line of the block.
func lineDirective(b block, n int) string { return fmt.Sprintf("\n//line %s:%d\n", b.page, b.line+n-1) }

// asFile is the block as a file with a package clause, for its imports.
func asFile(b block) string {
	if isProgram(b) {
		return lineDirective(b, 1) + b.text
	}
	return "package blocks" + lineDirective(b, 1) + b.text
}

// source returns the block as a Go file. unused reports whether a variable at a position may be
// unused, because the page's reader is going to use it: one of the fragment's own statements,
// not one in a function of the fragment.
func (c *goChecker) source(b block) (src string, unused func(at token.Position, name string) bool, err error) {
	none := func(token.Position, string) bool { return false }
	if isProgram(b) {
		return asFile(b), none, nil
	}
	fset := token.NewFileSet()
	src = asFile(b)
	f, declErr := parser.ParseFile(fset, "block.go", src, parser.SkipObjectResolution)
	if declErr == nil {
		return withImports(src, c.implied(b.page, f)), none, nil
	}
	// Statements: what follows the imports becomes the body of a function.
	head, err := parser.ParseFile(fset, "block.go", src, parser.ImportsOnly|parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	end := 0
	for _, d := range head.Decls {
		end = fset.PositionFor(d.End(), false).Offset
	}
	skipped := len(src) - len(b.text) // bytes before the block
	end = max(end-skipped, 0)
	wrap := func(signature, last string) string {
		return src[:skipped] + b.text[:end] + "\nfunc _() " + signature + "{" +
			lineDirective(b, 1+strings.Count(b.text[:end], "\n")) + b.text[end:] + last + "\n}\n"
	}
	src = wrap("", "")
	f, err = parser.ParseFile(fset, "block.go", src, parser.SkipObjectResolution)
	if err != nil {
		if function.MatchString(b.text) { // with a receiver or a name, so these are declarations
			err = declErr
		}
		return "", nil, err
	}
	body := f.Decls[len(f.Decls)-1].(*ast.FuncDecl).Body
	if returnsError(body) {
		src = wrap("error ", "\nreturn nil")
	}
	type variable struct {
		name string
		line int
	}
	own := map[variable]bool{}
	for _, stmt := range body.List {
		for _, id := range names(stmt) {
			own[variable{id.Name, fset.Position(id.Pos()).Line}] = true
		}
	}
	return withImports(src, c.implied(b.page, f)), func(at token.Position, name string) bool {
		return own[variable{name, at.Line}]
	}, nil
}

var function = regexp.MustCompile(`(?m)^func (\(\w+ [^)]+\) )?\w+[(\[]`)

// names are the variables that a statement declares.
func names(stmt ast.Stmt) (all []*ast.Ident) {
	switch s := stmt.(type) {
	case *ast.AssignStmt:
		for _, left := range s.Lhs {
			if id, ok := left.(*ast.Ident); ok && s.Tok == token.DEFINE {
				all = append(all, id)
			}
		}
	case *ast.DeclStmt:
		for _, spec := range s.Decl.(*ast.GenDecl).Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				all = append(all, v.Names...)
			}
		}
	}
	return all
}

// returnsError reports whether the statements return a value, as those of a function with an
// error do. Functions among them are not looked at.
func returnsError(body ast.Node) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			found = true
		}
		_, isFunc := n.(*ast.FuncLit)
		return !isFunc
	})
	return found
}

// withImports adds imports to a file that begins with a package clause.
func withImports(src string, specs []string) string {
	clause, rest, _ := strings.Cut(src, "\n")
	return clause + "\nimport (\n" + strings.Join(specs, "\n") + "\n)\n" + rest
}

// implied returns the imports that a fragment uses and does not have: those of its page's
// preamble and of common.go.
func (c *goChecker) implied(page string, f *ast.File) (specs []string) {
	skip := declared(f)
	maps.Copy(skip, imports(f))
	used := qualifiers(f)
	for _, name := range []string{preambleOf(page), "common.go"} {
		p, err := parser.ParseFile(token.NewFileSet(), name, c.preambles[name], 0)
		if err != nil {
			continue // reported when the preamble is checked
		}
		for _, spec := range p.Imports {
			if name := importName(spec); used[name] && !skip[name] {
				specs = append(specs, name+" "+spec.Path.Value)
				skip[name] = true
			}
		}
		for name := range declared(p) {
			skip[name] = true
		}
	}
	return specs
}

// preambleOf is the file below testdata/blocks that belongs to a page.
func preambleOf(page string) string { return strings.TrimSuffix(page, ".md") + ".go" }

func importPath(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return name
}

var majorVersion = regexp.MustCompile(`/v\d+$`)

// importName is the name of a package in a file. Without one in the import, it is the last
// element of the path that is no version.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path.Base(majorVersion.ReplaceAllString(importPath(spec), ""))
}

// imports are the names of the packages that a file imports.
func imports(f *ast.File) map[string]bool {
	all := map[string]bool{}
	for _, spec := range f.Imports {
		all[importName(spec)] = true
	}
	return all
}

// qualifiers are the names before a dot.
func qualifiers(n ast.Node) map[string]bool {
	all := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok {
				all[id.Name] = true
			}
		}
		return true
	})
	return all
}

// declared are the names that a file declares for its package.
func declared(f *ast.File) map[string]bool {
	all := map[string]bool{}
	for _, id := range declarations(f) {
		all[id.Name] = true
	}
	delete(all, "_")
	return all
}

func declarations(f *ast.File) (all []*ast.Ident) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				all = append(all, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					all = append(all, s.Names...)
				case *ast.TypeSpec:
					all = append(all, s.Name)
				}
			}
		}
	}
	return all
}

// hide renames the declarations of a preamble that another file replaces to "_", and removes
// the imports that it then does not use.
func hide(f *ast.File, hidden map[string]bool) {
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv != nil && hidden[receiver(fn)]
	})
	for _, id := range declarations(f) {
		if hidden[id.Name] {
			id.Name = "_"
		}
	}
	used := qualifiers(f)
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			g.Specs = slices.DeleteFunc(g.Specs, func(spec ast.Spec) bool { return !used[importName(spec.(*ast.ImportSpec))] })
		}
	}
}

// receiver is the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	expr := fn.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	id, _ := expr.(*ast.Ident)
	if id == nil {
		return ""
	}
	return id.Name
}

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
