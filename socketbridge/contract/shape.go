package contract

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
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
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	textMarshalType = reflect.TypeFor[encoding.TextMarshaler]()
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
	checked []*field // of a struct: fields and embedded structs whose rules hold
	elem    *shape   // of a pointer, slice, array or map
	enum    bool     // the type has a method Values
}

// builder builds the shapes of the types below one type.
type builder struct {
	shapes map[reflect.Type]*shape
	unions []func() // what is left to do for unions when their members are built, which can contain them
	// hidden has the fields with rules that clients cannot send, by the struct that declares them,
	// and the type that says so. shown has those that clients can send.
	hidden, shown map[reflect.Type]map[string]reflect.Type
}

func newBuilder() *builder {
	return &builder{
		shapes: map[reflect.Type]*shape{},
		hidden: map[reflect.Type]map[string]reflect.Type{},
		shown:  map[reflect.Type]map[string]reflect.Type{},
	}
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
	if isLeaf(t) {
		s.checked = taggedIn(t, map[reflect.Type]bool{})
	}
	switch {
	case t == valueType || t.Kind() == reflect.Interface && t.NumMethod() == 0:
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
		if t.Elem().Kind() == reflect.Uint8 && t.Elem().PkgPath() != "" && !encodesItself(t.Elem()) {
			unusable("%v would be sent as base64, because %v is a byte: use another integer type", t, t.Elem())
		}
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
