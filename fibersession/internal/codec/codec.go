package codec

import "fmt"

// Codec turns a session's values into bytes and back. It must be safe for
// concurrent use and must not keep or change what it is given; Decode's result
// shares no memory with data. A value that it cannot encode is ErrUnsupportedType,
// with the key and the type in the error's text.
type Codec interface {
	Encode(values map[string]any) ([]byte, error)
	Decode(data []byte) (map[string]any, error)
}

// maxDepth bounds how deep values nest in both codecs.
const maxDepth = 64

// The codec's mark in the envelope: bytes of one codec are never given to another.
const (
	MarkOther byte = iota
	MarkTyped
	MarkJSON
)

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

// Encode and Decode contain panics of a codec and of the methods of
// users' types that it calls, such as MarshalJSON.
func Encode(c Codec, values map[string]any) (data []byte, err error) {
	defer ContainPanic("encoded", &err)
	return c.Encode(values)
}

func Decode(c Codec, data []byte) (values map[string]any, err error) {
	defer ContainPanic("decoded", &err)
	values, err = c.Decode(data)
	if values == nil && err == nil {
		values = map[string]any{}
	}
	return values, err
}

func ContainPanic(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("fibersession: panic while values were %s: %v", what, p)
	}
}
