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
	"unicode"
	"unicode/utf8"
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
	checked  map[*Type]bool // whose fields have the rules that they need
	names    map[string]bool
	named    []*Type
	unions   []union
}

func newBuilder() builder {
	return builder{
		docOf: map[token.Pos]string{}, valuesOf: map[token.Pos][]constant.Value{}, source: map[string]bool{}, missing: map[string]bool{},
		seen: map[string]*Type{}, checked: map[*Type]bool{}, names: map[string]bool{},
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
		fields := b.fields(t, s, true)
		b.checkDives(types.TypeString(t, (*types.Package).Name), fields)
		return Args{fields, true, embeds(s, "Strict")}
	}
	_, pointer := types.Unalias(t).(*types.Pointer)
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

// parses reports whether *t has the method name, which takes bytes and returns an error.
func parses(t types.Type, name string) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
	m, ok := obj.(*types.Func)
	return ok && types.TypeString(m.Signature(), nil) == "func("+nameOf(m.Signature().Params())+"[]byte) error"
}

// nameOf returns the name of the only parameter, with a space.
func nameOf(params *types.Tuple) string {
	if params.Len() != 1 || params.At(0).Name() == "" {
		return ""
	}
	return params.At(0).Name() + " "
}

// selfMade returns the kind of a type that encodes itself.
func selfMade(t types.Type) (Kind, bool) {
	switch {
	case is(t, "time", "Time"):
		return Time, true
	case is(t, "encoding/json", "Number"):
		return Number, true
	case parses(t, "UnmarshalJSON"), is(t, "encoding/json", "RawMessage"):
		return Any, true
	case parses(t, "UnmarshalText"):
		return Text, true
	}
	return 0, false
}

// typeOf returns the model of t. Pointers are those of their element: what can be null is said
// by the field.
func (b *builder) typeOf(t types.Type) *Type {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		return b.typeOf(p.Elem())
	}
	key := types.TypeString(t, nil)
	if m := b.seen[key]; m != nil {
		return m
	}
	m := &Type{Len: -1}
	b.seen[key] = m // before it is complete: types can be recursive
	if _, ok := t.Underlying().(*types.Interface); !ok {
		if kind, ok := selfMade(t); ok {
			m.Kind, m.Go = kind, types.TypeString(t, (*types.Package).Name)
			return m
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		b.basic(m, t, u)
	case *types.Slice:
		if e, ok := types.Unalias(u.Elem()).(*types.Basic); ok && e.Kind() == types.Uint8 {
			m.Kind = Binary
			return m
		}
		m.Kind = List
		b.elem(m, u.Elem())
	case *types.Array:
		m.Kind, m.Len = List, int(u.Len())
		b.elem(m, u.Elem())
	case *types.Map:
		k, ok := u.Key().Underlying().(*types.Basic)
		if !ok || k.Info()&(types.IsString|types.IsInteger) == 0 || k.Kind() == types.Uintptr || parses(u.Key(), "UnmarshalText") {
			failf("%s has keys that are no strings or integers", t)
		}
		m.Kind, m.IntKeys, m.Unsigneds = Map, k.Info()&types.IsInteger != 0, k.Info()&types.IsUnsigned != 0
		m.Keys = b.values(u.Key())
		b.elem(m, u.Elem())
	case *types.Struct:
		m.Kind, m.Strict = Struct, embeds(u, "Strict")
		b.name(m, t)
		m.Fields = b.fields(t, u, false)
	case *types.Interface:
		b.union(m, t, u)
	default:
		failf("%s cannot be sent as JSON", t)
	}
	return m
}

// elem sets the type of the elements of m.
func (b *builder) elem(m *Type, t types.Type) {
	_, m.NullElem = types.Unalias(t).(*types.Pointer)
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

// name gives m the name of t, if t has one.
func (b *builder) name(m *Type, t types.Type) {
	n, ok := t.(*types.Named)
	if !ok {
		return
	}
	b.read(t)
	name := readable(n)
	if b.names[name] || reserved[name] {
		pkg := n.Obj().Pkg().Name()
		name = upper(pkg) + name
	}
	if b.names[name] || reserved[name] {
		failf("two types would have the name %s", name)
	}
	b.names[name] = true
	m.Name, m.Doc = name, b.docOf[n.Obj().Pos()]
	b.named = append(b.named, m)
}

// read remembers the package of t, so that its source is read for comments and enums.
func (b *builder) read(t types.Type) {
	if n, ok := types.Unalias(t).(*types.Named); ok && n.Obj().Pkg() != nil && !b.source[n.Obj().Pkg().Path()] {
		b.missing[n.Obj().Pkg().Path()] = true
	}
}

// reserved are the names that generated files declare themselves, and those of TypeScript that
// they use.
var reserved = map[string]bool{
	"Binary": true, "Failure": true, "Session": true, "ClientToServerEvents": true, "ServerToClientEvents": true,
	"Array": true, "ArrayBuffer": true, "Record": true, "Uint8Array": true,
}

// readable returns the name of a type: PageOfItem for Page[Item].
func readable(t types.Type) string {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		name := upper(t.Obj().Name())
		for i := range t.TypeArgs().Len() {
			name += []string{"Of", "And"}[min(i, 1)] + readable(t.TypeArgs().At(i))
		}
		return name
	case *types.Pointer:
		return readable(t.Elem())
	case *types.Slice:
		return readable(t.Elem()) + "List"
	case *types.Map:
		return readable(t.Elem()) + "Map"
	case *types.Basic:
		return upper(t.Name())
	}
	return "Value"
}

// upper returns name with an upper-case first letter.
func upper(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// fields returns the fields of s by the rules of encoding/json, or one argument for each field.
func (b *builder) fields(t types.Type, s *types.Struct, tuple bool) []Field {
	type found struct {
		Field
		source        *types.Var
		depth         int
		tagged, twice bool
	}
	hidden := ""
	var order []string
	best := map[string]found{}
	var walk func(s *types.Struct, depth int, direct, checked bool)
	walk = func(s *types.Struct, depth int, direct, checked bool) {
		if depth > 20 {
			failf("%s embeds itself", t)
		}
		for i := range s.NumFields() {
			f, tag := s.Field(i), reflect.StructTag(s.Tag(i))
			name, options, _ := strings.Cut(tag.Get("json"), ",")
			if tag.Get("json") == "-" || f.Embedded() && (is(f.Type(), contractPath, "Tuple") || is(f.Type(), contractPath, "Strict")) {
				continue
			}
			_, pointer := types.Unalias(f.Type()).(*types.Pointer)
			rules := parseRules(tag.Get("validate"))
			if f.Embedded() && tuple {
				failf("%s embeds %s, which cannot be an argument of its own: name the field", t, f.Type())
			}
			if f.Embedded() && name == "" {
				in := types.Unalias(f.Type())
				if p, ok := in.(*types.Pointer); ok {
					in = p.Elem()
				}
				if _, leaf := selfMade(in); !leaf {
					if inner, ok := in.Underlying().(*types.Struct); ok {
						if pointer && !f.Exported() {
							failf("%s embeds a pointer to the unexported %s", t, in)
						}
						walk(inner, depth+1, direct && !pointer, checked && !rules.Skip && !rules.has("structonly", "nostructlevel"))
						continue
					}
				}
			}
			switch {
			case f.Exported():
			case tag.Get("json") != "" || tag.Get("validate") != "":
				failf("field %s of %s has tags, but is not exported: clients cannot send it", f.Name(), t)
			default:
				if !f.Embedded() {
					hidden = f.Name()
				}
				continue
			}
			all := strings.Split(options, ",")
			if slices.Contains(all, "string") {
				failf("field %s of %s has the json option \"string\"", f.Name(), t)
			}
			tagged := name != ""
			switch {
			case tuple:
				first, size := utf8.DecodeRuneInString(f.Name())
				name = string(unicode.ToLower(first)) + f.Name()[size:]
			case !tagged:
				name = f.Name()
			}
			have, known := best[name]
			if known && (have.depth < depth || have.depth == depth && have.tagged && !tagged) {
				continue
			}
			twice := known && have.depth == depth && have.tagged == tagged // unless a later field hides both
			if !known {
				order = append(order, name)
			}
			omitted := slices.Contains(all, "omitempty") || slices.Contains(all, "omitzero")
			field := Field{
				Name: name, Doc: b.docOf[f.Pos()], Pointer: pointer, Below: !direct,
				Optional: pointer || !direct || omitted,
				Omitted:  omitted,
				Nullable: pointer || tuple && omitted,
				Rules:    rules,
			}
			if u, ok := f.Type().Underlying().(*types.Basic); ok && u.Info()&types.IsString != 0 {
				field.Const = rules.eq()
			}
			field.Rules.Skip = rules.Skip || !checked
			best[name] = found{field, f, depth, tagged, twice}
		}
	}
	walk(s, 0, true, true)
	if tuple && len(order) == 0 && hidden != "" {
		failf("no field of %s is exported: %s cannot be an argument", t, hidden)
	}
	var out []Field
	for _, name := range order {
		f := best[name]
		if f.twice {
			failf("%s has two fields with the JSON name %q", t, name)
		}
		if tuple && len(out) > 0 && out[len(out)-1].Optional && !f.Optional {
			failf("argument %s of %s is required, but follows an optional one", name, t)
		}
		f.Type = b.field(t, f.source)
		out = append(out, f.Field)
	}
	return out
}

// field returns the type of a field. Its errors name the field.
func (b *builder) field(t types.Type, f *types.Var) *Type {
	defer func() {
		if r := recover(); r != nil {
			if u, ok := r.(unusable); ok && !strings.HasPrefix(string(u), "field ") {
				failf("field %s of %s: %s", f.Name(), t, string(u))
			}
			panic(r)
		}
	}()
	return b.typeOf(f.Type())
}

func quote(s string) string {
	text, _ := json.Marshal(s) // strings always encode
	return string(text)
}
