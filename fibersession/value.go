package fibersession

import (
	"fmt"
	"reflect"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// Getter is what Value and Lookup read: a Session, a Handle or a Tx.
type Getter interface{ Get(key string) any }

// Value returns the value of key. It returns T's zero value and no error if there is none,
// for which a stored nil counts too.
//
// Between number types, named ones included, it converts if nothing is lost: codecs do not
// keep all of them, as JSON turns 20.0 into the int 20. If a value of another type is there,
// or one that this build cannot decode, it returns ErrType. If the session cannot be read, it
// returns the reason, such as ErrUnavailable or ErrSessionGone.
func Value[T any](g Getter, key string) (T, error) {
	v, _, err := Lookup[T](g, key)
	return v, err
}

// Lookup returns the value of key, and reports whether there is one. A stored nil counts as
// none. It converts, and returns errors, as Value does; with an error, it reports false.
func Lookup[T any](g Getter, key string) (T, bool, error) {
	var zero T
	stored, err := lookup(g, key)
	if err != nil || stored == nil {
		return zero, false, err
	}
	if s := codec.Undecodable(stored); s != nil {
		return zero, false, fmt.Errorf("%w: key %q holds a %s, which this build cannot decode: %w", ErrType, key, s.Type(), s.Err())
	}
	v := codec.Value(stored)
	if _, ok := v.(T); ok {
		if sess, ok := g.(*Session); ok { // whose Get hands out references that it shares
			if t, ok := sess.Get(key).(T); ok {
				return t, true, nil
			}
		}
		return codec.CopyOut(v).(T), true, nil
	}
	if v == nil {
		return zero, false, nil
	}
	if convertNumber(reflect.ValueOf(&zero).Elem(), v) {
		return zero, true, nil
	}
	return *new(T), false, fmt.Errorf("%w: key %q holds the %T%s, not %v", ErrType, key, v, numberText(v), reflect.TypeFor[T]())
}

// lookup returns the value of key, which may be a *codec.Stored and must not be changed. It
// returns nil if there is none.
func lookup(g Getter, key string) (any, error) {
	switch g := g.(type) { // not by a method: a type of the application can embed one of them
	case *Session:
		return g.lookup(key)
	case *Handle:
		return g.lookup(key)
	case *Tx:
		return g.lookup(key)
	}
	return g.Get(key), nil
}
