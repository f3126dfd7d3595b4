package siopacket

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

var (
	rawMessageType  = reflect.TypeFor[json.RawMessage]()
	marshaler       = reflect.TypeFor[json.Marshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// rewriter walks a Go value the way encoding/json does and replaces leaves.
type rewriter struct {
	// markers returns the replacements of leaves.
	markers *markers
	// decoding selects the mode. When set, the walk covers a decoded value and
	// modifies the targets of pointers, slices and maps in place. Otherwise the
	// value is about to be encoded and must not change, so the walk clones whatever
	// contains a replaced leaf.
	decoding bool
	err      error
}

// value returns v, or its replacement.
func (w *rewriter) value(v reflect.Value, depth int) (_ reflect.Value, changed bool) {
	if !v.IsValid() || w.err != nil {
		return v, false
	}
	if depth > maxEncodeDepth {
		w.err = fmt.Errorf("%w: value is cyclic or nested deeper than %d", ErrLimit, maxEncodeDepth)
		return v, false
	}
	if isScalar(v.Kind()) {
		return v, false
	}
	if w.hasCustomJSON(v.Type()) {
		if isValue(v.Type()) {
			return w.encoded(v)
		}
		return v, false
	}
	if to, ok := w.leaf(v); ok {
		return to, true
	}
	switch v.Kind() {
	case reflect.Interface:
		return w.value(v.Elem(), depth+1)
	case reflect.Pointer:
		return w.pointer(v, depth)
	case reflect.Slice, reflect.Array:
		return w.list(v, depth)
	case reflect.Map:
		return w.mapping(v, depth)
	case reflect.Struct:
		var out reflect.Value
		w.fields(v, v, nil, &out, depth)
		return out, out.IsValid()
	}
	return v, false
}

// leaf returns the replacement of a value, if there is one.
func (w *rewriter) leaf(v reflect.Value) (reflect.Value, bool) {
	if w.decoding {
		return w.markers.restoreBytes(v)
	}
	return w.markers.replaceBytes(v)
}

// encoded is leaf for a Value.
func (w *rewriter) encoded(v reflect.Value) (reflect.Value, bool) {
	if w.decoding {
		return w.markers.restoreValue(v)
	}
	return w.markers.replaceValue(v)
}

func (w *rewriter) pointer(v reflect.Value, depth int) (reflect.Value, bool) {
	if v.IsNil() {
		return v, false
	}
	to, changed := w.value(v.Elem(), depth+1)
	if !changed {
		return v, false
	}
	if w.decoding {
		w.set(v.Elem(), to)
		return v, false
	}
	clone := reflect.New(v.Type().Elem())
	w.set(clone.Elem(), to)
	return clone, true
}

func (w *rewriter) list(v reflect.Value, depth int) (reflect.Value, bool) {
	if isScalar(v.Type().Elem().Kind()) {
		return v, false
	}
	var out reflect.Value
	for i := range v.Len() {
		to, changed := w.value(v.Index(i), depth+1)
		if !changed {
			continue
		}
		if !out.IsValid() {
			switch {
			case v.Kind() == reflect.Array:
				out = reflect.New(v.Type()).Elem()
				out.Set(v)
			case w.decoding:
				out = v
			default:
				out = reflect.MakeSlice(v.Type(), v.Len(), v.Len())
				reflect.Copy(out, v)
			}
		}
		w.set(out.Index(i), to)
	}
	return out, out.IsValid()
}

func (w *rewriter) mapping(v reflect.Value, depth int) (reflect.Value, bool) {
	elem := v.Type().Elem()
	if isScalar(elem.Kind()) {
		return v, false
	}
	var out reflect.Value
	for it := v.MapRange(); it.Next(); {
		to, changed := w.value(it.Value(), depth+1)
		if !changed {
			continue
		}
		if !out.IsValid() {
			if out = v; !w.decoding {
				out = reflect.MakeMapWithSize(v.Type(), v.Len())
				for all := v.MapRange(); all.Next(); {
					out.SetMapIndex(all.Key(), all.Value())
				}
			}
		}
		slot := reflect.New(elem).Elem()
		w.set(slot, to)
		out.SetMapIndex(it.Key(), slot)
	}
	return out, out.IsValid()
}

// fields walks the fields of v, which is top itself or a struct embedded in it
// at index. On the first change, out becomes a copy of top.
func (w *rewriter) fields(top, v reflect.Value, index []int, out *reflect.Value, depth int) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" || isScalar(f.Type.Kind()) {
			continue
		}
		at := append(index[:len(index):len(index)], i)
		if !f.IsExported() {
			// The exported fields of an embedded struct are promoted to the outer struct.
			if f.Anonymous && f.Type.Kind() == reflect.Struct {
				w.fields(top, v.Field(i), at, out, depth+1)
			}
			continue
		}
		field := v.Field(i)
		if omitsEmpty(tag) && field.Kind() == reflect.Slice && field.Len() == 0 {
			continue // a marker would not be empty
		}
		to, changed := w.value(field, depth+1)
		if !changed {
			continue
		}
		if !out.IsValid() {
			*out = reflect.New(top.Type()).Elem()
			out.Set(top)
		}
		w.set(out.FieldByIndex(at), to)
	}
}

func (w *rewriter) set(slot, to reflect.Value) {
	if !to.Type().AssignableTo(slot.Type()) {
		w.err = fmt.Errorf("%w: cannot store an attachment in a Go value of type %s", ErrUnsupported, slot.Type())
		return
	}
	slot.Set(to)
}

func omitsEmpty(tag string) bool {
	_, options, _ := strings.Cut(tag, ",")
	for options != "" {
		var option string
		if option, options, _ = strings.Cut(options, ","); option == "omitempty" {
			return true
		}
	}
	return false
}

func isScalar(k reflect.Kind) bool { return k >= reflect.Bool && k <= reflect.Complex128 }

// isBytes reports whether t is a slice of bytes, which encoding/json encodes as base64.
func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem() == reflect.TypeFor[byte]()
}

// hasCustomJSON reports whether t implements its own JSON encoding or decoding. It
// reports false for json.RawMessage, which is searched for markers, and for
// interfaces and pointers, whose targets are examined instead.
func (w *rewriter) hasCustomJSON(t reflect.Type) bool {
	if t == rawMessageType || t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer {
		return false
	}
	p := reflect.PointerTo(t)
	if p.NumMethod() == 0 {
		return false
	}
	if w.decoding {
		return p.Implements(unmarshaler) || p.Implements(textUnmarshaler)
	}
	return p.Implements(marshaler) || p.Implements(textMarshaler)
}
