package codec

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// registry holds the types that are encoded with gob under a name of ours. Their decoded form has
// exactly the type that was registered. Values of other types are encoded if gob's own registry
// has them: see encoder.gobInterface.
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
	e.gobs = true
	if err := checkGobSize(r.Interface()); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).EncodeValue(r); err != nil {
		return fmt.Errorf("%w %v: %w", ErrUnsupportedType, r.Type(), err)
	}
	e.string(b.String())
	return nil
}

// gobInterface encodes a value as an interface's, for which gob has a registry of its own. Its
// decoded form has the type that was given to gob.Register: a T for a *T, if that was T.
func (e *encoder) gobInterface(v any) error {
	e.gobs = true
	if err := checkGobSize(v); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&v); err != nil {
		return unsupported(v, "", err)
	}
	e.tag(tagGobInterface)
	e.string(typeName(reflect.TypeOf(v)))
	e.string(b.String())
	return nil
}

// gob decodes the name of a type and a value of it that gob encoded. A value that this build
// cannot decode is skipped: see decoder.skipped.
func (d *decoder) gob(t tag) (any, error) {
	name, err := d.string()
	if err != nil {
		return nil, err
	}
	n, err := d.uint()
	if err != nil {
		return nil, err
	}
	data, err := d.next(n)
	if err != nil {
		return nil, err
	}
	d.gobs = true
	if d.skipped == nil {
		d.gobName = name
	}
	v, err := d.types.decode(t, name, data)
	if err != nil {
		d.skip(name, err)
		d.basic = gobBasic(data)
		return nil, nil
	}
	return v, nil
}

func (r *registry) decode(t tag, name string, data []byte) (any, error) {
	typ := typeAny
	switch t {
	case tagGobInterface:
	case tagGob:
		if typ = r.typeOf(name); typ == nil {
			return nil, fmt.Errorf("the type %s is not registered", name)
		}
	default:
		return nil, fmt.Errorf("it has the form %d, of another version", t)
	}
	if err := checkGob(data); err != nil {
		return nil, err
	}
	to := reflect.New(typ)
	if err := decodeGob(data, to); err != nil {
		return nil, err
	}
	return to.Elem().Interface(), nil
}

// decodeGob decodes a stream that checkGob or splitGobMap accepted. Its errors are logged, so they
// have no text of the application's methods, which can contain the value.
func decodeGob(data []byte, to reflect.Value) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("a method of its type panicked")
		}
	}()
	err = gob.NewDecoder(bytes.NewReader(data)).DecodeValue(to)
	if err != nil && !strings.HasPrefix(err.Error(), "gob: ") {
		return errors.New("a method of its type failed")
	}
	return err
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
	if r.Kind() == reflect.Pointer && r.IsNil() || checkGobSize(v) != nil {
		return v
	}
	var b bytes.Buffer
	to := reflect.New(r.Type())
	if gob.NewEncoder(&b).EncodeValue(r) != nil || gob.NewDecoder(&b).DecodeValue(to) != nil {
		return v
	}
	return to.Elem().Interface()
}
