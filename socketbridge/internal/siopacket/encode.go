package siopacket

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxAttachments is how many attachments Append makes of one packet at most:
// clients of today refuse more, and close their connection.
const maxAttachments = 10

// maxEncodeDepth bounds the nesting of []any and map[string]any, which may
// contain themselves.
const maxEncodeDepth = 1000

// Append appends the text of a packet to dst and returns it with the attachments
// that are to follow it as binary messages.
//
// For an Event args are its name and its arguments, for an Ack its arguments. A
// Connect or ConnectError has one argument at most, which is its payload, and a
// Disconnect none.
//
// Values are encoded as encoding/json does it, but HTML is not escaped, and
// every []byte, however deep in slices, maps, structs and pointers, becomes an
// attachment, as a Buffer does in JavaScript; a nil []byte is null. Two places
// keep encoding/json's base64: inside a type with its own MarshalJSON or
// MarshalText, and behind an embedded pointer to an unexported struct. A
// json.RawMessage passes through as it is, once it was found to be valid.
//
// The attachments share memory with args. Errors wrap ErrUnsupported or ErrLimit,
// and dst is then returned as it was.
func Append(dst []byte, h Header, args ...any) (text []byte, attachments [][]byte, err error) {
	start := len(dst)
	e := encoder{buf: appendHeader(grow(dst, sizeHint(h, args)), h)}
	payload := len(e.buf)
	switch h.Type {
	case Event, Ack, BinaryEvent, BinaryAck:
		err = e.array(args, 1)
	case Connect, ConnectError:
		if len(args) > 1 {
			return dst, nil, fmt.Errorf("%w: %d payloads of one packet", ErrUnsupported, len(args))
		}
		for _, arg := range args {
			err = e.value(arg, 1)
		}
		if err == nil && e.attachments != nil {
			err = fmt.Errorf("%w: attachments of a packet that is no event or answer", ErrUnsupported)
		}
	default:
		if len(args) > 0 {
			err = fmt.Errorf("%w: payload of a packet that has none", ErrUnsupported)
		}
	}
	if err != nil {
		return dst, nil, err
	}
	if len(e.attachments) > 0 {
		if err = e.finish(start, payload); err != nil {
			return dst, nil, err
		}
	}
	return e.buf, e.attachments, nil
}

// maxHeader is what a header, its namespace apart, and the brackets of the payload
// take at most.
const maxHeader = len("510-,18446744073709551615[]")

// sizeHint guesses the size of a packet's text, so that one allocation does for
// most.
func sizeHint(h Header, args []any) int {
	n := maxHeader + len(h.Namespace)
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			n += len(v) + 4
		case json.RawMessage:
			n += len(v) + 1
		default:
			n += 24
		}
	}
	return n
}

// grow makes room for n more bytes. (slices.Grow allocates twice under the race
// detector, where allocations are counted too.)
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// AppendRaw appends the text of an Event or Ack whose arguments are JSON that is
// known to be valid, such as what AppendArgs gave, and without attachments. Of an
// Event the first is the name. It checks nothing and allocates only to grow dst, once.
func AppendRaw(dst []byte, h Header, args ...json.RawMessage) []byte {
	size := maxHeader + len(h.Namespace)
	for _, arg := range args {
		size += len(arg) + 1
	}
	dst = append(appendHeader(grow(dst, size), h), '[')
	for i, arg := range args {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, arg...)
	}
	return append(dst, ']')
}

// AppendString appends s as a JSON string that JavaScript reads as well.
// Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// appendHeader writes the type as if there were no attachments: whether there
// are any is known after the payload, and most packets have none.
func appendHeader(dst []byte, h Header) []byte {
	t := h.Type
	if t == BinaryEvent || t == BinaryAck {
		t -= BinaryEvent - Event
	}
	return appendRest(append(dst, '0'+byte(t)), h)
}

// appendRest writes what follows the type and the count of attachments.
func appendRest(dst []byte, h Header) []byte {
	if h.Namespace != "" && h.Namespace != "/" {
		dst = append(append(dst, h.Namespace...), ',')
	}
	if h.HasID {
		dst = strconv.AppendUint(dst, h.ID, 10)
	}
	return dst
}

type encoder struct {
	buf         []byte
	attachments [][]byte
}

// finish makes a binary packet of what was written from start on.
func (e *encoder) finish(start, payload int) error {
	n := len(e.attachments)
	if n > maxAttachments {
		return fmt.Errorf("%w: %d attachments, clients take %d", ErrLimit, n, maxAttachments)
	}
	// A value that looks like a placeholder, perhaps another client's, would take
	// an attachment's place, or make the receivers close their connections.
	s := scanner{data: e.buf[payload:], maxDepth: math.MaxInt, attachments: n}
	if _, err := s.value(0, 0); err != nil || len(s.found) != n {
		return fmt.Errorf("%w: an argument looks like the placeholder of an attachment", ErrUnsupported)
	}
	e.buf[start] += byte(BinaryEvent - Event)
	count := append(strconv.AppendInt(make([]byte, 0, 3), int64(n), 10), '-')
	e.buf = slices.Insert(e.buf, start+1, count...)
	return nil
}

func (e *encoder) value(v any, depth int) error {
	if depth > maxEncodeDepth {
		return fmt.Errorf("%w: values nested deeper than %d", ErrLimit, maxEncodeDepth)
	}
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.buf = AppendString(e.buf, v)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case uint64:
		e.buf = strconv.AppendUint(e.buf, v, 10)
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1e15 {
			return e.reflect(v)
		}
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case json.RawMessage:
		return e.raw(v)
	case []byte:
		e.attach(v)
	case []any:
		if v == nil {
			e.buf = append(e.buf, "null"...)
			return nil
		}
		return e.array(v, depth)
	case map[string]any:
		if v == nil {
			e.buf = append(e.buf, "null"...)
			return nil
		}
		return e.object(v, depth)
	default:
		return e.reflect(v)
	}
	return nil
}

func (e *encoder) array(values []any, depth int) error {
	e.buf = append(e.buf, '[')
	for i, v := range values {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(v, depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

// object writes the keys in order, so that equal values give equal bytes.
func (e *encoder) object(m map[string]any, depth int) error {
	e.buf = append(e.buf, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(AppendString(e.buf, key), ':')
		if err := e.value(m[key], depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

func (e *encoder) raw(v json.RawMessage) error {
	if v == nil {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	s := scanner{data: v, maxDepth: maxEncodeDepth}
	if end, err := s.value(skipSpace(v, 0), 0); err != nil || skipSpace(v, end) != len(v) || !utf8.Valid(v) {
		return fmt.Errorf("%w: json.RawMessage is not valid JSON", ErrUnsupported)
	}
	e.buf = append(e.buf, v...)
	return nil
}

func (e *encoder) attach(b []byte) {
	if b == nil {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = appendPlaceholder(e.buf, len(e.attachments))
	e.attachments = append(e.attachments, b)
}

func appendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(dst, int64(num), 10), '}')
}

// reflect encodes every other type by encoding/json, with a stand-in for each
// []byte, which is then replaced by its placeholder.
func (e *encoder) reflect(v any) error {
	var s standIns
	w := rewriter{leaf: s.takeOut}
	rv, changed := w.value(reflect.ValueOf(v), 0)
	if w.err != nil {
		return w.err
	}
	if changed {
		v = rv.Interface()
	}
	var buf jsonBuffer
	buf.b = e.buf
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	from := len(e.buf)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	e.buf = buf.b[:len(buf.b)-1] // Encode ends with a newline
	if changed {
		e.replace(from, &s)
	}
	return nil
}

// replace puts placeholders for the stand-ins that are in the text from from on.
func (e *encoder) replace(from int, s *standIns) {
	text := slices.Clone(e.buf[from:])
	e.buf = e.buf[:from]
	for {
		at, num, ok := s.find(text)
		if !ok {
			break
		}
		e.buf = append(e.buf, text[:at]...)
		e.attach(s.bytes[num])
		text = text[at+s.quotedLen():]
	}
	e.buf = append(e.buf, text...)
}

// jsonBuffer is an io.Writer that appends.
type jsonBuffer struct{ b []byte }

func (b *jsonBuffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}
