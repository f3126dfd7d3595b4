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

// maxAttachments is the maximum number of attachments that Append creates for one
// packet. Current clients close the connection if a packet has more.
const maxAttachments = 10

// maxEncodeDepth bounds the nesting of []any and map[string]any, which may
// contain themselves.
const maxEncodeDepth = 1000

// Append appends the text of a packet to dst. It returns the text and the
// attachments, which the caller must send after it as binary messages.
//
// For an Event, args are its name and its arguments; for an Ack, its arguments. A
// Connect or ConnectError has at most one argument, its payload, and a Disconnect
// has none.
//
// Values are encoded as encoding/json does, with two differences: HTML is not
// escaped, and every []byte, at any depth in slices, maps, structs and pointers,
// becomes an attachment, like a Buffer in JavaScript. A nil []byte is null. A []byte
// stays base64 in two cases: inside a type with its own MarshalJSON or MarshalText
// method, and behind an embedded pointer to an unexported struct. A json.RawMessage
// is validated and then copied unchanged. A Value is copied with its attachments.
//
// The attachments share memory with args. Errors wrap ErrUnsupported or ErrLimit, and name
// the argument; Append then returns dst unchanged.
func Append(dst []byte, h Header, args ...any) (text []byte, attachments [][]byte, err error) {
	start := len(dst)
	e := encoder{buf: appendHeader(grow(dst, sizeHint(h, args)), h)}
	payload := len(e.buf)
	switch h.Type {
	case Event, BinaryEvent:
		err = e.arguments(args, 1)
	case Ack, BinaryAck:
		err = e.arguments(args, 0)
	case Connect, ConnectError:
		if len(args) > 1 {
			return dst, nil, fmt.Errorf("%w: packet of this type has at most one payload, not %d", ErrUnsupported, len(args))
		}
		for _, arg := range args {
			err = e.value(arg, 1)
		}
		if err == nil && e.attachments != nil {
			err = fmt.Errorf("%w: only events and acks can have attachments", ErrUnsupported)
		}
	default:
		if len(args) > 0 {
			err = fmt.Errorf("%w: packet of this type has no payload", ErrUnsupported)
		}
	}
	if err != nil {
		return dst, nil, err
	}
	if len(e.attachments) > 0 {
		if err = e.makeBinary(start, payload); err != nil {
			return dst, nil, err
		}
	}
	return e.buf, e.attachments, nil
}

// maxHeader is the maximum size of a header without its namespace, including the
// brackets of the payload.
const maxHeader = len("510-,18446744073709551615[]")

// sizeHint estimates the size of a packet's text, so that most packets need a
// single allocation.
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

// grow ensures capacity for n more bytes. slices.Grow allocates twice under the race
// detector, which would break the tests that count allocations.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// AppendRaw appends the text of an Event or Ack without attachments. The arguments
// must be valid JSON, for example from AppendArgs; the first argument of an Event is
// its name. AppendRaw checks nothing and allocates at most once, to grow dst.
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

// AppendPayload appends the text of an Event or Ack. The payload must be an encoded
// JSON array, and attachments is the number of binary messages that follow.
// AppendPayload checks nothing: validate payloads from other sources by passing the
// resulting text to a Decoder.
func AppendPayload(dst []byte, h Header, payload []byte, attachments int) []byte {
	dst = grow(dst, maxHeader+len(h.Namespace)+len(payload))
	if attachments == 0 {
		return append(appendHeader(dst, h), payload...)
	}
	dst = append(dst, '0'+byte(h.Type)+byte(BinaryEvent-Event))
	dst = append(strconv.AppendInt(dst, int64(attachments), 10), '-')
	return append(appendNamespaceAndID(dst, h), payload...)
}

// AppendString appends s as a JSON string literal that is also valid JavaScript.
// It replaces invalid UTF-8 with U+FFFD.
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

// appendHeader appends the header of a packet without attachments. Whether there are
// attachments is known only after encoding the payload, and most packets have none;
// makeBinary patches the header if there are.
func appendHeader(dst []byte, h Header) []byte {
	t := h.Type
	if t == BinaryEvent || t == BinaryAck {
		t -= BinaryEvent - Event
	}
	return appendNamespaceAndID(append(dst, '0'+byte(t)), h)
}

// appendNamespaceAndID appends the part of the header after the type and the attachment count.
func appendNamespaceAndID(dst []byte, h Header) []byte {
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

// makeBinary turns the packet that begins at start into a binary packet.
func (e *encoder) makeBinary(start, payload int) error {
	n := len(e.attachments)
	if n > maxAttachments {
		return fmt.Errorf("%w: %d attachments; clients accept at most %d", ErrLimit, n, maxAttachments)
	}
	// A value that looks like a placeholder, perhaps sent by another client, would
	// be replaced by an attachment, or make receivers close their connections.
	s := scanner{data: e.buf[payload:], maxDepth: math.MaxInt, attachments: n}
	if _, err := s.value(0, 0); err != nil || len(s.found) != n {
		return fmt.Errorf("%w: an argument looks like an attachment placeholder", ErrUnsupported)
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
	case json.Marshaler:
		if rv := reflect.ValueOf(v); isValue(rv.Type()) {
			return e.encoded(rv.Convert(valueType).Interface().(Value))
		}
		return e.reflect(v)
	default:
		return e.reflect(v)
	}
	return nil
}

// arguments encodes the array of an event or ack. Errors name the position of an argument,
// which is counted without the name of the event.
func (e *encoder) arguments(args []any, names int) error {
	e.buf = append(e.buf, '[')
	for i, v := range args {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(v, 2); err != nil {
			return fmt.Errorf("argument %d (%T): %w", i-names, v, err)
		}
	}
	e.buf = append(e.buf, ']')
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

// object encodes the keys in sorted order, so that equal values have equal encodings.
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

// reflect encodes all other types with encoding/json. Each []byte is encoded as a
// marker, which is then replaced by its placeholder.
func (e *encoder) reflect(v any) error {
	var s markers
	w := rewriter{markers: &s}
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
	e.buf = buf.b[:len(buf.b)-1] // without the newline that Encode adds
	if changed {
		e.replaceMarkers(from, &s)
	}
	return nil
}

// replaceMarkers replaces the markers after from with placeholders.
func (e *encoder) replaceMarkers(from int, s *markers) {
	text := slices.Clone(e.buf[from:])
	e.buf = e.buf[:from]
	for {
		at, num, ok := s.findMarker(text)
		if !ok {
			break
		}
		e.buf = append(e.buf, text[:at]...)
		e.attach(s.bytes[num])
		text = text[at+s.quotedLen():]
	}
	e.buf = append(e.buf, text...)
}

// jsonBuffer is an io.Writer that appends to b.
type jsonBuffer struct{ b []byte }

func (b *jsonBuffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}
