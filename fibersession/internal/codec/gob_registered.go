package codec

import (
	"encoding"
	"encoding/gob"
	"fmt"
	"reflect"
)

// nesting measures how deep a value nests, and how large it is when each part counts as often as
// it is referred to. encoding/gob bounds neither: a cycle of pointers ends the process.
type nesting struct {
	budget int  // bytes and values that may still come
	custom bool // leave out types that encode themselves
}

// checkNesting returns ErrTooLarge if gob must not be given one of the values.
func checkNesting(values map[string]any) error {
	for key, v := range values {
		if err := checkGobSize(v); err != nil {
			return fmt.Errorf("%w (key %q)", err, key)
		}
	}
	return nil
}

// checkGobSize returns ErrTooLarge if gob must not be given v.
func checkGobSize(v any) error {
	switch v.(type) {
	case nil, string, int, bool, []byte:
		return nil
	}
	r := reflect.ValueOf(v)
	// Only the second attempt looks for types that encode themselves, because that takes longer
	// than all the rest.
	if (&nesting{budget: encodeLimit}).fits(r, maxGobDepth) || (&nesting{budget: encodeLimit, custom: true}).fits(r, maxGobDepth) {
		return nil
	}
	return fmt.Errorf("%w: a %v nests deeper than %d, refers to itself, or is larger than %d bytes", ErrTooLarge, r.Type(), maxGobDepth, encodeLimit)
}

var (
	typeGobEncoder      = reflect.TypeFor[gob.GobEncoder]()
	typeBinaryMarshaler = reflect.TypeFor[encoding.BinaryMarshaler]()
)

// fits reports whether r is within the limits.
func (n *nesting) fits(r reflect.Value, depth int) bool {
	if n.budget--; n.budget < 0 || depth < 0 {
		return false
	}
	switch r.Kind() {
	case reflect.String:
		n.budget -= r.Len()
		return n.budget >= 0
	case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Array, reflect.Slice, reflect.Map:
	default:
		return true
	}
	if n.custom && encodesItself(r.Type()) {
		return true
	}
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface:
		return r.IsNil() || n.fits(r.Elem(), depth-1)
	case reflect.Struct:
		t := r.Type()
		for i := range t.NumField() {
			if t.Field(i).IsExported() && !n.fits(r.Field(i), depth-1) {
				return false
			}
		}
	case reflect.Map:
		for it := r.MapRange(); it.Next(); {
			if !n.fits(it.Key(), depth-1) || !n.fits(it.Value(), depth-1) {
				return false
			}
		}
	default:
		if k := r.Type().Elem().Kind(); k <= reflect.Complex128 {
			n.budget -= r.Len()
			return n.budget >= 0
		}
		for i := range r.Len() {
			if !n.fits(r.Index(i), depth-1) {
				return false
			}
		}
	}
	return true
}

func encodesItself(t reflect.Type) bool {
	if t.Kind() == reflect.Interface {
		return false
	}
	for _, method := range []reflect.Type{typeGobEncoder, typeBinaryMarshaler} {
		if t.Implements(method) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(method) {
			return true
		}
	}
	return false
}

// unsupported returns the error for a value that gob refuses. It names the line to add.
func unsupported(v any, key string, cause error) error {
	t := reflect.TypeOf(v)
	if key != "" {
		return fmt.Errorf("%w: key %q holds a %v%s: %w", ErrUnsupportedType, key, t, advice(t), cause)
	}
	return fmt.Errorf("%w %v%s: %w", ErrUnsupportedType, t, advice(t), cause)
}

// advice returns what to do about a type that is not registered, as a part of an error's text.
func advice(t reflect.Type) string {
	if t == nil {
		return ""
	}
	literal := ""
	switch base := t; t.Kind() {
	case reflect.Pointer:
		if base = t.Elem(); base.Kind() == reflect.Struct {
			literal = "&" + base.String() + "{}"
		}
	case reflect.Struct, reflect.Array, reflect.Slice, reflect.Map:
		literal = t.String() + "{}"
	case reflect.String:
		literal = t.String() + `("")`
	case reflect.Bool:
		literal = t.String() + "(false)"
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return ", which no session can store"
	default:
		if t.Kind() <= reflect.Complex128 {
			literal = t.String() + "(0)"
		}
	}
	if literal == "" {
		return ""
	}
	return "; if it is not registered, add RegisterType(" + literal + ") of the session's Store at start"
}
