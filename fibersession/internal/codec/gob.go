package codec

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
	"sync"
)

// registry holds the types that are encoded with gob. Values of other types are neither
// encoded nor, whatever the storage holds, created.
type registry struct {
	mu     sync.RWMutex
	names  map[reflect.Type]string
	byName map[string]reflect.Type
}

func (r *registry) add(t reflect.Type) {
	name := typeName(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.byName[name]; ok && old != t {
		panic(fmt.Sprintf("fibersession: two types are named %s", name))
	}
	if r.names == nil {
		r.names, r.byName = make(map[reflect.Type]string), make(map[string]reflect.Type)
	}
	r.names[t], r.byName[name] = name, t
}

// typeName returns a name that is the same on every node. It has the import path, because
// types of different packages can have the same name.
func typeName(t reflect.Type) string {
	switch {
	case t.Name() != "" && t.PkgPath() != "":
		return t.PkgPath() + "." + t.Name()
	case t.Kind() == reflect.Pointer:
		return "*" + typeName(t.Elem())
	case t.Kind() == reflect.Slice:
		return "[]" + typeName(t.Elem())
	case t.Kind() == reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	}
	return t.String()
}

func (r *registry) name(t reflect.Type) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names[t]
}

func (r *registry) typeOf(name string) reflect.Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[name]
}

// gob encodes a value of a registered type, after its length.
func (e *encoder) gob(r reflect.Value) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).EncodeValue(r); err != nil {
		return fmt.Errorf("%w %v: %w", ErrUnsupportedType, r.Type(), err)
	}
	e.string(b.String())
	return nil
}

// gob decodes a registered type's name and a value of that type.
func (d *decoder) gob() (any, error) {
	name, err := d.string()
	if err != nil {
		return nil, err
	}
	data, err := d.string()
	if err != nil {
		return nil, err
	}
	t := d.types.typeOf(name)
	if t == nil {
		return nil, fmt.Errorf("%w: type %q is not registered here", errTyped, name)
	}
	if err := checkGob([]byte(data)); err != nil {
		return nil, err
	}
	r := reflect.New(t)
	if err := gob.NewDecoder(bytes.NewReader([]byte(data))).DecodeValue(r); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", errTyped, name, err)
	}
	return r.Elem().Interface(), nil
}

// checkGob rejects messages that are longer than data, for which gob would first allocate
// memory. A gob stream is a sequence of messages, each after its length. A length is one byte
// below 128, or a negated number of bytes and then those bytes.
func checkGob(data []byte) error {
	for len(data) > 0 {
		n, size := uint64(data[0]), 1
		if n >= 128 {
			size += int(-int8(data[0]))
			if size < 2 || size > 9 || size > len(data) {
				return fmt.Errorf("%w: bad gob", errTyped)
			}
			n = 0
			for _, b := range data[1:size] {
				n = n<<8 | uint64(b)
			}
		}
		data = data[size:]
		if n > uint64(len(data)) {
			return fmt.Errorf("%w: gob is cut off", errTyped)
		}
		data = data[n:]
	}
	return nil
}

// gobCopy returns a copy of v, encoded and decoded with gob. It returns v itself if gob
// cannot encode it.
func gobCopy(v any) (c any) {
	defer func() {
		if recover() != nil { // of a method of the application's type
			c = v
		}
	}()
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && r.IsNil() {
		return v
	}
	var b bytes.Buffer
	to := reflect.New(r.Type())
	if gob.NewEncoder(&b).EncodeValue(r) != nil || gob.NewDecoder(&b).DecodeValue(to) != nil {
		return v
	}
	return to.Elem().Interface()
}
