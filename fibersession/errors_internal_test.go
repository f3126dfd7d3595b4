package fibersession

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// Handler answers instead of a handler that returns an error of this package, so it must
// recognise all of them: each exported error is a sentinel, or wraps one.
func TestF2_SentinelsAreComplete(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]ast.Expr{} // of the package's variables in errors.go
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					values[name.Name] = spec.Values[i]
				}
			}
		}
		return true
	})
	mentions := func(expr ast.Expr, ok func(name string) bool) bool {
		found := false
		ast.Inspect(expr, func(n ast.Node) bool {
			if id, isID := n.(*ast.Ident); isID {
				found = found || ok(id.Name)
			}
			return true
		})
		return found
	}
	isSentinel := func(name string) bool {
		return mentions(values["sentinels"], func(other string) bool { return other == name })
	}
	var exported []string
	for name := range values {
		if ast.IsExported(name) {
			exported = append(exported, name)
		}
	}
	if len(exported) < len(sentinels) {
		t.Fatalf("errors.go has %d exported errors, want at least the %d sentinels", len(exported), len(sentinels))
	}
	slices.Sort(exported)
	for _, name := range exported {
		if !isSentinel(name) && !mentions(values[name], isSentinel) {
			t.Errorf("%s is not in sentinels and wraps none of them: visitors would see its text", name)
		}
	}
}
