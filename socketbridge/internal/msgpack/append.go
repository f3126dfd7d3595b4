package msgpack

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// maxDepth bounds the nesting of the JSON text.
const maxDepth = 1100

// Append appends the MessagePack form of a JSON text to dst. If there are attachments,
// an object {"_placeholder":true,"num":i} is replaced by attachment i. On an error
// Append returns dst unchanged.
func Append(dst, text []byte, attachments [][]byte) ([]byte, error) {
	w := writer{text: text, out: dst, attachments: attachments}
	w.skipSpace()
	err := w.value(0)
	if w.skipSpace(); err == nil && w.pos != len(text) {
		err = w.syntaxError("text after the value")
	}
	if err != nil {
		return dst, err
	}
	return w.out, nil
}

// writer converts text to MessagePack, starting at pos.
type writer struct {
	text        []byte
	pos         int
	out         []byte
	attachments [][]byte
}

func (w *writer) syntaxError(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, w.pos)
}

func (w *writer) skipSpace() {
	for w.pos < len(w.text) {
		switch w.text[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

// skip advances past the next byte if it is c, and reports whether it was.
func (w *writer) skip(c byte) bool {
	if w.pos < len(w.text) && w.text[w.pos] == c {
		w.pos++
		return true
	}
	return false
}

func (w *writer) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrLimit, maxDepth)
	}
	if w.pos == len(w.text) {
		return w.syntaxError("missing value")
	}
	switch w.text[w.pos] {
	case '{':
		if len(w.attachments) > 0 {
			if done, err := w.attachment(); done || err != nil {
				return err
			}
		}
		return w.container(depth, '}', 0x80, 0xde)
	case '[':
		return w.container(depth, ']', 0x90, 0xdc)
	case '"':
		return w.string()
	case 't':
		return w.literal("true", 0xc3)
	case 'f':
		return w.literal("false", 0xc2)
	case 'n':
		return w.literal("null", 0xc0)
	default:
		return w.number()
	}
}

func (w *writer) literal(word string, code byte) error {
	if !bytes.HasPrefix(w.text[w.pos:], []byte(word)) {
		return w.syntaxError("invalid value")
	}
	w.pos += len(word)
	w.out = append(w.out, code)
	return nil
}

// container writes an array or a map. Its length is known only at its end, so it
// writes the header of a short container first and widens it if needed.
func (w *writer) container(depth int, end, short, long byte) error {
	w.pos++
	start, n := len(w.out), 0
	w.out = append(w.out, short)
	w.skipSpace()
	for !w.skip(end) {
		if n > 0 {
			if !w.skip(',') {
				return w.syntaxError("missing comma")
			}
			w.skipSpace()
		}
		if end == '}' {
			if err := w.string(); err != nil {
				return err
			}
			if w.skipSpace(); !w.skip(':') {
				return w.syntaxError("missing colon")
			}
			w.skipSpace()
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
		w.skipSpace()
		n++
	}
	switch {
	case n < 16:
		w.out[start] = short | byte(n)
	case n <= math.MaxUint16:
		w.widen(start, 2)
		w.out[start] = long
		binary.BigEndian.PutUint16(w.out[start+1:], uint16(n))
	default:
		w.widen(start, 4)
		w.out[start] = long + 1
		binary.BigEndian.PutUint32(w.out[start+1:], uint32(n))
	}
	return nil
}

// widen inserts n bytes into the header at start.
func (w *writer) widen(start, n int) {
	w.out = append(w.out, make([]byte, n)...)
	copy(w.out[start+1+n:], w.out[start+1:])
}

func (w *writer) string() error {
	if !w.skip('"') {
		return w.syntaxError("missing string")
	}
	start, plain := w.pos, true
	for ; w.pos < len(w.text); w.pos++ {
		switch c := w.text[w.pos]; {
		case c == '"':
			raw := w.text[start:w.pos]
			w.pos++
			if plain {
				w.header(len(raw), 0xa0, 32, 0xd9)
				w.out = append(w.out, raw...)
				return nil
			}
			var s string
			if err := json.Unmarshal(w.text[start-1:w.pos], &s); err != nil {
				return w.syntaxError("invalid string")
			}
			w.header(len(s), 0xa0, 32, 0xd9)
			w.out = append(w.out, s...)
			return nil
		case c == '\\':
			plain = false
			w.pos++
		case c < ' ':
			return w.syntaxError("control character")
		}
	}
	return w.syntaxError("unterminated string")
}

// header writes the header of n bytes: the short form if n is less than limit, or one
// of three longer forms. A limit of 0 means that there is no short form.
func (w *writer) header(n int, short byte, limit int, long byte) {
	switch {
	case n < limit:
		w.out = append(w.out, short|byte(n))
	case n <= math.MaxUint8:
		w.out = append(w.out, long, byte(n))
	case n <= math.MaxUint16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, long+1), uint16(n))
	default:
		w.out = binary.BigEndian.AppendUint32(append(w.out, long+2), uint32(n))
	}
}

// number writes an integer in its shortest form. It writes all other numbers as
// float64, the number type of JavaScript.
func (w *writer) number() error {
	start, integer := w.pos, true
scan:
	for ; w.pos < len(w.text); w.pos++ {
		switch c := w.text[w.pos]; {
		case c >= '0' && c <= '9', c == '-' && w.pos == start:
		case c == '.', c == 'e', c == 'E', c == '+', c == '-':
			integer = false
		default:
			break scan
		}
	}
	token := string(w.text[start:w.pos])
	if integer {
		if i, err := strconv.ParseInt(token, 10, 64); err == nil {
			w.integer(i)
			return nil
		}
		if u, err := strconv.ParseUint(token, 10, 64); err == nil {
			w.out = binary.BigEndian.AppendUint64(append(w.out, 0xcf), u)
			return nil
		}
	}
	f, err := strconv.ParseFloat(token, 64) // infinite if out of range, as in JavaScript
	if err != nil && !errors.Is(err, strconv.ErrRange) || token[0] == '+' {
		w.pos = start
		return w.syntaxError("invalid value")
	}
	w.out = binary.BigEndian.AppendUint64(append(w.out, 0xcb), math.Float64bits(f))
	return nil
}

func (w *writer) integer(i int64) {
	switch {
	case i >= -32 && i < 128:
		w.out = append(w.out, byte(i))
	case i >= 0 && i <= math.MaxUint8:
		w.out = append(w.out, 0xcc, byte(i))
	case i >= 0 && i <= math.MaxUint16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, 0xcd), uint16(i))
	case i >= 0 && i <= math.MaxUint32:
		w.out = binary.BigEndian.AppendUint32(append(w.out, 0xce), uint32(i))
	case i >= 0:
		w.out = binary.BigEndian.AppendUint64(append(w.out, 0xcf), uint64(i))
	case i >= math.MinInt8:
		w.out = append(w.out, 0xd0, byte(i))
	case i >= math.MinInt16:
		w.out = binary.BigEndian.AppendUint16(append(w.out, 0xd1), uint16(i))
	case i >= math.MinInt32:
		w.out = binary.BigEndian.AppendUint32(append(w.out, 0xd2), uint32(i))
	default:
		w.out = binary.BigEndian.AppendUint64(append(w.out, 0xd3), uint64(i))
	}
}

// maxPlaceholder is the maximum size of a placeholder object, in bytes.
const maxPlaceholder = 128

// attachment writes the attachment if the object at pos is a placeholder.
func (w *writer) attachment() (done bool, err error) {
	window := w.text[w.pos:min(w.pos+maxPlaceholder, len(w.text))]
	end := bytes.IndexByte(window, '}')
	if end < 0 || !bytes.Contains(window[:end], []byte("placeholder")) {
		return false, nil
	}
	var p struct {
		Placeholder bool `json:"_placeholder"`
		Num         *int `json:"num"`
	}
	if json.Unmarshal(window[:end+1], &p) != nil || !p.Placeholder || p.Num == nil {
		return false, nil
	}
	if *p.Num < 0 || *p.Num >= len(w.attachments) {
		return false, w.syntaxError("placeholder without attachment")
	}
	b := w.attachments[*p.Num]
	w.header(len(b), 0, 0, 0xc4)
	w.out = append(w.out, b...)
	w.pos += end + 1
	return true, nil
}
