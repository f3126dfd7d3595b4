package gen

import (
	"go/types"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
}

// unique returns a name that no type has, and keeps it.
func (b *builder) unique(name string) string {
	for n := 2; b.names[name]; n++ {
		name = strings.TrimRight(name, "0123456789") + strconv.Itoa(n)
	}
	b.names[name] = true
	return name
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
