// Changes of a session's values and how they are merged.

package fibersession

import (
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
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
			sum, err := addStored(next[key], c.value.(int))
			if err != nil {
				return nil, fmt.Errorf("%w: key %q", err, key)
			}
			next[key] = sum
		}
	}
	return next, nil
}

// addStored is add for a session's value.
func addStored(v any, delta int) (any, error) {
	if s := codec.Undecodable(v); s != nil {
		return nil, fmt.Errorf("%w: the value is a %s, which this build cannot decode", ErrNotInteger, s.Type())
	}
	return add(codec.Value(v), delta)
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

// sameValue reports whether key has the same value in a and b, or none in both.
func sameValue(a, b map[string]any, key string) bool {
	v, inA := a[key]
	w, inB := b[key]
	if same, decided := codec.SameBytes(v, w); decided {
		return same
	}
	v, w = codec.Value(v), codec.Value(w)
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
