package socketbridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"sync"
)

// Data is a set of values under keys, safe for concurrent use. The zero value is
// empty and ready.
//
// FetchSockets tells other nodes of values that are texts, numbers or bools, and of
// those that were put there with Share. The others stay here: they may change at any
// time, and may be no data at all.
type Data struct {
	mu     sync.RWMutex
	m      map[string]any
	shared map[string]json.RawMessage // of m
}

// Get returns the value under key, or nil.
func (d *Data) Get(key string) any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m[key]
}

// Set puts value under key.
func (d *Data) Set(key string, value any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = make(map[string]any)
	}
	d.m[key] = value
	delete(d.shared, key)
}

// Share is Set for a value of any type that other nodes shall see (FetchSockets): as
// JSON, as it is now. An error says that it cannot be encoded; then nothing was set.
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

// told returns what other nodes may see, as a JSON object.
func (d *Data) told() []byte {
	text, _ := d.tell()
	return text
}

// tell returns what other nodes may see, and of what basic types the values are.
func (d *Data) tell() (text []byte, types map[string]string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	told := make(map[string]json.RawMessage, len(d.m))
	types = make(map[string]string)
	for key, value := range d.m {
		if text := d.shared[key]; text != nil {
			told[key] = text
		} else if text := scalar(value); text != nil {
			told[key] = text
			if t := reflect.TypeOf(value); basicTypes[t.String()] == t {
				types[key] = t.String()
			}
		}
	}
	text, err := json.Marshal(told)
	if err != nil {
		return []byte("{}"), nil
	}
	return text, types
}

// basicTypes are the types that told values get back, by their names.
var basicTypes = func() map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, v := range []any{
		"", false, 0, int8(0), int16(0), int32(0), int64(0),
		uint(0), uint8(0), uint16(0), uint32(0), uint64(0), uintptr(0), float32(0), float64(0),
	} {
		types[reflect.TypeOf(v).String()] = reflect.TypeOf(v)
	}
	return types
}()

// retold makes Data of what was told. Values of other types than basic ones are what
// JSON makes of them, and are shared.
func retold(text []byte, types map[string]string) (*Data, error) {
	var told map[string]json.RawMessage
	if err := json.Unmarshal(text, &told); err != nil {
		return nil, err
	}
	d := &Data{m: make(map[string]any, len(told)), shared: make(map[string]json.RawMessage)}
	for key, text := range told {
		if t := basicTypes[types[key]]; t != nil {
			v := reflect.New(t)
			if err := json.Unmarshal(text, v.Interface()); err != nil {
				return nil, err
			}
			d.m[key] = v.Elem().Interface()
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

// scalar returns the JSON of a value that cannot change and runs no code of the
// app's when it is encoded, or nil.
func scalar(value any) json.RawMessage {
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

// clone returns a copy of what is there; the values are the same.
func (d *Data) clone() *Data {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return &Data{m: maps.Clone(d.m), shared: maps.Clone(d.shared)}
}

// restore puts a copy of other in the place of what is there.
func (d *Data) restore(other *Data) {
	other = other.clone()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m, d.shared = other.m, other.shared
}

// Delete removes key.
func (d *Data) Delete(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, key)
	delete(d.shared, key)
}
