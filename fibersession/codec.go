package fibersession

import "github.com/fiberbridge/fiberbridge/fibersession/internal/codec"

// Codec encodes and decodes a session's values. It must be safe for concurrent use and
// must not keep or change its arguments. Decode's result shares no memory with data.
// Encode returns ErrUnsupportedType for a value that it cannot encode, with the key and
// the type in the error's text.
//
// If Decode returns an error, the session counts as gone (ErrCorrupt). With Typed, and with
// Config.Builtin, a value of a type that this build does not know is no such error: Get
// returns nil for its key, and saves write it back unchanged.
type Codec = codec.Codec

// Typed is the default Codec. A decoded value has exactly the type that was encoded:
// Go's basic types, time.Time (its zone as an offset), time.Duration, []byte, and slices
// and maps of these, any among them, nested. Map keys are strings, integers or bools.
// Types given to Register are encoded with gob. Every other value is encoded with gob too,
// if gob.Register was called with its type or, for a pointer, with what it points to; its
// decoded form has the type that gob.Register was called with. What gob refuses is
// ErrUnsupportedType. Values nest at most 64 deep (in gob 1,000) and take at most 4 MiB.
//
// The zero value is ready to use. Its methods are Encode and Decode (see Codec) and
//
//	func (c *Typed) Register(v any)
//
// which makes values of v's type storable. Call it before the codec is used.
// Store.RegisterType does the same for the store's own codec.
type Typed = codec.Typed

// JSON is a Codec that writes one JSON object. Decoded values have the types that JSON
// has: nil, bool, string, []any, map[string]any, and numbers as int if they are integers
// in its range, else as int64 or uint64 if they are integers in the range of those, else as
// float64. Value converts them. A []byte is decoded as a base64 string. Values nest at most
// 64 deep. The zero value is ready to use.
type JSON = codec.JSON
