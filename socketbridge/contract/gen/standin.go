package gen

import (
	"go/types"
	"reflect"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
)

// valuer stands for types of which rules check what a method returns.
type valuer struct{}

func (valuer) ValidatorValue() any { return nil }

var (
	unknownType  = reflect.TypeFor[lint.Unknown]()
	anyType      = reflect.TypeFor[any]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

var basicTypes = map[types.BasicKind]reflect.Type{
	types.Bool: reflect.TypeFor[bool](), types.String: reflect.TypeFor[string](),
	types.Int: reflect.TypeFor[int](), types.Int8: reflect.TypeFor[int8](), types.Int16: reflect.TypeFor[int16](), types.Int32: reflect.TypeFor[int32](), types.Int64: reflect.TypeFor[int64](),
	types.Uint: reflect.TypeFor[uint](), types.Uint8: reflect.TypeFor[uint8](), types.Uint16: reflect.TypeFor[uint16](), types.Uint32: reflect.TypeFor[uint32](), types.Uint64: reflect.TypeFor[uint64](),
	types.Float32: reflect.TypeFor[float32](), types.Float64: reflect.TypeFor[float64](),
}

// standIn returns a type that is to rules what t is. Types of the source that is read have no
// reflect.Type.
func (b *builder) standIn(t types.Type) reflect.Type {
	key := types.TypeString(t, nil)
	if s := b.standIns[key]; s != nil {
		return s
	}
	b.standIns[key] = unknownType // while it is made: types can be recursive
	s := b.makeStandIn(t)
	b.standIns[key] = s
	return s
}

func (b *builder) makeStandIn(t types.Type) reflect.Type {
	if to, ok := pointedTo(t); ok {
		return reflect.PointerTo(b.standIn(to))
	}
	_, hasValue := method(t, "ValidatorValue", "() any")
	switch {
	case types.IsInterface(t):
		return anyType
	case hasValue:
		return reflect.TypeFor[valuer]()
	case isTime(t):
		return timeType
	case is(t, "time", "Duration"):
		return durationType
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if s := basicTypes[u.Kind()]; s != nil {
			return s
		}
	case *types.Slice:
		return reflect.SliceOf(b.standIn(u.Elem()))
	case *types.Array:
		return reflect.ArrayOf(int(u.Len()), b.standIn(u.Elem()))
	case *types.Map:
		if k := b.standIn(u.Key()); k.Comparable() {
			return reflect.MapOf(k, b.standIn(u.Elem()))
		}
	case *types.Struct:
		return b.standInStruct(t, u)
	}
	return unknownType
}

// standInStruct returns a struct with the fields that rules can name, also those of what it embeds.
func (b *builder) standInStruct(t types.Type, s *types.Struct) reflect.Type {
	names := map[string]bool{}
	var fields []reflect.StructField
	add := func(f *types.Var) {
		if !names[f.Name()] {
			names[f.Name()] = true
			field := reflect.StructField{Name: f.Name(), Type: b.standIn(f.Type())}
			if !f.Exported() {
				field.PkgPath = "unexported"
			}
			fields = append(fields, field)
		}
	}
	for f := range s.Fields() {
		if f.Name() != "_" {
			add(f)
		}
	}
	var promoted func(s *types.Struct, depth int)
	promoted = func(s *types.Struct, depth int) {
		for f := range s.Fields() {
			below, _ := pointedTo(f.Type())
			if in, ok := below.Underlying().(*types.Struct); ok && f.Embedded() && depth < 20 {
				for g := range in.Fields() {
					if obj, _, _ := types.LookupFieldOrMethod(t, true, g.Pkg(), g.Name()); obj == g {
						add(g)
					}
				}
				promoted(in, depth+1)
			}
		}
	}
	promoted(s, 0)
	return reflect.StructOf(fields)
}

// isStringer reports whether t, or its elements, have a method String.
func isStringer(t types.Type) bool {
	for range 100 { // types can be recursive
		if of, _ := method(t, "String", "() string"); of {
			return true
		}
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			t = u.Elem()
		case *types.Slice:
			t = u.Elem()
		case *types.Array:
			t = u.Elem()
		case *types.Map:
			t = u.Elem()
		default:
			return false
		}
	}
	return false
}

// isTime reports whether rules take t for a time.
func isTime(t types.Type) bool {
	s, ok := t.Underlying().(*types.Struct)
	return ok && s.NumFields() == 3 && s.Field(0).Name() == "wall" && s.Field(1).Name() == "ext" && s.Field(2).Name() == "loc"
}
