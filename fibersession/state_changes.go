// Changes of a session's values and how they are merged.

package fibersession

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"time"
)

// change is one key's change.
type change struct {
	value any
	kind  changeKind
	seq   uint32 // distinguishes it from later changes of the same key
}

type changeKind uint8

const (
	changeSet changeKind = iota
	changeDelete
	changeAdd // value is the int to add
)

// changes are a handle's changes, by key. Merging them leaves other keys alone.
type changes map[string]change

// mergeOnto returns a copy of base with the changes applied.
func (ch changes) mergeOnto(base map[string]any, maxKeys int) (map[string]any, error) {
	if len(base)+len(ch) > maxKeys {
		// A session that exceeds the limit because the limit was lowered may still shrink.
		if added := ch.addedTo(base); added > 0 && len(base)+added > maxKeys {
			return nil, fmt.Errorf("%w: %d, at most %d", ErrTooManyKeys, len(base)+added, maxKeys)
		}
	}
	next := maps.Clone(base)
	if next == nil {
		next = make(map[string]any, len(ch))
	}
	for key, c := range ch {
		switch c.kind {
		case changeDelete:
			delete(next, key)
		case changeSet:
			next[key] = c.value
		case changeAdd:
			sum, err := add(next[key], c.value.(int))
			if err != nil {
				return nil, fmt.Errorf("%w: key %q", err, key)
			}
			next[key] = sum
		}
	}
	return next, nil
}

// addedTo returns by how many keys the changes grow base. It may be negative.
func (ch changes) addedTo(base map[string]any) (added int) {
	for key, c := range ch {
		_, there := base[key]
		switch {
		case !there && c.kind != changeDelete:
			added++
		case there && c.kind == changeDelete:
			added--
		}
	}
	return added
}

// add returns v plus delta in the type of v. A missing value counts as the int 0.
func add(v any, delta int) (any, error) {
	if n, ok := v.(int); ok || v == nil {
		sum := n + delta
		if (sum > n) != (delta > 0) && delta != 0 {
			return nil, fmt.Errorf("%w: the sum overflows", ErrNotInteger)
		}
		return sum, nil
	}
	r := reflect.New(reflect.TypeOf(v)).Elem()
	switch old := reflect.ValueOf(v); {
	case old.CanInt():
		n := old.Int() + int64(delta)
		if (n > old.Int()) != (delta > 0) && delta != 0 || r.OverflowInt(n) {
			return nil, fmt.Errorf("%w: the sum overflows", ErrNotInteger)
		}
		r.SetInt(n)
	case old.CanUint():
		n := old.Uint() + uint64(delta) // a negative delta wraps around, which subtracts it
		if (n > old.Uint()) != (delta > 0) && delta != 0 || r.OverflowUint(n) {
			return nil, fmt.Errorf("%w: the sum overflows", ErrNotInteger)
		}
		r.SetUint(n)
	default:
		return nil, fmt.Errorf("%w: the value is a %T", ErrNotInteger, v)
	}
	return r.Interface(), nil
}

// toInt returns a result of add as an int.
func toInt(v any) (int, error) {
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt() && r.Int() >= math.MinInt && r.Int() <= math.MaxInt:
		return int(r.Int()), nil
	case r.CanUint() && r.Uint() <= math.MaxInt:
		return int(r.Uint()), nil
	}
	return 0, fmt.Errorf("%w: the value is a %T beyond the range of int", ErrNotInteger, v)
}

// sameValue reports whether key has the same value in a and b, or none in both.
func sameValue(a, b map[string]any, key string) bool {
	v, inA := a[key]
	w, inB := b[key]
	switch v := v.(type) { // the common types without reflection
	case int:
		n, ok := w.(int)
		return ok && n == v
	case string:
		s, ok := w.(string)
		return ok && s == v
	case time.Time: // a decoded time has no zone name
		t, ok := w.(time.Time)
		_, offset := v.Zone()
		_, other := t.Zone()
		return ok && v.Equal(t) && offset == other
	}
	return inA == inB && reflect.DeepEqual(v, w)
}

// changedKeys returns the keys whose values differ between a and b.
func changedKeys(a, b map[string]any) []string {
	var keys []string
	for key := range a {
		if !sameValue(a, b, key) {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}
