package gen

import (
	"go/ast"
	"go/constant"
	"go/types"
	"slices"

	"golang.org/x/tools/go/packages"
)

// methods reads what the methods Values of p return.
func (l *loader) methods(p *packages.Package) {
	for _, f := range p.Syntax {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Values" || fn.Body == nil || len(fn.Body.List) != 1 {
				continue
			}
			if ret, ok := fn.Body.List[0].(*ast.ReturnStmt); ok && len(ret.Results) == 1 {
				if list, ok := l.list(ret.Results[0], p.TypesInfo); ok {
					l.valuesOf[fn.Name.Pos()] = list
				}
			}
		}
	}
}

// list returns the constants of a list in source: a composite literal, a variable of the
// package that is initialized with one, or a copy of either.
func (l *loader) list(e ast.Expr, info *types.Info) (list []constant.Value, ok bool) {
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		for _, elem := range e.Elts {
			v := info.Types[elem].Value
			if v == nil { // also of an element with an index
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case *ast.Ident:
		init, ok := l.inits[info.Uses[e]]
		if !ok {
			return nil, false
		}
		if lit, ok := ast.Unparen(init.expr).(*ast.CompositeLit); ok {
			return l.list(lit, init.info)
		}
	case *ast.SliceExpr:
		if e.Low == nil && e.High == nil {
			return l.list(e.X, info)
		}
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok || len(e.Args) != 1 {
			return nil, false
		}
		if f := info.Uses[sel.Sel]; f != nil && f.Pkg() != nil && f.Pkg().Path() == "slices" && f.Name() == "Clone" {
			return l.list(e.Args[0], info)
		}
	}
	return nil, false
}

// values returns what the method Values of t returns, as JSON, or nil if t is no enum. It
// fails if that cannot be read, and for an exported constant of t that is not listed, which is
// most likely forgotten.
func (b *builder) values(t types.Type) (texts []string) {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return nil
	}
	m := types.NewMethodSet(n).Lookup(n.Obj().Pkg(), "Values")
	pointer := m == nil
	if pointer {
		m = types.NewMethodSet(types.NewPointer(n)).Lookup(n.Obj().Pkg(), "Values")
	}
	if m == nil {
		return nil
	}
	f, ok := m.Obj().(*types.Func)
	if !ok || f.Signature().Params().Len() != 0 || f.Signature().Results().Len() != 1 ||
		!types.Identical(f.Signature().Results().At(0).Type(), types.NewSlice(n)) {
		return nil
	}
	if pointer {
		failf("method Values of %s has a pointer receiver: write func (%s) Values", n, n.Obj().Name())
	}
	if b.read(n); !b.source[n.Obj().Pkg().Path()] {
		return []string{"null"} // until the source is read
	}
	list, ok := b.valuesOf[f.Pos()]
	switch {
	case !ok:
		failf("cannot read what method Values of %s returns: return a list of constants", n)
	case len(list) == 0:
		failf("method Values of %s returns nothing", n)
	}
	for _, v := range list {
		if text := jsonOf(v); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	scope := n.Obj().Pkg().Scope()
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && c.Exported() && types.Identical(c.Type(), n) && !slices.Contains(texts, jsonOf(c.Val())) {
			failf("method Values of %s does not return the constant %s: add it there, or do not export it", n, name)
		}
	}
	return texts
}

func jsonOf(v constant.Value) string {
	if v.Kind() == constant.String {
		return quote(constant.StringVal(v))
	}
	return v.ExactString()
}
