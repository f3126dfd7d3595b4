package codec

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// gobEntry is an entry of a gob map[string]any.
type gobEntry struct {
	key   string
	name  string // of the value's type, as registered with gob
	basic bool   // the value has only types that cannot change
	value string // a gob stream of the value alone, as an any
}

// splitGobMap splits the gob stream of a map[string]any into streams of its values. For types
// that several values have, their streams together can be larger than data, at most limit bytes.
func splitGobMap(data []byte, limit int) ([]gobEntry, error) {
	w := gobWalker{in: data, write: true}
	w.intoMap()
	type part struct {
		gobEntry
		body []byte
		used map[int64]struct{}
	}
	var parts []part
	for range w.uint() {
		p := part{}
		p.basic = true
		p.key = w.string()
		p.used = make(map[int64]struct{})
		w.used, w.out = p.used, nil
		w.named = func(name string) {
			if p.name == "" {
				p.name = name
			}
			p.basic = p.basic && isBasicName(name)
		}
		w.inInterface()
		if w.err != nil {
			break
		}
		p.body = w.out
		parts = append(parts, p)
	}
	if w.err != nil {
		return nil, w.err
	}
	entries := make([]gobEntry, 0, len(parts))
	for _, p := range parts {
		m := gobAppendInt(nil, gobInterface)
		m = append(append(m, 0), p.body...)
		value := gobAppendMessage(w.appendTypes(nil, p.used), m)
		if limit -= len(value); limit < 0 {
			return nil, fmt.Errorf("%w: its values together have too many types", ErrTooLarge)
		}
		p.value = string(value)
		entries = append(entries, p.gobEntry)
	}
	return entries, nil
}

// intoMap reads the stream of a map[string]any up to its number of entries.
func (w *gobWalker) intoMap() {
	id := w.typeID(false)
	t := w.types[id]
	if w.err == nil && (t == nil || t.kind != gobMap || t.key != gobString || t.elem != gobInterface) {
		w.fail("not a map of strings to values")
	}
	if w.uint() != 0 {
		w.fail("bad value")
	}
}

// isBasicName reports whether a type with this name, as registered with gob, is the same in
// every build.
func isBasicName(name string) bool {
	name, _ = strings.CutPrefix(name, "map[string]")
	name, _ = strings.CutPrefix(name, "[]")
	switch name {
	case "bool", "string", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64",
		"uintptr", "float32", "float64", "complex64", "complex128", "byte", "interface {}", "time.Time", "time.Duration":
		return true
	}
	return false
}

// joinGobMap returns the gob stream of a map[string]any with the values of known, and with
// values that are streams as splitGobMap returns them. Each stream numbers its types in its own
// way; the result has new numbers, so that they do not collide.
func joinGobMap(known map[string]any, kept map[string]*Stored) ([]byte, error) {
	const mapID = gobFirstID + 1
	j := gobJoiner{next: mapID + 1, done: make(map[string]map[int64]int64)}
	j.types = gobAppendType(nil, mapID, &gobType{kind: gobMap, key: gobString, elem: gobInterface}, func(id int64) int64 { return id })
	j.body = gobAppendUint(append(gobAppendInt(nil, mapID), 0), uint64(len(known)+len(kept)))
	if len(known) > 0 {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(&known); err != nil {
			return nil, err
		}
		if err := j.addMap(b.Bytes()); err != nil {
			return nil, err
		}
	}
	for key, s := range kept {
		if err := j.addValue(key, s.raw); err != nil {
			return nil, err
		}
	}
	return gobAppendMessage(j.types, j.body), nil
}

// gobJoiner collects values of several streams for one.
type gobJoiner struct {
	types []byte // the messages that define types
	body  []byte // the message of the value
	next  int64  // the next free ID
	// done has the new IDs of types whose definitions were taken over, by those definitions: the
	// values of one session mostly have the same few types.
	done map[string]map[int64]int64
}

// walker returns a walker that writes with new IDs. ids maps old IDs to new ones.
func (j *gobJoiner) walker(data []byte, ids map[int64]int64, defined func(int64, *gobType)) *gobWalker {
	return &gobWalker{in: data, write: true, defined: defined, rename: func(id int64) int64 { return j.newID(ids, id) }}
}

func (j *gobJoiner) newID(ids map[int64]int64, id int64) int64 {
	if id < gobFirstID {
		return id
	}
	if _, ok := ids[id]; !ok {
		ids[id] = j.next
		j.next++
	}
	return ids[id]
}

// addType takes over the definition of a type.
func (j *gobJoiner) addType(ids map[int64]int64, id int64, t *gobType) {
	newID := func(id int64) int64 { return j.newID(ids, id) }
	j.types = gobAppendType(j.types, newID(id), t, newID)
}

// addMap adds the entries of a map[string]any that this process encoded.
func (j *gobJoiner) addMap(data []byte) error {
	ids := make(map[int64]int64)
	w := j.walker(data, ids, func(id int64, t *gobType) { j.addType(ids, id, t) })
	w.intoMap()
	n := w.uint()
	w.out = j.body
	for range n {
		if w.err != nil {
			return w.err
		}
		w.putBytes(w.next(w.uint()))
		w.inInterface()
	}
	j.body = w.out
	return w.err
}

// addValue adds an entry whose value is a stream of splitGobMap.
func (j *gobJoiner) addValue(key, stream string) error {
	data := []byte(stream)
	types := gobTypesLen(data)
	ids, again := j.done[stream[:types]]
	if !again {
		ids = make(map[int64]int64)
		j.done[stream[:types]] = ids
	}
	w := j.walker(data, ids, func(id int64, t *gobType) {
		if !again {
			j.addType(ids, id, t)
		}
	})
	if w.typeID(false) != gobInterface || w.uint() != 0 {
		w.fail("not an interface's value")
	}
	w.out = gobAppendString(j.body, key)
	w.inInterface()
	j.body = w.out
	return w.err
}

// gobTypesLen returns the length of all messages but the last one.
func gobTypesLen(data []byte) int {
	end := 0
	for at := 0; at < len(data); {
		n, size := gobUvarint(data[at:])
		if size == 0 || n > uint64(len(data)-at-size) {
			break // the walker says so too
		}
		end = at
		at += size + int(n)
	}
	return end
}

// decodeGobEntry decodes the value of an entry.
func decodeGobEntry(e gobEntry) (v any, err error) {
	err = decodeGob([]byte(e.value), reflect.ValueOf(&v))
	return v, err
}

// sorted returns the keys in ascending order.
func sorted(keys []string) []string {
	slices.Sort(keys)
	return keys
}
