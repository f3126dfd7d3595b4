package doccheck_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

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
