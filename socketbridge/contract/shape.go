package contract

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

var (
	noneType        = reflect.TypeFor[None]()
	tupleType       = reflect.TypeFor[Tuple]()
	strictType      = reflect.TypeFor[Strict]()
	timeType        = reflect.TypeFor[time.Time]()
	numberType      = reflect.TypeFor[json.Number]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	valueType       = reflect.TypeFor[socketbridge.Value]()
	anyType         = reflect.TypeFor[any]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// shape is what is known of a Go type: how a value of it is decoded, and what has to be done
// before one is sent. A shape is shared by all uses of its type, and is not changed after it
// was built.
type shape struct {
	typ    reflect.Type
	what   string // would fit
	decode func(r *reader, v reflect.Value) *misfit
	// prepare returns the value to send instead of v, and whether it differs. It is nil if
	// none ever does.
	prepare func(v reflect.Value) (reflect.Value, bool)
	fields  []*field // of a struct
	elem    *shape   // of a pointer, slice, array or map
	enum    bool     // the type has a method Values
}

// field is a field of a struct, also of one embedded in it.
type field struct {
	name      string
	index     []int
	optional  bool
	omitted   bool // when it is empty: omitempty or omitzero
	unchecked bool // rules do not hold: "-", or an embedded struct whose fields are not checked
	shape     *shape
	kind      string // all that the field can be: of a rule eq
}

// builder builds the shapes of the types below one type.
type builder struct {
	shapes map[reflect.Type]*shape
}

// shapeOf returns the shape of t. It panics with a *typeError if t cannot be used.
func (b *builder) shapeOf(t reflect.Type) *shape {
	if s := b.shapes[t]; s != nil {
		return s
	}
	s := &shape{typ: t}
	b.shapes[t] = s // before it is built: types can be recursive
	b.build(s)
	return s
}

// typeError says why a type cannot be used.
type typeError struct{ text string }

func (e *typeError) Error() string { return e.text }

func unusable(format string, args ...any) {
	panic(&typeError{fmt.Sprintf(format, args...)})
}

func (b *builder) build(s *shape) {
	t := s.typ
	switch {
	case t == valueType || t == anyType:
		s.what, s.decode = "any value", decodeAny
		return
	case t == rawType:
		s.what = "a value without binary data"
		s.decode = decodeSelf(s)
		return
	case t == timeType:
		s.what, s.decode = "a time in the form of RFC 3339", decodeText(s)
		return
	case t == numberType:
		s.what, s.decode = "a number", decodeNumber
		return
	case t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(unmarshalerType):
		s.what = "another value"
		s.decode = decodeSelf(s)
		return
	case t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(textType):
		s.what, s.decode = "a string of another form", decodeText(s)
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		s.what, s.decode = "true or false", decodeBool
	case reflect.String:
		s.what, s.decode = "a string", decodeString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.what = intText(t)
		s.decode = decodeInt(s.what)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.what = intText(t)
		s.decode = decodeUint(s.what)
	case reflect.Float32, reflect.Float64:
		s.what, s.decode = "a number", decodeFloat
	case reflect.Pointer:
		b.pointer(s)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && t.Elem().PkgPath() == "" {
			s.what, s.decode = "binary data", decodeBytes
			s.prepare = func(v reflect.Value) (reflect.Value, bool) {
				if v.IsNil() {
					return reflect.MakeSlice(t, 0, 0), true
				}
				return v, false
			}
			return
		}
		b.list(s)
	case reflect.Array:
		b.list(s)
	case reflect.Map:
		b.mapping(s)
	case reflect.Struct:
		b.structure(s)
	case reflect.Interface:
		b.union(s)
	default:
		unusable("%v cannot be sent as JSON", t)
	}
	b.enum(s)
}

// embeds reports whether the struct t embeds marker.
func embeds(t, marker reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Type == marker {
			return true
		}
	}
	return false
}

// fieldsOf returns the fields of t as encoding/json sees them.
func (b *builder) fieldsOf(t reflect.Type) []*field {
	type found struct {
		*field
		typ    reflect.Type
		tagged bool
	}
	var order []string
	byName := map[string][]found{}
	var walk func(t reflect.Type, index []int, direct, unchecked bool, seen map[reflect.Type]bool)
	walk = func(t reflect.Type, index []int, direct, unchecked bool, seen map[reflect.Type]bool) {
		if seen[t] {
			unusable("%v embeds itself", t)
		}
		seen[t] = true
		defer delete(seen, t)
		for i := range t.NumField() {
			f := t.Field(i)
			tag := f.Tag.Get("json")
			name, options, _ := strings.Cut(tag, ",")
			if tag == "-" || f.Anonymous && (f.Type == tupleType || f.Type == strictType) {
				continue
			}
			at := append(index[:len(index):len(index)], i)
			if f.Anonymous && name == "" {
				in := f.Type
				if in.Kind() == reflect.Pointer {
					in = in.Elem()
				}
				if in.Kind() == reflect.Struct && !isLeaf(in) {
					if !f.IsExported() && f.Type.Kind() == reflect.Pointer {
						unusable("%v embeds a pointer to the unexported %v", t, in)
					}
					walk(in, at, direct && f.Type.Kind() != reflect.Pointer, unchecked || checksNotBelow(f), seen)
					continue
				}
			}
			if !f.IsExported() {
				if tag != "" || f.Tag.Get("validate") != "" {
					unusable("field %s of %v has tags, but is not exported: clients cannot send it", f.Name, t)
				}
				continue
			}
			if slices.Contains(strings.Split(options, ","), "string") {
				unusable("field %s of %v has the json option \"string\"", f.Name, t)
			}
			omitted, tagged := omits(options), name != ""
			name = jsonName(f)
			if byName[name] == nil {
				order = append(order, name)
			}
			byName[name] = append(byName[name], found{&field{
				name: name, index: at, omitted: omitted, kind: kindOf(f),
				unchecked: unchecked || f.Tag.Get("validate") == "-",
				optional:  omitted || !direct || f.Type.Kind() == reflect.Pointer,
			}, f.Type, tagged})
		}
	}
	walk(t, nil, true, false, map[reflect.Type]bool{})
	var fields []*field
	for _, name := range order {
		best, twice := byName[name][0], false
		for _, f := range byName[name][1:] {
			switch {
			case len(f.index) < len(best.index), len(f.index) == len(best.index) && f.tagged && !best.tagged:
				best, twice = f, false
			case len(f.index) == len(best.index) && f.tagged == best.tagged:
				twice = true // unless a later field hides both
			}
		}
		if twice {
			unusable("%v has two fields with the JSON name %q", t, name)
		}
		best.shape = b.fieldShape(t, best.index, best.typ)
		fields = append(fields, best.field)
	}
	return fields
}

// omits reports whether options of a json tag leave out a field that is empty.
func omits(options string) bool {
	return slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "omitempty" || o == "omitzero" })
}

// jsonName returns the name of a field in JSON.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, f.Name)
}

// fieldShape returns the shape of a field of t. If its type cannot be used, the error names the
// field.
func (b *builder) fieldShape(t reflect.Type, index []int, typ reflect.Type) *shape {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(*typeError); ok && !strings.HasPrefix(e.text, "field ") {
				e.text = fmt.Sprintf("field %s of %v: %s", t.FieldByIndex(index).Name, t, e.text)
			}
			panic(r)
		}
	}()
	return b.shapeOf(typ)
}

// isLeaf reports whether a struct decodes itself.
func isLeaf(t reflect.Type) bool {
	return t == timeType || t == valueType || reflect.PointerTo(t).Implements(unmarshalerType) || reflect.PointerTo(t).Implements(textType)
}
