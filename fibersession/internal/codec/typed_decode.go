package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

var errTyped = errors.New("fibersession: malformed typed value")

// Decode implements Codec. The length of data bounds the memory that it allocates, except for
// what gob decodes: there, the types do.
func (c *Typed) Decode(data []byte) (map[string]any, error) {
	values, err := c.decode(data)
	if err != nil {
		return nil, err
	}
	for key, v := range values {
		if s := Undecodable(v); s != nil {
			return nil, fmt.Errorf("%w: key %q holds a %s: %w", errTyped, key, s.typ, s.err)
		}
	}
	known, _ := plain(values)
	return known, nil
}

// decode decodes a session. A value of which gob encoded a part, or of which this build cannot
// decode a part, is a Stored.
func (c *Typed) decode(data []byte) (map[string]any, error) {
	d := decoder{types: &c.types, buf: data, budget: len(data)}
	n, err := d.count(2) // a key's length and a tag
	if err != nil {
		return nil, err
	}
	values := make(map[string]any, n)
	for range n {
		key, err := d.string()
		if err != nil {
			return nil, err
		}
		if _, duplicate := values[key]; duplicate {
			return nil, fmt.Errorf("%w: duplicate key %q", errTyped, key)
		}
		if values[key], err = d.top(); err != nil {
			return nil, err
		}
	}
	if len(d.buf) != 0 {
		return nil, fmt.Errorf("%w: %d extra bytes", errTyped, len(d.buf))
	}
	return values, nil
}

// top decodes the value of a key.
func (d *decoder) top() (any, error) {
	start := d.buf
	d.gobs, d.skipped = false, nil
	v, err := d.value(0)
	if err != nil || !d.gobs && d.skipped == nil {
		return v, err
	}
	s := &Stored{value: v, raw: string(start[:len(start)-len(d.buf)]), typ: d.gobName}
	if s.err = d.skipped; s.err != nil {
		s.value = nil
		if tag(start[0]) >= tagGob { // otherwise d.basic is a part of the value
			s.basic = d.basic
		}
	}
	return s, nil
}

type decoder struct {
	types *registry
	buf   []byte // not decoded yet
	// budget is how many bytes the lengths in the data may still claim. Each element
	// takes at least one byte of its own, so valid data never exhausts it. Nested false
	// lengths exhaust it before memory is allocated for them.
	budget int

	// The rest is about the value of the current key.
	gobs    bool   // gob encoded a part of it
	gobName string // the name of that part's type
	skipped error  // why this build cannot decode a part of it
	basic   any    // see Stored
}

// skip records that a part of the value cannot be decoded, and its type. The first one counts.
func (d *decoder) skip(name string, err error) {
	if d.skipped == nil {
		d.skipped, d.gobName = err, name
	}
}

// next returns the next n bytes.
func (d *decoder) next(n uint64) ([]byte, error) {
	if n > uint64(len(d.buf)) {
		return nil, fmt.Errorf("%w: cut off", errTyped)
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b, nil
}

func (d *decoder) uint() (uint64, error) {
	n, size := binary.Uvarint(d.buf)
	if size <= 0 {
		return 0, fmt.Errorf("%w: bad number", errTyped)
	}
	d.buf = d.buf[size:]
	return n, nil
}

func (d *decoder) int() (int64, error) {
	n, size := binary.Varint(d.buf)
	if size <= 0 {
		return 0, fmt.Errorf("%w: bad number", errTyped)
	}
	d.buf = d.buf[size:]
	return n, nil
}

func (d *decoder) float() (float64, error) {
	b, err := d.next(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (d *decoder) string() (string, error) {
	n, err := d.uint()
	if err != nil {
		return "", err
	}
	b, err := d.next(n)
	return string(b), err
}

func (d *decoder) bool() (bool, error) {
	b, err := d.next(1)
	if err != nil || b[0] > 1 {
		return false, fmt.Errorf("%w: bad bool", errTyped)
	}
	return b[0] == 1, nil
}

func (d *decoder) tag() (tag, error) {
	b, err := d.next(1)
	if err != nil {
		return 0, err
	}
	return tag(b[0]), nil
}

// count decodes the number of elements that follow, each of at least min bytes.
func (d *decoder) count(min int) (int, error) {
	n, err := d.uint()
	if err != nil {
		return 0, err
	}
	return d.reserve(n, min)
}

// reserve takes n elements of at least min bytes each from the budget.
func (d *decoder) reserve(n uint64, min int) (int, error) {
	if n > uint64(d.budget/min) {
		return 0, fmt.Errorf("%w: more elements than bytes", errTyped)
	}
	d.budget -= int(n) * min
	return int(n), nil
}

// value decodes a type and a value. It needs no reflection for the most common types.
func (d *decoder) value(depth int) (any, error) {
	t, err := d.tag()
	if err != nil {
		return nil, err
	}
	switch t {
	case tagNil:
		return nil, nil
	case tagString:
		return d.string()
	case tagInt:
		n, err := d.int()
		if int64(int(n)) != n { // a node with larger ints stored it
			d.skip("int", fmt.Errorf("it does not fit %d bits", intSize))
		}
		return int(n), err
	case tagBool:
		return d.bool()
	case tagInt64:
		return d.int()
	case tagFloat64:
		return d.float()
	}
	if t >= tagGob {
		return d.gob(t)
	}
	typ, err := d.typeOf(t, 0)
	if err != nil {
		return nil, err
	}
	r := reflect.New(typ).Elem()
	if err := d.content(r, depth); err != nil {
		return nil, err
	}
	return r.Interface(), nil
}

// typeOf decodes the rest of a type that began with t.
func (d *decoder) typeOf(t tag, depth int) (reflect.Type, error) {
	switch {
	case int(t) < len(basicTypes) && basicTypes[t] != nil:
		return basicTypes[t], nil
	case depth >= maxTypeDepth:
	case t == tagAny && depth > 0:
		return typeAny, nil
	case t == tagSlice:
		elem, err := d.elemType(depth)
		if err != nil || elem.Kind() == reflect.Uint8 {
			break // []byte has its own tag
		}
		return reflect.SliceOf(elem), nil
	case t == tagMap:
		k, err := d.tag()
		if err != nil || !isKeyTag(k) {
			break
		}
		elem, err := d.elemType(depth)
		if err != nil {
			break
		}
		return reflect.MapOf(basicTypes[k], elem), nil
	}
	return nil, fmt.Errorf("%w: bad type", errTyped)
}

func (d *decoder) elemType(depth int) (reflect.Type, error) {
	t, err := d.tag()
	if err != nil {
		return nil, err
	}
	return d.typeOf(t, depth+1)
}

// content decodes a value of r's type into r.
func (d *decoder) content(r reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nests deeper than %d", errTyped, maxDepth)
	}
	switch t := r.Type(); t {
	case typeTime:
		s, err := d.string()
		if err != nil {
			return err
		}
		var at time.Time
		if err := at.UnmarshalBinary([]byte(s)); err != nil {
			return fmt.Errorf("%w: %w", errTyped, err)
		}
		r.Set(reflect.ValueOf(at))
		return nil
	case typeBytes:
		n, err := d.length(1)
		if err != nil || n < 0 {
			return err
		}
		b, err := d.next(uint64(n))
		r.SetBytes(append(make([]byte, 0, len(b)), b...))
		return err
	}
	switch k := r.Kind(); {
	case k == reflect.Bool:
		b, err := d.bool()
		r.SetBool(b)
		return err
	case r.CanInt():
		n, err := d.int()
		switch {
		case err != nil:
		case k == reflect.Int && r.OverflowInt(n):
			d.skip("int", fmt.Errorf("it does not fit %d bits", intSize))
		case r.OverflowInt(n):
			err = fmt.Errorf("%w: %d does not fit %v", errTyped, n, r.Type())
		}
		r.SetInt(n)
		return err
	case r.CanUint():
		n, err := d.uint()
		switch {
		case err != nil:
		case (k == reflect.Uint || k == reflect.Uintptr) && r.OverflowUint(n):
			d.skip("uint", fmt.Errorf("it does not fit %d bits", intSize))
		case r.OverflowUint(n):
			err = fmt.Errorf("%w: %d does not fit %v", errTyped, n, r.Type())
		}
		r.SetUint(n)
		return err
	case r.CanFloat():
		f, err := d.float()
		r.SetFloat(f)
		return err
	case r.CanComplex():
		re, err := d.float()
		if err != nil {
			return err
		}
		im, err := d.float()
		r.SetComplex(complex(re, im))
		return err
	case k == reflect.String:
		s, err := d.string()
		r.SetString(s)
		return err
	case k == reflect.Interface:
		v, err := d.value(depth)
		if err == nil && v != nil {
			r.Set(reflect.ValueOf(v))
		}
		return err
	case k == reflect.Slice:
		return d.slice(r, depth)
	default:
		return d.mapping(r, depth)
	}
}

// length decodes a number of elements, which is encoded plus one. It returns -1 for 0, which
// means nil.
func (d *decoder) length(min int) (int, error) {
	n, err := d.uint()
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return -1, nil
	}
	return d.reserve(n-1, min)
}

func (d *decoder) slice(r reflect.Value, depth int) error {
	n, err := d.length(1)
	if err != nil || n < 0 {
		return err
	}
	r.Set(reflect.MakeSlice(r.Type(), n, n))
	for i := range n {
		if err := d.content(r.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) mapping(r reflect.Value, depth int) error {
	n, err := d.length(2)
	if err != nil || n < 0 {
		return err
	}
	t := r.Type()
	m := reflect.MakeMapWithSize(t, n)
	for range n {
		key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := d.content(key, depth+1); err != nil {
			return err
		}
		if m.MapIndex(key).IsValid() {
			return fmt.Errorf("%w: duplicate key in a map", errTyped)
		}
		if err := d.content(elem, depth+1); err != nil {
			return err
		}
		m.SetMapIndex(key, elem)
	}
	r.Set(m)
	return nil
}
