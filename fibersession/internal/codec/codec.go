// Package codec encodes and decodes the values of sessions. Package fibersession exports its
// codecs.
package codec

import "fmt"

// Codec encodes and decodes a session's values. It must be safe for concurrent use and must
// not keep or change its arguments. Decode's result shares no memory with data. Encode
// returns ErrUnsupportedType for a value that it cannot encode, with the key and the type in
// the error's text.
type Codec interface {
	Encode(values map[string]any) ([]byte, error)
	Decode(data []byte) (map[string]any, error)
}

// maxDepth is how deep values can nest in Typed and JSON.
const maxDepth = 64

// The marks of the codecs. A stored value has its codec's mark, so that no other codec
// decodes it.
const (
	MarkOther byte = iota
	MarkTyped
	MarkJSON
)

// Mark returns the mark of c. All codecs of applications share MarkOther.
func Mark(c Codec) byte {
	switch c.(type) {
	case *Typed:
		return MarkTyped
	case JSON, *JSON:
		return MarkJSON
	default:
		return MarkOther
	}
}

// Keeps reports whether c is known to encode v, and to decode it to the same value. It is
// fast: it knows only the most common types.
func Keeps(c Codec, v any) bool {
	switch v.(type) {
	case string, int, bool:
		switch c.(type) {
		case *Typed, Builtin:
			return true
		}
	case nil:
		_, ok := c.(*Typed)
		return ok
	}
	return false
}

// Encode calls c.Encode. It returns an error if the codec panics, or a method of an
// application's type that it calls, such as MarshalJSON.
func Encode(c Codec, values map[string]any) (data []byte, err error) {
	defer ContainPanic("encoded", &err)
	return c.Encode(values)
}

// Decode decodes a session. It returns an error if the codec panics. The map is never nil if
// the error is. With Typed and Builtin, it holds a Stored for each value that gob encoded, also if
// this build cannot decode it; with other codecs such a value is an error.
func Decode(c Codec, data []byte) (values map[string]any, err error) {
	defer ContainPanic("decoded", &err)
	switch c := c.(type) { // not by a method: a codec of the application can embed Typed
	case *Typed:
		values, err = c.decode(data)
	case Builtin:
		values, err = c.decode(data)
	default:
		values, err = c.Decode(data)
	}
	if values == nil && err == nil {
		values = map[string]any{}
	}
	return values, err
}

// Normalize returns values as they will be decoded, or nil if that is as they are, and the size
// of their encoding. It returns ErrUnsupportedType if one of them cannot be encoded, or not be
// decoded again.
func Normalize(c Codec, values map[string]any) (normal map[string]any, size int, err error) {
	defer ContainPanic("encoded", &err)
	var data []byte
	if t, ok := c.(*Typed); ok {
		var gobs bool
		if data, gobs, err = t.encode(values); err != nil || !gobs {
			return nil, len(data), err
		}
	} else if data, err = c.Encode(values); err != nil {
		return nil, 0, err
	}
	if normal, err = Decode(c, data); err != nil {
		return nil, 0, err
	}
	for key, v := range normal {
		if s := Undecodable(v); s != nil {
			return nil, 0, fmt.Errorf("%w: key %q holds a %T, which cannot be decoded again: %w", ErrUnsupportedType, key, values[key], s.err)
		}
	}
	return normal, len(data), nil
}

// ContainPanic, deferred, turns a panic into an error; what says what was done to the
// values.
func ContainPanic(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("fibersession: panic while values were %s: %v", what, p)
	}
}
