package codec

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Sessions copy the values that they are given and the values that they return. No two
// requests share a map or slice, and no session keeps a request's memory: Fiber overwrites
// its strings when the request is over. A value that no codec accepts, such as a channel or
// one that nests too deep, is not copied; saving it fails.

// CopyIn returns a copy of a value for a session to keep.
func CopyIn(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case time.Time:
		return v.Round(0) // without the monotonic clock, which is not stored
	}
	return copier{strings: true}.copy(v)
}

// CopyOut returns a copy of a value that a session keeps. It shares strings, which are
// immutable. It returns nil for a value that this build cannot decode.
func CopyOut(v any) any { return copier{}.copy(Value(v)) }

// HasReferences reports whether a holder of v can change what another holder of v sees.
func HasReferences(v any) bool {
	switch v.(type) {
	case nil, string, int, bool, int64, float64, time.Duration, time.Time:
		return false
	}
	return !new(copier).flat(reflect.TypeOf(v))
}

type copier struct {
	strings bool // also copy strings
	budget  int  // number of values that may still be copied
}

func (c copier) copy(v any) any {
	switch v := v.(type) {
	case nil, int, bool, int64, float64, time.Duration:
		return v
	case []byte:
		return slices.Clone(v)
	}
	r := reflect.ValueOf(v)
	if c.flat(r.Type()) {
		return v
	}
	c.budget = 1 << 16 // more than fits into a session of the default size
	to, ok := c.deep(r, maxDepth)
	if !ok {
		return v
	}
	return to.Interface()
}

// flat reports whether assigning a value of type t copies all of it.
func (c *copier) flat(t reflect.Type) bool {
	if t == typeTime { // its zone is a pointer, but immutable
		return true
	}
	switch t.Kind() {
	case reflect.String:
		return !c.strings
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return c.flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !c.flat(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

// deep copies r. It copies structs, arrays and pointers with gob, the only codec that
// accepts them. ok is false if r nests too deep or has too many values.
func (c *copier) deep(r reflect.Value, depth int) (to reflect.Value, ok bool) {
	if c.budget--; c.budget < 0 || depth < 0 {
		return r, false
	}
	t := r.Type()
	switch k := r.Kind(); {
	case c.flat(t):
		return r, true
	case k == reflect.String:
		to := reflect.New(t).Elem()
		to.SetString(strings.Clone(r.String()))
		return to, true
	case k == reflect.Struct || k == reflect.Pointer || k == reflect.Array:
		return reflect.ValueOf(gobCopy(r.Interface())), true
	case k != reflect.Interface && k != reflect.Slice && k != reflect.Map || r.IsNil():
		return r, true
	case k == reflect.Interface:
		return c.deep(r.Elem(), depth)
	case k == reflect.Slice:
		to := reflect.MakeSlice(t, r.Len(), r.Len())
		if c.flat(t.Elem()) {
			reflect.Copy(to, r)
			return to, true
		}
		for i := range r.Len() {
			elem, ok := c.deep(r.Index(i), depth-1)
			if !ok {
				return r, false
			}
			to.Index(i).Set(elem)
		}
		return to, true
	default:
		to := reflect.MakeMapWithSize(t, r.Len())
		for it := r.MapRange(); it.Next(); {
			key, okKey := c.deep(it.Key(), depth-1)
			elem, okElem := c.deep(it.Value(), depth-1)
			if !okKey || !okElem {
				return r, false
			}
			to.SetMapIndex(key, elem)
		}
		return to, true
	}
}
