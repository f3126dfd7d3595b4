package siopacket

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"reflect"
)

// standIns lets encoding/json carry attachments, which it knows nothing of. For
// the time of one call each attachment has a stand-in: a short []byte that begins
// with random bytes nobody can guess and ends with the attachment's number.
// encoding/json writes and reads it as a base64 string, wherever it stands.
type standIns struct {
	secret [24]byte // drawn when first needed
	drawn  bool
	prefix string   // base64 of secret
	bytes  [][]byte // the attachments by number
}

// A stand-in is 24 random bytes and 3 bytes of number: 36 characters of base64
// without padding, of which the first 32 are the same for all.
const (
	standInLen   = 27
	standInChars = 36
	prefixChars  = 32
	maxStandIns  = 1 << 24
)

func (s *standIns) quotedLen() int { return standInChars + 2 }

func (s *standIns) draw() {
	if !s.drawn {
		rand.Read(s.secret[:]) // never fails: it ends the program instead
		s.prefix = base64.StdEncoding.EncodeToString(s.secret[:])
		s.drawn = true
	}
}

// standIn returns the stand-in of attachment num.
func (s *standIns) standIn(num int) []byte {
	s.draw()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(num))
	return append(s.secret[:len(s.secret):len(s.secret)], b[1:]...)
}

// number returns which attachment the base64 text stands for.
func (s *standIns) number(text string) (num int, ok bool) {
	if !s.drawn || len(text) != standInChars || text[:prefixChars] != s.prefix {
		return 0, false
	}
	b, err := base64.StdEncoding.DecodeString(text[prefixChars:])
	if err != nil {
		return 0, false
	}
	num = int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return num, num < len(s.bytes)
}

// find returns where in JSON the first quoted stand-in begins.
func (s *standIns) find(text []byte) (at, num int, ok bool) {
	at = bytes.Index(text, []byte(`"`+s.prefix))
	if at < 0 || len(text) < at+s.quotedLen() {
		return 0, 0, false
	}
	num, ok = s.number(string(text[at+1 : at+1+standInChars]))
	return at, num, ok
}

// replacePlaceholders returns raw with a quoted stand-in for each placeholder.
func (s *standIns) replacePlaceholders(raw []byte, found []placeholder) []byte {
	text := make([]byte, 0, len(raw)+len(found)*s.quotedLen())
	from := 0
	for _, p := range found {
		text = append(append(text, raw[from:p.start]...), '"')
		text = base64.StdEncoding.AppendEncode(text, s.standIn(p.num))
		text = append(text, '"')
		from = p.end
	}
	return append(text, raw[from:]...)
}

// takeOut is for encoding: it gives a []byte a stand-in.
func (s *standIns) takeOut(v reflect.Value) (reflect.Value, bool) {
	if !isBytes(v.Type()) || v.Type() == rawMessageType || v.IsNil() || len(s.bytes) == maxStandIns {
		return v, false
	}
	s.bytes = append(s.bytes, v.Bytes())
	return reflect.ValueOf(s.standIn(len(s.bytes) - 1)).Convert(v.Type()), true
}

// putIn is for decoding: it gives a stand-in its attachment.
func (s *standIns) putIn(v reflect.Value) (reflect.Value, bool) {
	switch {
	case v.Type() == rawMessageType:
		raw := v.Bytes()
		if !bytes.Contains(raw, []byte(s.prefix)) {
			return v, false
		}
		var out []byte
		for {
			at, num, ok := s.find(raw)
			if !ok {
				break
			}
			out = appendPlaceholder(append(out, raw[:at]...), num)
			raw = raw[at+s.quotedLen():]
		}
		return reflect.ValueOf(json.RawMessage(append(out, raw...))), true
	case isBytes(v.Type()):
		if b := v.Bytes(); len(b) == standInLen && bytes.HasPrefix(b, s.secret[:]) {
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
