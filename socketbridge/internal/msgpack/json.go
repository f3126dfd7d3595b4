package msgpack

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// Limits bound the input of JSON. A field that is not positive has its default.
type Limits struct {
	// MaxDepth is the maximum nesting depth.
	//
	// Optional. Default: 1000
	MaxDepth int
	// MaxAttachments is the maximum number of binary values.
	//
	// Optional. Default: 1000
	MaxAttachments int
	// MaxText is the maximum size of the JSON text, in bytes.
	//
	// Optional. Default: no limit
	MaxText int
}

// JSON converts a MessagePack value to JSON text and its binary values, each of which
// is a placeholder in the text. Attachments share memory with data. A timestamp, also in the
// form of notepack.io 2, becomes the string of a JavaScript Date in JSON; NaN and infinities
// become null.
func JSON(data []byte, l Limits) (text []byte, attachments [][]byte, err error) {
	r := reader{data: data, limits: l, out: make([]byte, 0, len(data)+len(data)/4+16)}
	if r.limits.MaxDepth <= 0 {
		r.limits.MaxDepth = 1000
	}
	if r.limits.MaxAttachments <= 0 {
		r.limits.MaxAttachments = 1000
	}
	if err := r.value(0); err != nil {
		return nil, nil, err
	}
	if r.pos != len(data) {
		return nil, nil, r.syntaxError("bytes after the value")
	}
	return r.out, r.attachments, nil
}

// reader converts data to JSON, starting at pos.
type reader struct {
	data        []byte
	pos         int
	limits      Limits
	out         []byte
	attachments [][]byte
}

func (r *reader) syntaxError(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, r.pos)
}

// next returns the next n bytes. n may be any value: the bounds check cannot overflow.
func (r *reader) next(n uint64) ([]byte, error) {
	if n > uint64(len(r.data)-r.pos) {
		return nil, r.syntaxError("unexpected end of input")
	}
	b := r.data[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b, nil
}

// number reads an unsigned big-endian number of size bytes.
func (r *reader) number(size int) (uint64, error) {
	b, err := r.next(uint64(size))
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, err
}

func (r *reader) value(depth int) error {
	if depth > r.limits.MaxDepth {
		return errDeep
	}
	if r.limits.MaxText > 0 && len(r.out) > r.limits.MaxText {
		return errLargeText
	}
	code, err := r.number(1)
	if err != nil {
		return err
	}
	switch {
	case code < 0x80:
		r.out = strconv.AppendUint(r.out, code, 10)
		return nil
	case code < 0x90:
		return r.object(code&0x0f, depth)
	case code < 0xa0:
		return r.array(code&0x0f, depth)
	case code < 0xc0:
		return r.string(code & 0x1f)
	case code >= 0xe0:
		r.out = strconv.AppendInt(r.out, int64(int8(code)), 10)
		return nil
	}
	return r.long(byte(code), depth)
}

// long reads a value whose code is followed by its length or its contents.
func (r *reader) long(code byte, depth int) error {
	switch code {
	case 0xc0:
		r.out = append(r.out, "null"...)
		return nil
	case 0xc2:
		r.out = append(r.out, "false"...)
		return nil
	case 0xc3:
		r.out = append(r.out, "true"...)
		return nil
	case 0xc1:
		return r.syntaxError("unknown type")
	}
	n, err := r.number(sizes[code-0xc4])
	if err != nil {
		return err
	}
	switch code {
	case 0xc4, 0xc5, 0xc6:
		return r.binary(n)
	case 0xc7, 0xc8, 0xc9:
		return r.extension(n)
	case 0xca:
		r.float(float64(math.Float32frombits(uint32(n))), 32)
	case 0xcb:
		r.float(math.Float64frombits(n), 64)
	case 0xcc, 0xcd, 0xce, 0xcf:
		r.out = strconv.AppendUint(r.out, n, 10)
	case 0xd0:
		r.out = strconv.AppendInt(r.out, int64(int8(n)), 10)
	case 0xd1:
		r.out = strconv.AppendInt(r.out, int64(int16(n)), 10)
	case 0xd2:
		r.out = strconv.AppendInt(r.out, int64(int32(n)), 10)
	case 0xd3:
		r.out = strconv.AppendInt(r.out, int64(n), 10)
	case 0xd4:
		if r.pos+2 <= len(r.data) && r.data[r.pos] == 0 {
			r.pos += 2 // undefined, as older versions of notepack.io write it
			r.out = append(r.out, "null"...)
			return nil
		}
		return r.extension(1)
	case 0xd7:
		if r.pos+9 <= len(r.data) && r.data[r.pos] == 0 { // a Date, as notepack.io 2 writes it
			ms := binary.BigEndian.Uint64(r.data[r.pos+1:])
			r.pos += 9
			r.date(time.UnixMilli(int64(ms)))
			return nil
		}
		return r.extension(8)
	case 0xd5, 0xd6, 0xd8:
		return r.extension(1 << (code - 0xd4))
	case 0xd9, 0xda, 0xdb:
		return r.string(n)
	case 0xdc, 0xdd:
		return r.array(n, depth)
	case 0xde, 0xdf:
		return r.object(n, depth)
	}
	return nil
}

// sizes is the number of bytes of length or value that follow each code from 0xc4 on.
var sizes = [...]int{
	1, 2, 4, // bin
	1, 2, 4, // ext
	4, 8, // float
	1, 2, 4, 8, // uint
	1, 2, 4, 8, // int
	0, 0, 0, 0, 0, // fixext
	1, 2, 4, // str
	2, 4, // array
	2, 4, // map
}

func (r *reader) string(n uint64) error {
	b, err := r.next(n)
	if err == nil {
		r.out = siopacket.AppendString(r.out, string(b))
	}
	return err
}

func (r *reader) float(f float64, bits int) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.out = append(r.out, "null"...)
		return
	}
	if f == 0 {
		f = 0 // clear the sign of -0, as JSON.stringify does
	}
	r.out = strconv.AppendFloat(r.out, f, 'g', -1, bits)
}

func (r *reader) array(n uint64, depth int) error {
	r.out = append(r.out, '[')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, ']')
	return nil
}

// object writes an object. Keys that are numbers become strings, as in JavaScript.
// Other keys that are not strings are an error.
func (r *reader) object(n uint64, depth int) error {
	r.out = append(r.out, '{')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		start := len(r.out)
		if err := r.value(depth + 1); err != nil {
			return err
		}
		switch c := r.out[start]; {
		case c == '"':
		case c == '-' || c >= '0' && c <= '9':
			r.out = siopacket.AppendString(r.out[:start], string(r.out[start:]))
		default:
			return r.syntaxError("key is neither a string nor a number")
		}
		r.out = append(r.out, ':')
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, '}')
	return nil
}

func (r *reader) binary(n uint64) error {
	b, err := r.next(n)
	if err != nil {
		return err
	}
	if len(r.attachments) == r.limits.MaxAttachments {
		return errManyBinary
	}
	r.out = append(r.out, `{"_placeholder":true,"num":`...)
	r.out = append(strconv.AppendInt(r.out, int64(len(r.attachments)), 10), '}')
	r.attachments = append(r.attachments, b)
	return nil
}

// extension reads an extension type: a timestamp, an ArrayBuffer in notepack.io's
// older form, or any other type, which becomes an array of its number and its bytes.
func (r *reader) extension(n uint64) error {
	kind, err := r.number(1)
	if err != nil {
		return err
	}
	switch int8(kind) {
	case -1:
		return r.timestamp(n)
	case 0:
		return r.binary(n)
	}
	r.out = append(r.out, '[')
	r.out = append(strconv.AppendInt(r.out, int64(int8(kind)), 10), ',')
	if err := r.binary(n); err != nil {
		return err
	}
	r.out = append(r.out, ']')
	return nil
}

func (r *reader) timestamp(n uint64) error {
	b, err := r.next(n)
	if err != nil {
		return err
	}
	var sec, nsec int64
	switch n {
	case 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case 8:
		v := binary.BigEndian.Uint64(b)
		nsec, sec = int64(v>>34), int64(v&(1<<34-1))
	case 12:
		nsec, sec = int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint64(b[4:]))
	default:
		return r.syntaxError("invalid timestamp")
	}
	r.date(time.Unix(sec, nsec))
	return nil
}

// date appends t as JSON.stringify writes a Date.
func (r *reader) date(t time.Time) {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		r.out = append(r.out, "null"...)
		return
	}
	r.out = append(t.AppendFormat(append(r.out, '"'), "2006-01-02T15:04:05.000Z"), '"')
}
