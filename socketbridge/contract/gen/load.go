package gen

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
)

const (
	contractPath = "github.com/fiberbridge/fiberbridge/socketbridge/contract"
	sessionPath  = "github.com/fiberbridge/fiberbridge/fibersession"
)

// Load reads the declarations of the packages that match patterns, seen from dir as by the go
// command. The events of all of them are those of one namespace: an event that is declared
// twice is an error. Errors begin with file:line of the declaration.
func Load(dir string, patterns ...string) (*Contract, error) {
	l, err := load(dir, patterns, nil)
	if err == nil && len(l.missing) > 0 {
		// Types of other packages have comments and enums too.
		l, err = load(dir, patterns, slices.Sorted(maps.Keys(l.missing)))
	}
	if err != nil {
		return nil, err
	}
	byName := func(a, b Event) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(l.out.Events, byName)
	slices.SortFunc(l.out.Asks, byName)
	slices.SortFunc(l.out.Keys, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	l.out.mark()
	if err := l.settleForms(); err != nil {
		return nil, err
	}
	l.out.Types = l.out.types()
	l.nameStored()
	return &l.out, nil
}

// load reads the declarations of the packages that match patterns, and the source of these and
// of others.
func load(dir string, patterns, others []string) (*loader, error) {
	positions := token.NewFileSet()
	all, err := packages.Load(&packages.Config{Dir: dir, Fset: positions, Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports |
		packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule}, slices.Concat(patterns, others)...)
	if err != nil {
		return nil, err
	}
	if err := notLoaded(all); err != nil {
		return nil, err
	}
	var errs []error
	l := &loader{positions: positions, inits: map[types.Object]initial{}, declared: map[string]token.Position{}, builder: newBuilder()}
	for _, p := range all {
		l.source[p.PkgPath] = true
		l.comments(p)
	}
	for _, p := range all {
		l.methods(p)
	}
	declaring := slices.DeleteFunc(all, func(p *packages.Package) bool { return slices.Contains(others, p.PkgPath) })
	for _, p := range declaring {
		scope := p.Types.Scope()
		for _, name := range scope.Names() {
			if err := l.declaration(p, scope.Lookup(name)); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	l.describe(declaring)
	return l, nil
}

// notLoaded returns what is wrong with packages: they do not exist, or do not compile.
func notLoaded(all []*packages.Package) error {
	var errs []error
	for _, p := range all {
		for _, e := range p.Errors {
			switch {
			case strings.HasPrefix(e.Msg, "# ") && len(p.Errors) > 1:
				// the compiler's output, which the other errors repeat
			case e.Pos == "" || e.Pos == "-":
				errs = append(errs, errors.New(e.Msg))
			default:
				errs = append(errs, fmt.Errorf("%s: %s", e.Pos, e.Msg))
			}
		}
	}
	return errors.Join(errs...)
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// describe sets what is said of the whole contract.
func (l *loader) describe(declaring []*packages.Package) {
	l.out.Title, l.out.Version = "events", "1.0.0"
	if len(declaring) == 0 {
		return
	}
	p := declaring[0]
	l.out.Title = p.Name
	if p.Module != nil {
		name := p.Module.Path
		if major := path.Base(name); majorVersion.MatchString(major) {
			l.out.Version, name = major[1:]+".0.0", path.Dir(name)
		}
		l.out.Title = path.Base(name)
	}
	if len(declaring) > 1 {
		return
	}
	for _, f := range p.Syntax {
		if text := strings.TrimSpace(f.Doc.Text()); text != "" {
			l.out.Doc = text
			return
		}
	}
}

// settleForms decides how types are sent that are read in another form. A type for which both happen
// cannot be described.
func (l *loader) settleForms() error {
	var errs []error
	for _, w := range slices.Backward(l.oneWay) { // those that contain others come first
		switch {
		case !w.Sent && !w.Stored:
		case w.Received:
			var pos token.Position
			if n, ok := w.typ.(*types.Named); ok {
				pos = l.positions.Position(n.Obj().Pos())
			}
			errs = append(errs, fmt.Errorf("%s: clients would get %s in another form than they send it: it needs MarshalJSON and UnmarshalJSON, or MarshalText and UnmarshalText, the first with a value as receiver", pos, w.typ))
		default:
			sent, stored := w.Sent, w.Stored
			*w.Type = *w.sent
			if sent {
				markBelow(w.Type, func(t *Type) *bool { return &t.Sent })
			}
			if stored {
				markBelow(w.Type, func(t *Type) *bool { return &t.Stored })
			}
		}
	}
	return errors.Join(errs...)
}

// nameStored names types that differ in sessions, besides their form in events.
func (l *loader) nameStored() {
	for _, t := range l.out.Types {
		if !t.Stored || !t.Sent && !t.Received || !storedDiffers(t) {
			continue
		}
		t.StoredAs = l.unique("Stored" + t.Name)
	}
}

type loader struct {
	positions *token.FileSet
	out       Contract
	inits     map[types.Object]initial
	declared  map[string]token.Position
	builder
}

// initial is what a variable is initialized with.
type initial struct {
	expr ast.Expr
	info *types.Info
}

// comments collects the comments of p, and what its variables are initialized with.
func (l *loader) comments(p *packages.Package) {
	for _, f := range p.Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				for _, s := range n.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						l.comment(s.Name, s.Doc, s.Comment, alone(n))
					case *ast.ValueSpec:
						for i, name := range s.Names {
							l.comment(name, s.Doc, s.Comment, alone(n))
							if i < len(s.Values) {
								l.inits[p.TypesInfo.Defs[name]] = initial{s.Values[i], p.TypesInfo}
							}
						}
					}
				}
			case *ast.Field:
				for _, name := range n.Names {
					l.comment(name, n.Doc, n.Comment)
				}
			}
			return true
		})
	}
}

// alone returns the comment of a declaration without parentheses.
func alone(d *ast.GenDecl) *ast.CommentGroup {
	if d.Lparen.IsValid() {
		return nil
	}
	return d.Doc
}

// comment keeps the first comment that has text.
func (l *loader) comment(name *ast.Ident, groups ...*ast.CommentGroup) {
	for _, g := range groups {
		if text := strings.TrimSpace(g.Text()); text != "" {
			l.docOf[name.Pos()] = text
			return
		}
	}
}

// declaration adds obj to the contract, if it declares an event or a key.
func (l *loader) declaration(p *packages.Package, obj types.Object) (err error) {
	named, ok := types.Unalias(obj.Type()).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.TypeArgs().Len() == 0 {
		return nil
	}
	kind, path := named.Obj().Name(), named.Obj().Pkg().Path()
	if path != contractPath && !(path == sessionPath && kind == "Key") {
		return nil
	}
	var value constant.Value
	switch obj := obj.(type) {
	case *types.Const:
		value = obj.Val()
	case *types.Var:
		if call, ok := l.inits[obj].expr.(*ast.CallExpr); ok && len(call.Args) == 1 {
			value = p.TypesInfo.Types[call.Args[0]].Value
		}
	default:
		return nil
	}
	pos := p.Fset.Position(obj.Pos())
	if value == nil || value.Kind() != constant.String {
		return fmt.Errorf("%s: the name of %s is not a constant: write it as a string in the declaration", pos, obj.Name())
	}
	name := constant.StringVal(value)
	side := kind
	if kind == "Ask" {
		side = "Notice"
	}
	if wrong := lint.Name(name, kind == "Event"); wrong != "" && kind != "Key" {
		return fmt.Errorf("%s: %s: the event %q cannot be used: %s", pos, obj.Name(), name, wrong)
	}
	if first, twice := l.declared[side+name]; twice {
		return fmt.Errorf("%s: %q is declared twice: first at %s", pos, name, first)
	}
	l.declared[side+name] = pos
	defer func() {
		if r := recover(); r != nil {
			u, ok := r.(unusable)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%s: %s: %s", pos, obj.Name(), string(u))
		}
	}()
	arg := func(i int) types.Type { return named.TypeArgs().At(i) }
	doc := l.docOf[obj.Pos()]
	switch kind {
	case "Event":
		l.out.Events = append(l.out.Events, Event{name, doc, l.args(arg(0)), l.args(arg(1)), true})
	case "Ask":
		l.out.Asks = append(l.out.Asks, Event{name, doc, l.args(arg(0)), l.args(arg(1)), true})
	case "Notice":
		l.out.Asks = append(l.out.Asks, Event{Name: name, Doc: doc, In: l.args(arg(0))})
	case "Key":
		_, pointer := pointedTo(arg(0))
		l.out.Keys = append(l.out.Keys, Key{name, doc, l.typeOf(arg(0)), pointer})
	}
	l.checkUnions()
	return nil
}
