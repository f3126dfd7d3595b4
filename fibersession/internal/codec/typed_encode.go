package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Typed is the default Codec. A decoded value has exactly the type that was encoded: Go's
// basic types, time.Time (its zone as an offset), time.Duration, []byte, and slices and maps
// of these, any among them, nested. Map keys are strings, integers or bools. Types given to
// Register are encoded with gob. Every other value is encoded with gob too, if gob.Register
// was called with its type or, for a pointer, with what it points to; its decoded form has the
// type that gob.Register was called with. What gob refuses is ErrUnsupportedType. Values nest
// at most 64 deep (in gob 1,000) and take at most 4 MiB.
//
// The zero value is ready to use.
type Typed struct {
	types registry
}

// tag describes a type. A value is encoded as its type and then its content. The numbers
// are part of the stored form.
type tag byte

const (
	tagNil tag = iota
	tagBool
	tagInt
	tagInt8
	tagInt16
	tagInt32
	tagInt64
	tagUint
	tagUint8
	tagUint16
	tagUint32
	tagUint64
	tagUintptr
	tagFloat32
	tagFloat64
	tagComplex64
	tagComplex128
	tagString
	tagBytes
	tagTime
	tagDuration
	tagSlice // then the type of the elements
	tagMap   // then the types of key and element
	tagAny   // as the type of elements: each element has its own type
	// From here on, each tag is followed by a name and a value, both after their lengths. A
	// version that does not know the tag skips the value, and keeps it.
	tagGob          // the registered name, a gob stream of the type
	tagGobInterface // the type's name, a gob stream of an interface
)

// maxTypeDepth bounds how deep types nest, as in [][][]int. A type that reflect has created
// is never freed.
const maxTypeDepth = 8

// encodeLimit, in bytes, bounds the encoding of a value that is small in memory but refers to
// the same parts many times. The limit of a session is Config.Limits.MaxSize.
const encodeLimit = 4 << 20

var (
	typeAny      = reflect.TypeFor[any]()
	typeBytes    = reflect.TypeFor[[]byte]()
	typeTime     = reflect.TypeFor[time.Time]()
	typeDuration = reflect.TypeFor[time.Duration]()
)

// basicTypes are the types that one tag describes.
var basicTypes = [...]reflect.Type{
	tagBool: reflect.TypeFor[bool](),
	tagInt:  reflect.TypeFor[int](), tagInt8: reflect.TypeFor[int8](), tagInt16: reflect.TypeFor[int16](),
	tagInt32: reflect.TypeFor[int32](), tagInt64: reflect.TypeFor[int64](),
	tagUint: reflect.TypeFor[uint](), tagUint8: reflect.TypeFor[uint8](), tagUint16: reflect.TypeFor[uint16](),
	tagUint32: reflect.TypeFor[uint32](), tagUint64: reflect.TypeFor[uint64](), tagUintptr: reflect.TypeFor[uintptr](),
	tagFloat32: reflect.TypeFor[float32](), tagFloat64: reflect.TypeFor[float64](),
	tagComplex64: reflect.TypeFor[complex64](), tagComplex128: reflect.TypeFor[complex128](),
	tagString: reflect.TypeFor[string](), tagBytes: typeBytes, tagTime: typeTime, tagDuration: typeDuration,
}

// basicTag returns the tag of a basic type, or tagNil.
func basicTag(t reflect.Type) tag {
	switch {
	case t == typeDuration:
		return tagDuration
	case t == typeTime:
		return tagTime
	case t == typeBytes:
		return tagBytes
	case t.PkgPath() == "" && t.Kind() >= reflect.Bool && t.Kind() <= reflect.Complex128:
		return tagBool + tag(t.Kind()-reflect.Bool) // in the same order
	case t.PkgPath() == "" && t.Kind() == reflect.String:
		return tagString
	}
	return tagNil
}

func isKeyTag(t tag) bool { return t >= tagBool && t <= tagUintptr || t == tagString }

// Register makes values of v's type storable. They are encoded with gob: fields of
// interface types can hold only types that were given to gob.Register. Call it before the
// codec is used. It does nothing for a type that is registered already or needs no
// registration.
func (c *Typed) Register(v any) {
	t := reflect.TypeOf(v)
	if t == nil {
		panic("fibersession: a nil interface has no type to register")
	}
	if new(encoder).describe(t, t, 0) != nil {
		c.types.add(t)
	}
}

// Encode implements Codec.
func (c *Typed) Encode(values map[string]any) ([]byte, error) {
	data, _, err := c.encode(values)
	return data, err
}

// encode encodes values. gobs reports whether gob encoded one of them just now, which may decode
// to something else.
func (c *Typed) encode(values map[string]any) (data []byte, gobs bool, err error) {
	e := encoder{types: &c.types, buf: make([]byte, 0, 32+32*len(values))}
	e.buf = binary.AppendUvarint(e.buf, uint64(len(values)))
	for key, v := range values {
		e.string(key)
		if err := e.value(v, 0); err != nil {
			return nil, false, fmt.Errorf("%w (key %q)", err, key)
		}
	}
	return e.buf, e.gobs, nil
}

type encoder struct {
	types *registry
	buf   []byte
	gobs  bool // gob encoded a value
}

func (e *encoder) tag(t tag)       { e.buf = append(e.buf, byte(t)) }
func (e *encoder) uint(n uint64)   { e.buf = binary.AppendUvarint(e.buf, n) }
func (e *encoder) int(n int64)     { e.buf = binary.AppendVarint(e.buf, n) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); e.buf = append(e.buf, s...) }
func (e *encoder) float(f float64) {
	e.buf = binary.BigEndian.AppendUint64(e.buf, math.Float64bits(f))
}

// value encodes v with its type. It needs no reflection for the most common types.
func (e *encoder) value(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		e.tag(tagNil)
	case string:
		e.tag(tagString)
		e.string(v)
	case int:
		e.tag(tagInt)
		e.int(int64(v))
	case bool:
		e.tag(tagBool)
		e.bool(v)
	case int64:
		e.tag(tagInt64)
		e.int(v)
	case float64:
		e.tag(tagFloat64)
		e.float(v)
	case *Stored: // only at the top
		e.buf = append(e.buf, v.raw...)
	default:
		r := reflect.ValueOf(v)
		if name := e.types.name(r.Type()); name != "" {
			e.tag(tagGob)
			e.string(name)
			return e.gob(r)
		}
		start := len(e.buf)
		if e.describe(r.Type(), r.Type(), 0) != nil {
			e.buf = e.buf[:start]
			return e.gobInterface(v)
		}
		return e.content(r, depth)
	}
	return nil
}

// describe encodes the type t, which is a part of whole.
func (e *encoder) describe(whole, t reflect.Type, depth int) error {
	if b := basicTag(t); b != tagNil {
		e.tag(b)
		return nil
	}
	if depth < maxTypeDepth && t.PkgPath() == "" {
		switch t.Kind() {
		case reflect.Interface:
			if t == typeAny && depth > 0 {
				e.tag(tagAny)
				return nil
			}
		case reflect.Slice:
			e.tag(tagSlice)
			return e.describe(whole, t.Elem(), depth+1)
		case reflect.Map:
			if k := basicTag(t.Key()); isKeyTag(k) {
				e.tag(tagMap)
				e.tag(k)
				return e.describe(whole, t.Elem(), depth+1)
			}
		}
	}
	if whole == t {
		return fmt.Errorf("%w %v", ErrUnsupportedType, t)
	}
	return fmt.Errorf("%w %v, because of %v", ErrUnsupportedType, whole, t)
}

// content encodes r without its type.
func (e *encoder) content(r reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: values nest deeper than %d", ErrTooLarge, maxDepth)
	}
	if len(e.buf) > encodeLimit {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, encodeLimit)
	}
	switch t := r.Type(); {
	case t == typeTime:
		b, err := r.Interface().(time.Time).MarshalBinary()
		if err != nil {
			return fmt.Errorf("%w time.Time: %w", ErrUnsupportedType, err)
		}
		e.string(string(b))
		return nil
	case t == typeBytes:
		return e.bytes(r)
	}
	switch k := r.Kind(); {
	case k == reflect.Bool:
		e.bool(r.Bool())
	case r.CanInt():
		e.int(r.Int())
	case r.CanUint():
		e.uint(r.Uint())
	case r.CanFloat():
		e.float(r.Float())
	case r.CanComplex():
		e.float(real(r.Complex()))
		e.float(imag(r.Complex()))
	case k == reflect.String:
		e.string(r.String())
	case k == reflect.Interface:
		return e.value(r.Interface(), depth) // depth already counts the element r
	case k == reflect.Slice:
		if r.IsNil() {
			e.uint(0)
			return nil
		}
		e.uint(uint64(r.Len()) + 1)
		for i := range r.Len() {
			if err := e.content(r.Index(i), depth+1); err != nil {
				return err
			}
		}
	case k == reflect.Map:
		if r.IsNil() {
			e.uint(0)
			return nil
		}
		e.uint(uint64(r.Len()) + 1)
		for it := r.MapRange(); it.Next(); {
			if err := e.content(it.Key(), depth+1); err != nil {
				return err
			}
			if err := e.content(it.Value(), depth+1); err != nil {
				return err
			}
		}
	default: // unreachable: describe rejects other types
		return fmt.Errorf("%w %v", ErrUnsupportedType, r.Type())
	}
	return nil
}

func (e *encoder) bool(b bool) {
	if b {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
}

// bytes encodes the length plus one, and the bytes. 0 is nil.
func (e *encoder) bytes(r reflect.Value) error {
	if r.IsNil() {
		e.uint(0)
		return nil
	}
	e.uint(uint64(r.Len()) + 1)
	e.buf = append(e.buf, r.Bytes()...)
	return nil
}

const intSize = strconv.IntSize
