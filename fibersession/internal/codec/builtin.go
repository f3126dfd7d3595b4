package codec

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
)

// Builtin is the codec of Fiber's middleware/session: a gob map.
type Builtin struct{}

// Encode implements Codec.
func (Builtin) Encode(values map[string]any) ([]byte, error) {
	known, kept := values, map[string]*Stored(nil)
	for key, v := range values {
		if s, ok := v.(*Stored); ok {
			if kept == nil {
				kept, known = make(map[string]*Stored), make(map[string]any)
			}
			kept[key] = s
		}
	}
	if kept != nil {
		for key, v := range values {
			if _, ok := v.(*Stored); !ok {
				known[key] = v
			}
		}
	}
	if err := checkNesting(known); err != nil {
		return nil, err
	}
	data, err := encodeGobMap(known, kept)
	if err == nil {
		return data, nil
	}
	for key, v := range known { // find the value to name in the error
		one := map[string]any{key: v}
		if err := gob.NewEncoder(new(bytes.Buffer)).Encode(&one); err != nil {
			return nil, unsupported(v, key, err)
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnsupportedType, err)
}

func encodeGobMap(known map[string]any, kept map[string]*Stored) ([]byte, error) {
	if kept != nil {
		return joinGobMap(known, kept)
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(&known)
	return b.Bytes(), err
}

// Decode implements Codec. A value of a type that is not registered with gob is an error.
func (b Builtin) Decode(data []byte) (map[string]any, error) {
	values, err := b.decode(data)
	if err != nil {
		return nil, err
	}
	for key, v := range values {
		if s := Undecodable(v); s != nil {
			return nil, fmt.Errorf("fibersession: key %q holds a %s: %w", key, s.typ, s.err)
		}
	}
	known, _ := plain(values)
	return known, nil
}

// DecodeBuiltin decodes a session that Fiber's middleware/session stored. Values that this
// build cannot decode, because their types are not registered with gob or have changed, are left
// out; skipped has their keys in ascending order. It returns an error only if data is not exactly
// such a session: also for data after it, which Decode ignores as Fiber does.
func DecodeBuiltin(data []byte) (values map[string]any, skipped []string, err error) {
	defer ContainPanic("decoded", &err)
	if err := checkGob(data); err != nil {
		return nil, nil, err
	}
	all, err := Builtin{}.decode(data)
	if err != nil {
		return nil, nil, err
	}
	values, skipped = plain(all)
	return values, sorted(skipped), nil
}

// decode decodes a session. A value whose type can differ between builds is a Stored.
func (Builtin) decode(data []byte) (map[string]any, error) {
	entries, err := splitGobMap(data, max(encodeLimit, 2*len(data)))
	if err != nil {
		return nil, err
	}
	whole, complete := decodeGobMap(data)
	values := make(map[string]any, len(entries))
	for _, e := range entries {
		v, err := whole[e.key], error(nil)
		if !complete {
			v, err = decodeGobEntry(e)
		}
		if err == nil && e.basic {
			values[e.key] = v
			continue
		}
		s := &Stored{raw: e.value, typ: e.name, err: err}
		if err == nil {
			s.value = v
		} else {
			s.basic = gobBasic([]byte(e.value))
		}
		values[e.key] = s
	}
	return values, nil
}

// decodeGobMap decodes all values at once, which is faster than one by one. complete is false if
// one of them cannot be decoded.
func decodeGobMap(data []byte) (values map[string]any, complete bool) {
	err := decodeGob(data, reflect.ValueOf(&values))
	return values, err == nil
}
