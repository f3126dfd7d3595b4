package contract

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

func decodeBool(r *reader, v reflect.Value) *misfit {
	switch r.peek() {
	case 't':
		r.at += len("true")
		v.SetBool(true)
	case 'f':
		r.at += len("false")
		v.SetBool(false)
	default:
		return expected("true or false")
	}
	return nil
}

func decodeString(r *reader, v reflect.Value) *misfit {
	if r.peek() != '"' {
		return expected("a string")
	}
	v.SetString(unquote(r.str()))
	return nil
}

func decodeNumber(r *reader, v reflect.Value) *misfit {
	n := r.number()
	if n == nil {
		return expected("a number")
	}
	v.SetString(string(n))
	return nil
}

// intText returns the range of an integer type in words. The limits of int64 would only hide
// that most misfits are no integers at all.
func intText(t reflect.Type) string {
	bits := t.Bits()
	if v := reflect.Zero(t); v.CanUint() {
		return fmt.Sprintf("an integer from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
	} else if bits == 64 {
		return "an integer of at most 64 bits"
	}
	return fmt.Sprintf("an integer from %d to %d", int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
}

// shortInt parses an integer of at most 18 digits, which strconv could only do with an allocation.
// ok is false for all other numbers.
func shortInt(text []byte) (n int64, ok bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}

func decodeInt(what string) func(*reader, reflect.Value) *misfit {
	return func(r *reader, v reflect.Value) *misfit {
		digits := r.number()
		n, ok := shortInt(digits)
		if !ok {
			text := string(digits)
			var err error
			if n, err = strconv.ParseInt(text, 10, 64); err != nil {
				f, err := strconv.ParseFloat(text, 64)
				if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
					return expected(what)
				}
				n = int64(f)
			}
		}
		if v.OverflowInt(n) {
			return expected(what)
		}
		v.SetInt(n)
		return nil
	}
}

func decodeUint(what string) func(*reader, reflect.Value) *misfit {
	return func(r *reader, v reflect.Value) *misfit {
		digits := r.number()
		short, ok := shortInt(digits)
		n := uint64(short)
		if !ok || short < 0 {
			text := string(digits)
			var err error
			if n, err = strconv.ParseUint(text, 10, 64); err != nil {
				f, err := strconv.ParseFloat(text, 64)
				if err != nil || f != math.Trunc(f) || f < 0 || f > 1<<53 {
					return expected(what)
				}
				n = uint64(f)
			}
		}
		if v.OverflowUint(n) {
			return expected(what)
		}
		v.SetUint(n)
		return nil
	}
}

func decodeFloat(r *reader, v reflect.Value) *misfit {
	f, err := strconv.ParseFloat(string(r.number()), v.Type().Bits())
	if err != nil {
		return expected("a number")
	}
	v.SetFloat(f)
	return nil
}

// decodeBytes decodes an attachment, or a string in base64.
func decodeBytes(r *reader, v reflect.Value) *misfit {
	switch r.peek() {
	case '"':
		b, err := base64.StdEncoding.DecodeString(unquote(r.str()))
		if err != nil {
			return expected("binary data")
		}
		v.SetBytes(b)
		return nil
	case '{':
		var b []byte
		if len(r.attachments) > 0 && siopacket.Unmarshal(r.raw(), r.attachments, &b) == nil {
			v.SetBytes(b)
			return nil
		}
	}
	return expected("binary data")
}

// decodeAny decodes a value into an any or a Value, which can hold everything.
func decodeAny(r *reader, v reflect.Value) *misfit {
	if siopacket.Unmarshal(r.raw(), r.attachments, v.Addr().Interface()) != nil {
		return expected("any value")
	}
	return nil
}

// decodeSelf decodes a value whose type decodes itself. Such a type can hold no binary data: it
// would get a placeholder without the data that it stands for.
func decodeSelf(s *shape) func(*reader, reflect.Value) *misfit {
	return func(r *reader, v reflect.Value) *misfit {
		text, binary := siopacket.NewValue(r.raw(), r.attachments).Parts()
		if binary != nil {
			return expected(s.what)
		}
		if err := json.Unmarshal(text, v.Addr().Interface()); err != nil {
			return refused(s.what, err)
		}
		return nil
	}
}

// decodeText decodes a string whose type parses it.
func decodeText(s *shape) func(*reader, reflect.Value) *misfit {
	return func(r *reader, v reflect.Value) *misfit {
		if r.peek() != '"' {
			return expected(s.what)
		}
		if err := json.Unmarshal(r.raw(), v.Addr().Interface()); err != nil {
			return refused(s.what, err)
		}
		return nil
	}
}

// enum makes decode refuse other values than those that the type's method Values returns.
func (b *builder) enum(s *shape) {
	isInt := reflect.Zero(s.typ).CanInt() || reflect.Zero(s.typ).CanUint()
	if !isInt && s.typ.Kind() != reflect.String {
		return
	}
	m, ok := s.typ.MethodByName("Values")
	if !ok {
		m, _ = reflect.PointerTo(s.typ).MethodByName("Values")
	}
	if m.Type == nil || m.Type.NumIn() != 1 || m.Type.NumOut() != 1 || m.Type.Out(0) != reflect.SliceOf(s.typ) {
		return
	}
	if !ok { // it would be no enum, and its values would not be checked
		unusable("method Values of %v has a pointer receiver: write func (%s) Values", s.typ, s.typ.Name())
	}
	s.enum = true
	all := m.Func.Call([]reflect.Value{reflect.Zero(s.typ)})[0]
	if all.Len() == 0 {
		unusable("method Values of %v returns nothing", s.typ)
	}
	names := make([]string, all.Len())
	for i := range all.Len() {
		if names[i] = plainText(all.Index(i)); !isInt {
			names[i] = strconv.Quote(names[i])
		}
	}
	s.what = "one of " + strings.Join(names, ", ")
	if isInt {
		s.decode = enumOfInts(s, all)
	} else {
		s.decode = enumOfTexts(s, all)
	}
}

func enumOfInts(s *shape, all reflect.Value) func(*reader, reflect.Value) *misfit {
	values, decode := map[any]bool{}, s.decode
	for i := range all.Len() {
		values[all.Index(i).Interface()] = true
	}
	return func(r *reader, v reflect.Value) *misfit {
		if decode(r, v) != nil || !values[v.Interface()] {
			return expected(s.what)
		}
		return nil
	}
}

func enumOfTexts(s *shape, all reflect.Value) func(*reader, reflect.Value) *misfit {
	values := map[string]string{}
	for i := range all.Len() {
		values[all.Index(i).String()] = all.Index(i).String()
	}
	return func(r *reader, v reflect.Value) *misfit {
		if r.peek() != '"' {
			return expected(s.what)
		}
		text, escaped := r.str()
		if escaped {
			text = []byte(unquote(text, true))
		}
		value, ok := values[string(text)]
		if !ok {
			return expected(s.what)
		}
		v.SetString(value) // that of the constant: the text of the client needs no copy
		return nil
	}
}
