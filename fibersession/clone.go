package fibersession

import (
	"reflect"
	"slices"
	"time"
)

// clone returns a value that shares nothing changeable with v. Sessions clone
// what they are given and what they give out, so that no two requests ever hold
// one map or slice. Basic types cost nothing; registered types that hold pointers
// are copied through gob. A value that no codec would take (it is too deep, or a
// channel) comes back as it is and is refused when it is saved.
func clone(v any) any {
	switch v := v.(type) {
	case nil, string, int, bool, int64, float64, time.Duration:
		return v
	case time.Time:
		return v.Round(0) // without the monotonic clock, as it comes back from the store
	case []byte:
		return slices.Clone(v)
	case []string:
		return slices.Clone(v)
	}
	r := reflect.ValueOf(v)
	if flat(r.Type()) {
		return v
	}
	budget := 1 << 16 // values; the limit of a session's size is reached before
	c, ok := deepCopy(r, maxDepth, &budget)
	if !ok {
		return v
	}
	return c.Interface()
}

// flat says whether copies of t's values by assignment share nothing.
func flat(t reflect.Type) bool {
	if t == typeTime { // it points to its zone, which never changes
		return true
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return flat(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !flat(t.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

func deepCopy(r reflect.Value, depth int, budget *int) (reflect.Value, bool) {
	if *budget--; *budget < 0 || depth < 0 {
		return r, false
	}
	switch t := r.Type(); {
	case flat(t):
		return r, true
	case r.Kind() == reflect.Interface:
		if r.IsNil() {
			return r, true
		}
		return deepCopy(r.Elem(), depth, budget)
	case r.Kind() == reflect.Slice:
		if r.IsNil() {
			return r, true
		}
		c := reflect.MakeSlice(t, r.Len(), r.Len())
		if flat(t.Elem()) {
			reflect.Copy(c, r)
			return c, true
		}
		for i := range r.Len() {
			elem, ok := deepCopy(r.Index(i), depth-1, budget)
			if !ok {
				return r, false
			}
			c.Index(i).Set(elem)
		}
		return c, true
	case r.Kind() == reflect.Map:
		if r.IsNil() {
			return r, true
		}
		c := reflect.MakeMapWithSize(t, r.Len())
		for it := r.MapRange(); it.Next(); {
			elem, ok := deepCopy(it.Value(), depth-1, budget)
			if !ok {
				return r, false
			}
			c.SetMapIndex(it.Key(), elem)
		}
		return c, true
	case r.Kind() == reflect.Struct || r.Kind() == reflect.Pointer || r.Kind() == reflect.Array:
		return reflect.ValueOf(gobCopy(r.Interface())), true
	}
	return r, true
}
