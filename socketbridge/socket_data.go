package socketbridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Data is a set of values under keys. The zero value is empty and ready to use. It is
// safe for concurrent use.
//
// FetchSockets shows other nodes the values that are strings, numbers or bools, and
// those that were set with Share. Other values stay on this node: they may change at any
// time, and may not be encodable.
type Data struct {
	mu     sync.RWMutex
	m      map[string]any
	shared map[string]json.RawMessage // the JSON of values in m that were set with Share
}

// Get returns the value under key, or nil.
func (d *Data) Get(key string) any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m[key]
}

// Set sets the value under key.
func (d *Data) Set(key string, value any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = make(map[string]any)
	}
	d.m[key] = value
	delete(d.shared, key)
}

// Share sets the value under key and makes it visible to other nodes (FetchSockets),
// whatever its type. Other nodes see the JSON that the value has now. If it cannot be
// encoded, Share returns an error and sets nothing.
func (d *Data) Share(key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("socketbridge: data %q cannot be shared: %w", key, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = make(map[string]any)
	}
	if d.shared == nil {
		d.shared = make(map[string]json.RawMessage)
	}
	d.m[key], d.shared[key] = value, text
	return nil
}

// Delete removes key.
func (d *Data) Delete(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, key)
	delete(d.shared, key)
}

// public returns the values that other nodes may see, as a JSON object.
func (d *Data) public() []byte {
	text, _ := d.split()
	return text
}

// encode returns the values that other nodes may see as a JSON object, and those of them
// that have one of Go's basic types encoded by fibersession.Typed, which keeps the types.
// Values of more than 4 MiB are too large for Typed: typed is nil then, and they get the
// types of JSON.
func (d *Data) encode() (text, typed []byte) {
	text, basic := d.split()
	if len(basic) > 0 {
		typed, _ = new(fibersession.Typed).Encode(basic)
	}
	return text, typed
}

// split returns the values that other nodes may see as a JSON object, and those of them
// that have one of Go's basic types.
func (d *Data) split() (text []byte, basic map[string]any) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	public := make(map[string]json.RawMessage, len(d.m))
	basic = make(map[string]any)
	for key, value := range d.m {
		if text := d.shared[key]; text != nil {
			public[key] = text
		} else if text := scalarJSON(value); text != nil {
			public[key] = text
			if isBasic(value) {
				basic[key] = value
			}
		}
	}
	text, err := json.Marshal(public)
	if err != nil {
		return []byte("{}"), nil
	}
	return text, basic
}

// isBasic reports whether value has one of Go's basic types, and not a named type with
// such an underlying type.
func isBasic(value any) bool {
	switch value.(type) {
	case string, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr, float32, float64:
		return true
	}
	return false
}

// scalarJSON returns the JSON of a string, bool or number, or nil for any other value.
// It runs no code of the app.
func scalarJSON(value any) json.RawMessage {
	v := reflect.ValueOf(value)
	switch k := v.Kind(); {
	case k == reflect.String:
		value = v.String()
	case k == reflect.Bool:
		value = v.Bool()
	case v.CanInt():
		value = v.Int()
	case v.CanUint():
		value = v.Uint()
	case v.CanFloat():
		value = v.Float()
	default:
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil // NaN
	}
	return text
}

// decodeData decodes what Data.encode returned. Values that are not in typed are
// decoded from JSON, and are shared.
func decodeData(text, typed []byte) (*Data, error) {
	var public map[string]json.RawMessage
	if err := json.Unmarshal(text, &public); err != nil {
		return nil, err
	}
	var basic map[string]any
	if len(typed) > 0 {
		var err error
		if basic, err = new(fibersession.Typed).Decode(typed); err != nil {
			return nil, err
		}
	}
	d := &Data{m: make(map[string]any, len(public)), shared: make(map[string]json.RawMessage)}
	for key, text := range public {
		if v, ok := basic[key]; ok {
			d.m[key] = v
			continue
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			return nil, err
		}
		d.m[key], d.shared[key] = v, text
	}
	return d, nil
}

// clone returns a copy with the same values.
func (d *Data) clone() *Data {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return &Data{m: maps.Clone(d.m), shared: maps.Clone(d.shared)}
}

// restore replaces all values with those of other.
func (d *Data) restore(other *Data) {
	other = other.clone()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m, d.shared = other.m, other.shared
}
