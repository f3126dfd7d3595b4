package gen

import (
	"encoding/json"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strings"
)

// unusable is the panic for a type that cannot be sent.
type unusable string

func failf(format string, args ...any) { panic(unusable(fmt.Sprintf(format, args...))) }

// builder makes the model of Go types, each once.
type builder struct {
	docOf    map[token.Pos]string           // comments, by the position of the name
	valuesOf map[token.Pos][]constant.Value // what methods Values return, by the position of the name
	source   map[string]bool                // paths of packages whose source was read
	missing  map[string]bool                // and of those that have types of the contract besides
	seen     map[string]*Type
	building []*Type        // types that are not complete, from the outside in
	checked  map[*Type]bool // whose fields have the rules that they need
	names    map[string]bool
	standIns map[string]reflect.Type
	unions   []union
	oneWay   []oneWay
}

// oneWay is a type whose values are sent in another form than they are read.
type oneWay struct {
	*Type
	sent *Type // the other form
	typ  types.Type
}

func newBuilder() builder {
	return builder{
		docOf: map[token.Pos]string{}, valuesOf: map[token.Pos][]constant.Value{}, source: map[string]bool{}, missing: map[string]bool{},
		seen: map[string]*Type{}, checked: map[*Type]bool{}, names: map[string]bool{}, standIns: map[string]reflect.Type{},
	}
}

func is(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path && n.Obj().Name() == name
}

// args returns the arguments of In, Out or T.
func (b *builder) args(t types.Type) Args {
	if is(t, contractPath, "None") {
		return Args{}
	}
	if s, ok := t.Underlying().(*types.Struct); ok && embeds(s, "Tuple") {
		b.read(t)
		fields, _ := b.fields(t, s, true)
		b.checkDives(types.TypeString(t, (*types.Package).Name), fields)
		return Args{fields, true, embeds(s, "Strict")}
	}
	_, pointer := pointedTo(t)
	m := b.typeOf(t)
	b.checkBelow(m)
	// The runtime checks the only argument as if it had these rules.
	rules := parseRules("omitnil" + strings.Repeat(",dive,omitnil", levels(m)))
	return Args{List: []Field{{Name: "data", Type: m, Optional: pointer, Nullable: pointer, Pointer: pointer, Rules: rules}}}
}

func embeds(s *types.Struct, marker string) bool {
	for f := range s.Fields() {
		if f.Embedded() && is(f.Type(), contractPath, marker) {
			return true
		}
	}
	return false
}

// pointedTo returns what t points to, and whether t is a pointer.
func pointedTo(t types.Type) (types.Type, bool) {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem(), true
	}
	return t, false
}

// method reports whether t, or else *t, has a method with a signature, such as "() string".
func method(t types.Type, name, signature string) (of, ofPointer bool) {
	find := func(t types.Type) bool {
		m := types.NewMethodSet(t).Lookup(nil, name)
		if m == nil {
			return false
		}
		f, ok := m.Obj().(*types.Func)
		return ok && types.TypeString(unnamed(f.Signature()), nil) == "func"+signature
	}
	return find(t), find(types.NewPointer(t))
}

// unnamed returns a signature without the names of its parameters.
func unnamed(s *types.Signature) *types.Signature {
	list := func(of *types.Tuple) *types.Tuple {
		var all []*types.Var
		for v := range of.Variables() {
			all = append(all, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(all...)
	}
	return types.NewSignatureType(nil, nil, nil, list(s.Params()), list(s.Results()), s.Variadic())
}

// structural is the form of types without methods that encode or decode them.
const structural Kind = -1

// takenAs returns the form in which a type is read.
func takenAs(t types.Type) Kind {
	_, json := method(t, "UnmarshalJSON", "([]byte) error")
	_, text := method(t, "UnmarshalText", "([]byte) error")
	switch {
	case is(t, "time", "Time"):
		return Time
	case is(t, "encoding/json", "Number"):
		return Number
	case json:
		return Any
	case text:
		return Text
	}
	return structural
}

// sentAs returns the form in which a type is sent. A method of the pointer encodes some values only:
// those in lists and behind pointers.
func sentAs(t types.Type) Kind {
	_, json := method(t, "MarshalJSON", "() ([]byte, error)")
	text, ofPointer := method(t, "MarshalText", "() ([]byte, error)")
	switch {
	case is(t, "time", "Time"):
		return Time
	case is(t, "encoding/json", "Number"):
		return Number
	case json:
		return Any
	case text, ofPointer && isText(t):
		return Text
	case ofPointer:
		return Any
	}
	return structural
}

// isLeaf reports whether a type decodes itself.
func isLeaf(t types.Type) bool {
	if k := types.Unalias(t); types.IsInterface(k) {
		return false
	}
	return takenAs(t) != structural
}

// typeOf returns the model of t. Pointers are those of their element: what can be null is said
// by the field.
func (b *builder) typeOf(t types.Type) *Type {
	for n := 0; ; n++ {
		to, ok := pointedTo(t)
		if t = types.Unalias(to); !ok {
			break
		}
		if n > 100 {
			failf("%s points to itself", t)
		}
	}
	key := types.TypeString(t, nil)
	if m := b.seen[key]; m != nil {
		b.nameRecursive(m, t)
		return m
	}
	m := &Type{Len: -1}
	b.seen[key] = m // before it is complete: types can be recursive
	b.building = append(b.building, m)
	defer func() { b.building = b.building[:len(b.building)-1] }()
	m.standIn = b.standIn(t)
	if types.IsInterface(t) {
		b.union(m, t, t.Underlying().(*types.Interface))
		return m
	}
	taken, sent := takenAs(t), sentAs(t)
	b.form(m, t, taken)
	switch text := m.Kind == String || m.Kind == Text && isText(t); {
	case taken == sent, taken == Any, text && sent == Text, text && sent == structural:
	default:
		other := &Type{Len: -1, standIn: m.standIn}
		b.form(other, t, sent)
		b.oneWay = append(b.oneWay, oneWay{m, other, t})
	}
	return m
}

// nameRecursive gives a list or a map that contains itself a name, such as type Tree []Tree, and the
// structs without a name on the way.
func (b *builder) nameRecursive(m *Type, t types.Type) {
	at := slices.Index(b.building, m)
	if at < 0 || m.Name != "" {
		return
	}
	b.name(m, t)
	for _, below := range b.building[at:] {
		if below.Kind == Struct && below.Name == "" {
			below.Name = b.unique(m.Name + "Item")
		}
	}
}

// isText reports whether t is a type of strings.
func isText(t types.Type) bool {
	u, ok := t.Underlying().(*types.Basic)
	return ok && u.Info()&types.IsString != 0
}

// form fills in m for a type that is read or sent in a form.
func (b *builder) form(m *Type, t types.Type, form Kind) {
	if form != structural {
		m.Kind, m.Go = form, types.TypeString(t, (*types.Package).Name)
		m.Ruled = b.ruledIn(t, map[string]bool{})
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		b.basic(m, t, u)
	case *types.Slice:
		if e, ok := u.Elem().Underlying().(*types.Basic); ok && e.Kind() == types.Uint8 {
			_, named := types.Unalias(u.Elem()).(*types.Named)
			switch {
			case !named:
				m.Kind = Binary
				return
			case sentAs(u.Elem()) == structural:
				failf("%s would be sent as base64, because %s is a byte: use another integer type", t, u.Elem())
			}
		}
		m.Kind = List
		b.elem(m, u.Elem())
	case *types.Array:
		m.Kind, m.Len = List, int(u.Len())
		b.elem(m, u.Elem())
	case *types.Map:
		k, ok := u.Key().Underlying().(*types.Basic)
		if !ok || k.Info()&(types.IsString|types.IsInteger) == 0 || k.Kind() == types.Uintptr || !plainKey(u.Key()) {
			failf("%s has keys that are no strings or integers", t)
		}
		m.Kind, m.IntKeys, m.Unsigneds = Map, k.Info()&types.IsInteger != 0, k.Info()&types.IsUnsigned != 0
		m.Keys = b.values(u.Key())
		b.elem(m, u.Elem())
	case *types.Struct:
		m.Kind, m.Strict = Struct, embeds(u, "Strict")
		b.name(m, t)
		m.Fields, m.Embedded = b.fields(t, u, false)
	default:
		failf("%s cannot be sent as JSON", t)
	}
}

// plainKey reports whether keys of a map are read and sent as they are.
func plainKey(t types.Type) bool {
	_, decodes := method(t, "UnmarshalText", "([]byte) error")
	encodes, _ := method(t, "MarshalText", "() ([]byte, error)")
	return !decodes && (!encodes || isText(t))
}

// elem sets the type of the elements of m.
func (b *builder) elem(m *Type, t types.Type) {
	_, m.NullElem = pointedTo(t)
	m.Elem = b.typeOf(t)
}

func (b *builder) basic(m *Type, t types.Type, u *types.Basic) {
	switch info := u.Info(); {
	case info&types.IsBoolean != 0:
		m.Kind = Bool
	case info&types.IsString != 0:
		m.Kind = String
	case info&types.IsInteger != 0 && u.Kind() != types.Uintptr:
		m.Kind, m.Unsigned, m.Bits = Integer, info&types.IsUnsigned != 0, bits(u)
		m.Duration = is(t, "time", "Duration")
	case info&types.IsFloat != 0:
		m.Kind, m.Bits = Number, bits(u)
	default:
		failf("%s cannot be sent as JSON", t)
	}
	if m.Kind != String && m.Kind != Integer {
		return
	}
	if m.Values = b.values(t); m.Values != nil {
		m.Kind = Enum
		b.name(m, t)
	}
}

func bits(u *types.Basic) int { return int(8 * types.SizesFor("gc", "amd64").Sizeof(u)) }

// union fills in m for any, or for an interface whose only method is oneOf.
func (b *builder) union(m *Type, t types.Type, u *types.Interface) {
	if u.NumMethods() == 0 {
		return
	}
	if u.NumMethods() != 1 || u.Method(0).Name() != "oneOf" || u.Method(0).Signature().Params().Len() == 0 || u.Method(0).Signature().Results().Len() != 0 {
		failf("%s is an interface other than any and unions: a union has one method oneOf, whose parameters are its members", t)
	}
	m.Kind = Union
	b.name(m, t)
	b.unions = append(b.unions, union{m, t, u.Method(0).Signature().Params()})
	for p := range u.Method(0).Signature().Params().Variables() {
		if _, ok := p.Type().Underlying().(*types.Struct); !ok || !types.Implements(p.Type(), u) {
			failf("%s is no member of %s: it is no struct with its method oneOf", p.Type(), t)
		}
		m.Members = append(m.Members, b.typeOf(p.Type()))
	}
}

// union is a union whose members have not been checked.
type union struct {
	*Type
	typ     types.Type
	members *types.Tuple
}

// checkUnions fails if a member of a union has no kind of its own. It runs when all members
// are complete, because they can contain the union.
func (b *builder) checkUnions() {
	for _, u := range b.unions {
		field, kinds := "", map[string]bool{}
		for i, m := range u.Members {
			t := u.members.At(i).Type()
			at := slices.IndexFunc(m.Fields, func(f Field) bool { return f.Const != "" })
			switch {
			case at < 0:
				failf("%s, a member of %s, needs one string field with the rule eq=…", t, u.typ)
			case field != "" && m.Fields[at].Name != field:
				failf("members of %s have their kind in different fields: %q and %q", u.typ, field, m.Fields[at].Name)
			case kinds[m.Fields[at].Const]:
				failf("two members of %s have the kind %q", u.typ, m.Fields[at].Const)
			}
			field, kinds[m.Fields[at].Const] = m.Fields[at].Name, true
		}
	}
	b.unions = nil
}

func quote(s string) string {
	text, _ := json.Marshal(s) // strings always encode
	return string(text)
}
