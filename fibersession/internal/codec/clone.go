package codec

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Sessions copy what they are given and what they give out, so that no two
// requests ever hold one map or slice, and nothing of a request's memory stays in a
// session: Fiber's strings are overwritten when their request is over. A value that
// no codec would take (it is too deep, or a channel) comes back as it is and is
// refused when it is saved.

// CopyIn returns a copy of what a session is given.
func CopyIn(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case time.Time:
		return v.Round(0) // without the monotonic clock, as it comes back from the store
	}
	return copier{strings: true}.copy(v)
}

// CopyOut returns a copy of what a session gives out. Its strings are shared: nobody
// can change them.
func CopyOut(v any) any { return copier{}.copy(v) }

type copier struct {
	strings bool // copy strings too
	budget  int  // how many values may still be copied
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
	c.budget = 1 << 16 // the limit of a session's size is reached before
	to, ok := c.deep(r, maxDepth)
	if !ok {
		return v
	}
	return to.Interface()
}

// flat says whether copies of t's values by assignment share nothing.
func (c *copier) flat(t reflect.Type) bool {
	if t == typeTime { // it points to its zone, which never changes
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

// deep copies r, which is not flat or about to be found out. Types that only gob
// knows how to take apart are copied through gob.
func (c *copier) deep(r reflect.Value, depth int) (reflect.Value, bool) {
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
