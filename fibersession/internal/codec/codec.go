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

// Decode calls c.Decode. It returns an error if the codec panics. The map is never nil if
// the error is.
func Decode(c Codec, data []byte) (values map[string]any, err error) {
	defer ContainPanic("decoded", &err)
	values, err = c.Decode(data)
	if values == nil && err == nil {
		values = map[string]any{}
	}
	return values, err
}

// ContainPanic, deferred, turns a panic into an error; what says what was done to the
// values.
func ContainPanic(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("fibersession: panic while values were %s: %v", what, p)
	}
}
