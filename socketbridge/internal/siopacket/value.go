package siopacket

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// Value is one argument of a packet as it came: its JSON text and its attachments. Append
// copies it unchanged, wherever it is in the arguments, and Unmarshal can store an argument
// or a part of one in it. So do all types whose underlying type is that of Value and that
// have its methods MarshalJSON and UnmarshalJSON. The zero Value is null.
//
// A Value shares memory with its packet.
type Value struct {
	text        []byte
	attachments [][]byte // nil if text has no placeholders
}

var valueType = reflect.TypeFor[Value]()

// AppendValues appends the arguments of an Event (without its name) or of an Ack to dst.
func (p *Packet) AppendValues(dst []Value) []Value {
	args := p.AppendArgs(nil)
	dst = slices.Grow(dst, len(args))
	for _, arg := range args {
		dst = append(dst, NewValue(arg, p.Attachments))
	}
	return dst
}

// NewValue returns the value of an argument, as returned by AppendArgs, of a packet with
// attachments.
func NewValue(arg []byte, attachments [][]byte) Value {
	v := Value{text: arg}
	if len(attachments) > 0 {
		v.attachments = attachments
		if found, err := v.placeholders(); err != nil || len(found) == 0 {
			v.attachments = nil
		}
	}
	return v
}

// Unmarshal stores the value in the value that to points to, like the function Unmarshal.
func (v Value) Unmarshal(to any) error {
	if v.text == nil {
		return json.Unmarshal([]byte("null"), to)
	}
	return Unmarshal(v.text, v.attachments, to)
}

// MarshalJSON returns the value's text. Attachments become base64 strings, as encoding/json
// encodes a []byte.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.text == nil {
		return []byte("null"), nil
	}
	return v.replace(func(dst []byte, num int) []byte {
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.attachments[num]), '"')
	})
}

// UnmarshalJSON stores a copy of text, without attachments.
func (v *Value) UnmarshalJSON(text []byte) error {
	v.text, v.attachments = slices.Clone(text), nil
	return nil
}

// placeholders returns the positions of the attachments in the text.
func (v Value) placeholders() ([]placeholder, error) {
	if len(v.attachments) == 0 {
		return nil, nil
	}
	s := scanner{data: v.text, maxDepth: math.MaxInt, attachments: len(v.attachments)}
	_, err := s.value(skipSpace(v.text, 0), 0)
	return s.found, err
}

// replace returns the text with each placeholder replaced by what with appends for the
// number of its attachment. Without attachments it returns the text itself.
func (v Value) replace(with func(dst []byte, num int) []byte) ([]byte, error) {
	found, err := v.placeholders()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if len(found) == 0 {
		return v.text, nil
	}
	var text []byte
	from := 0
	for _, p := range found {
		text = with(append(text, v.text[from:p.start]...), p.num)
		from = p.end
	}
	return append(text, v.text[from:]...), nil
}

// encoded appends a Value. Its placeholders get the numbers of this packet.
func (e *encoder) encoded(v Value) error {
	if v.text == nil {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	found, err := v.placeholders()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	from := 0
	for _, p := range found {
		e.buf = append(e.buf, v.text[from:p.start]...)
		e.attach(v.attachments[p.num])
		from = p.end
	}
	e.buf = append(e.buf, v.text[from:]...)
	return nil
}

// isValue reports whether t is Value or a type defined as it.
func isValue(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.ConvertibleTo(valueType)
}

// replaceValue returns a Value that encoding/json can encode: markers are in place of its
// attachments.
func (s *markers) replaceValue(rv reflect.Value) (reflect.Value, bool) {
	v := rv.Convert(valueType).Interface().(Value)
	first := len(s.bytes)
	if len(v.attachments) == 0 || first+len(v.attachments) > maxMarkers {
		return rv, false
	}
	s.bytes = append(s.bytes, v.attachments...)
	text, err := v.replace(func(dst []byte, num int) []byte { return s.appendMarker(dst, first+num) })
	if err != nil {
		return rv, false
	}
	return reflect.ValueOf(Value{text: text}).Convert(rv.Type()), true
}

// restoreValue returns a decoded Value with the attachments of the markers in it.
func (s *markers) restoreValue(rv reflect.Value) (reflect.Value, bool) {
	v := rv.Convert(valueType).Interface().(Value)
	text, changed := s.restoreText(v.text)
	if !changed {
		return rv, false
	}
	return reflect.ValueOf(Value{text: text, attachments: s.bytes}).Convert(rv.Type()), true
}

// Parts returns the value's JSON text and the attachments that its placeholders name. Both are
// shared with the value.
func (v Value) Parts() (text []byte, attachments [][]byte) {
	if v.text == nil {
		return []byte("null"), nil
	}
	return v.text, v.attachments
}
