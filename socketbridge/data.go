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
	d.mu.RLock()
	defer d.mu.RUnlock()
	told := make(map[string]json.RawMessage, len(d.m))
	for key, value := range d.m {
		if text := d.shared[key]; text != nil {
			told[key] = text
		} else if text := scalar(value); text != nil {
			told[key] = text
		}
	}
	text, err := json.Marshal(told)
	if err != nil {
		return []byte("{}")
	}
	return text
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

// snapshot returns a copy of what is there; the values are the same.
func (d *Data) snapshot() map[string]any {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.m)
}

// restore puts a copy of m in the place of what is there.
func (d *Data) restore(m map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m = maps.Clone(m)
}

// Delete removes key.
func (d *Data) Delete(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, key)
	delete(d.shared, key)
}
