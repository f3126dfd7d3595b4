package siopacket

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"reflect"
)

// markers carries attachments through encoding/json, which cannot represent them.
// For the duration of one call, each attachment is represented by a marker: a short
// []byte that consists of an unguessable random prefix and the attachment's number.
// encoding/json reads and writes a marker as a base64 string in any position.
type markers struct {
	secret    [24]byte // generated on first use
	generated bool
	prefix    string   // base64 of secret
	bytes     [][]byte // the attachments, by number
}

// A marker is 24 random bytes followed by a 3-byte number. In base64 that is 36
// characters without padding, of which the first 32 are the same in all markers.
const (
	markerLen   = 27
	markerChars = 36
	prefixChars = 32
	maxMarkers  = 1 << 24
)

func (s *markers) quotedLen() int { return markerChars + 2 }

func (s *markers) generate() {
	if !s.generated {
		rand.Read(s.secret[:]) // never returns an error: it crashes the program instead
		s.prefix = base64.StdEncoding.EncodeToString(s.secret[:])
		s.generated = true
	}
}

// marker returns the marker of attachment num.
func (s *markers) marker(num int) []byte {
	s.generate()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(num))
	return append(s.secret[:len(s.secret):len(s.secret)], b[1:]...)
}

// number returns the number of the attachment that the base64 text represents.
func (s *markers) number(text string) (num int, ok bool) {
	if !s.generated || len(text) != markerChars || text[:prefixChars] != s.prefix {
		return 0, false
	}
	b, err := base64.StdEncoding.DecodeString(text[prefixChars:])
	if err != nil {
		return 0, false
	}
	num = int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return num, num < len(s.bytes)
}

// findMarker returns the position and the number of the first quoted marker in text.
func (s *markers) findMarker(text []byte) (at, num int, ok bool) {
	at = bytes.Index(text, []byte(`"`+s.prefix))
	if at < 0 || len(text) < at+s.quotedLen() {
		return 0, 0, false
	}
	num, ok = s.number(string(text[at+1 : at+1+markerChars]))
	return at, num, ok
}

// replacePlaceholders returns raw with each placeholder replaced by a quoted marker.
func (s *markers) replacePlaceholders(raw []byte, found []placeholder) []byte {
	text := make([]byte, 0, len(raw)+len(found)*s.quotedLen())
	from := 0
	for _, p := range found {
		text = s.appendMarker(append(text, raw[from:p.start]...), p.num)
		from = p.end
	}
	return append(text, raw[from:]...)
}

// appendMarker appends the quoted marker of attachment num.
func (s *markers) appendMarker(dst []byte, num int) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), s.marker(num)), '"')
}

// restoreText returns text with each quoted marker replaced by its placeholder, and whether
// there was one.
func (s *markers) restoreText(text []byte) (out []byte, changed bool) {
	if !s.generated || !bytes.Contains(text, []byte(s.prefix)) {
		return text, false
	}
	for {
		at, num, ok := s.findMarker(text)
		if !ok {
			break
		}
		out = appendPlaceholder(append(out, text[:at]...), num)
		text = text[at+s.quotedLen():]
	}
	return append(out, text...), true
}

// replaceBytes returns the marker to encode instead of the []byte v.
func (s *markers) replaceBytes(v reflect.Value) (reflect.Value, bool) {
	if !isBytes(v.Type()) || v.Type() == rawMessageType || v.IsNil() || len(s.bytes) == maxMarkers {
		return v, false
	}
	s.bytes = append(s.bytes, v.Bytes())
	return reflect.ValueOf(s.marker(len(s.bytes) - 1)).Convert(v.Type()), true
}

// restoreBytes returns the attachment for a decoded marker.
func (s *markers) restoreBytes(v reflect.Value) (reflect.Value, bool) {
	switch {
	case v.Type() == rawMessageType:
		text, changed := s.restoreText(v.Bytes())
		if !changed {
			return v, false
		}
		return reflect.ValueOf(json.RawMessage(text)), true
	case isBytes(v.Type()):
		if b := v.Bytes(); len(b) == markerLen && bytes.HasPrefix(b, s.secret[:]) {
			if num, ok := s.number(base64.StdEncoding.EncodeToString(b)); ok {
				return reflect.ValueOf(s.bytes[num]).Convert(v.Type()), true
			}
		}
	case v.Kind() == reflect.String:
		if num, ok := s.number(v.String()); ok {
			return reflect.ValueOf(s.bytes[num]), true
		}
	}
	return v, false
}
