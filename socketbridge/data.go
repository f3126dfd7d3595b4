package socketbridge

import "sync"

// Data is a set of values under keys, safe for concurrent use. The zero value is
// empty and ready.
type Data struct {
	mu sync.RWMutex
	m  map[string]any
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
}

// Delete removes key.
func (d *Data) Delete(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, key)
}
