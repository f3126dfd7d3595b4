package codec

import (
	"errors"
	"fmt"
)

// gobWalker reads a gob stream without the Go types of its values, and writes it again in a
// simpler form: all type definitions first, each in a message of its own, and then the value in
// one message. encoding/gob writes definitions in the middle of a value, between an interface's
// name and its content, and cuts the value there.
//
// The format is in the documentation of encoding/gob. A stream is a sequence of messages, each
// after its length. A message begins with a type's ID. A negative ID defines a type; otherwise
// the value follows.
//
// The walker needs no memory for lengths that the data does not have. After an error it reads
// nothing more: err is the first one, and all results are zero.
type gobWalker struct {
	in  []byte // the messages that were not begun yet
	msg []byte // the rest of the current message
	err error

	types   map[int64]*gobType
	rename  func(id int64) int64 // the ID to write for one that was read; nil: the same
	defined func(id int64, t *gobType)
	named   func(name string) // called with the name of each type in an interface

	used  map[int64]struct{} // the types of the values read; nil: not recorded
	write bool               // write to out
	out   []byte             // the values read
	depth int
}

// gobType is a type that a stream defines.
type gobType struct {
	kind      gobKind
	name      string
	key, elem int64
	len       int64
	fields    []gobField
}

type gobField struct {
	name string
	id   int64
}

// gobKind is 1 plus the number of the field in gob's wireType.
type gobKind uint8

const (
	gobArray gobKind = iota + 1
	gobSlice
	gobStruct
	gobMap
	gobEncoder
	gobBinaryMarshaler
	gobTextMarshaler
)

// The IDs of the types that every stream has.
const (
	gobBool int64 = iota + 1
	gobInt
	gobUint
	gobFloat
	gobBytes
	gobString
	gobComplex
	gobInterface
)

// gobFirstID is the lowest ID that a stream may define.
const gobFirstID = 64

// maxGobDepth bounds how deep values in a gob stream nest. encoding/gob has no such bound, and
// a stack that is too large ends the process.
const maxGobDepth = 1000

var errGob = errors.New("fibersession: malformed gob")

func (w *gobWalker) fail(why string) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", errGob, why)
		w.in, w.msg = nil, nil
	}
}

// next returns the next n bytes of the current message.
func (w *gobWalker) next(n uint64) []byte {
	if n > uint64(len(w.msg)) {
		w.fail("cut off")
		return nil
	}
	b := w.msg[:n]
	w.msg = w.msg[n:]
	return b
}

func (w *gobWalker) uint() uint64 {
	n, size := gobUvarint(w.msg)
	if size == 0 {
		w.fail("bad number")
		return 0
	}
	w.msg = w.msg[size:]
	return n
}

// gobUvarint decodes a number: one byte below 128, or a negated number of bytes and then those
// bytes. size is 0 if b does not begin with a number.
func gobUvarint(b []byte) (n uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] < 128 {
		return uint64(b[0]), 1
	}
	size = 1 - int(int8(b[0]))
	if size > 9 || size > len(b) {
		return 0, 0
	}
	for _, c := range b[1:size] {
		n = n<<8 | uint64(c)
	}
	return n, size
}

func (w *gobWalker) int() int64 { return gobSigned(w.uint()) }

func gobSigned(n uint64) int64 {
	if n&1 != 0 {
		return ^int64(n >> 1)
	}
	return int64(n >> 1)
}

func (w *gobWalker) string() string { return string(w.next(w.uint())) }

// nextMessage begins the next message.
func (w *gobWalker) nextMessage() {
	n, size := gobUvarint(w.in)
	switch {
	case size == 0 || n > uint64(len(w.in)-size):
		w.fail("cut off")
	case n == 0:
		w.fail("empty message")
	default:
		w.msg, w.in = w.in[size:size+int(n)], w.in[size+int(n):]
	}
}

// typeID reads type definitions and then the ID of the value that follows.
func (w *gobWalker) typeID(inInterface bool) int64 {
	for w.err == nil {
		if len(w.msg) == 0 {
			w.nextMessage()
		}
		id := w.int()
		if id >= 0 {
			return id
		}
		w.define(-id)
		if len(w.msg) == 0 {
			continue
		}
		if !inInterface {
			w.fail("data after a type")
		}
		w.uint() // the length of the rest of the value that the definition cut
	}
	return 0
}

// define reads a type, which is a value of gob's wireType.
func (w *gobWalker) define(id int64) {
	if id < gobFirstID || w.types[id] != nil {
		w.fail("a type is defined twice")
		return
	}
	t := &gobType{}
	w.fields(func(kind int) {
		if t.kind != 0 {
			w.fail("bad type")
			return
		}
		t.kind = gobKind(kind + 1)
		w.fields(func(field int) { w.typeField(t, field) })
	})
	if t.kind == 0 || t.kind > gobTextMarshaler {
		w.fail("bad type")
	}
	if w.err != nil {
		return
	}
	if w.types == nil {
		w.types = make(map[int64]*gobType)
	}
	w.types[id] = t
	if w.defined != nil {
		w.defined(id, t)
	}
}

// typeField reads a field of gob's arrayType, sliceType, structType or mapType.
func (w *gobWalker) typeField(t *gobType, field int) {
	switch k := t.kind; {
	case field == 0:
		w.fields(func(field int) {
			switch field {
			case 0:
				t.name = w.string()
			case 1:
				w.int() // the type's ID again
			default:
				w.fail("bad type")
			}
		})
	case field == 1 && k == gobStruct:
		for range w.uint() {
			if w.err != nil {
				return
			}
			t.fields = append(t.fields, w.structField())
		}
	case field == 1 && k == gobMap:
		t.key = w.int()
	case field == 2 && k == gobMap, field == 1 && (k == gobSlice || k == gobArray):
		t.elem = w.int()
	case field == 2 && k == gobArray:
		t.len = w.int()
	default:
		w.fail("bad type")
	}
}

func (w *gobWalker) structField() (f gobField) {
	w.fields(func(field int) {
		switch field {
		case 0:
			f.name = w.string()
		case 1:
			f.id = w.int()
		default:
			w.fail("bad type")
		}
	})
	return f
}

// fields calls read for each field of a struct. A field that has its zero value is left out.
func (w *gobWalker) fields(read func(field int)) {
	for field := -1; w.err == nil; {
		delta := w.uint()
		if delta == 0 {
			return
		}
		if delta > 1<<16 {
			w.fail("bad field")
			return
		}
		field += int(delta)
		read(field)
	}
}

// content reads a value that stands for itself: at the top level, or in an interface. A value
// that is no struct has a zero before it.
func (w *gobWalker) content(id int64) {
	if t := w.types[id]; t == nil || t.kind != gobStruct {
		if w.uint() != 0 {
			w.fail("bad value")
		}
		w.putUint(0)
	}
	w.value(id)
}

func (w *gobWalker) value(id int64) {
	if w.depth++; w.depth > maxGobDepth {
		w.fail(fmt.Sprintf("values nest deeper than %d", maxGobDepth))
	}
	if w.err == nil {
		w.valueOf(id)
	}
	w.depth--
}

func (w *gobWalker) valueOf(id int64) {
	switch id {
	case gobBool, gobInt, gobUint, gobFloat:
		w.putUint(w.uint())
		return
	case gobComplex:
		w.putUint(w.uint())
		w.putUint(w.uint())
		return
	case gobBytes, gobString:
		w.putBytes(w.next(w.uint()))
		return
	case gobInterface:
		w.inInterface()
		return
	}
	t := w.types[id]
	if t == nil {
		w.fail("undefined type")
		return
	}
	if w.used != nil {
		w.used[id] = struct{}{}
	}
	switch t.kind {
	case gobStruct:
		last := -1
		w.fields(func(field int) {
			if field >= len(t.fields) {
				w.fail("bad field")
				return
			}
			w.putUint(uint64(field - last))
			last = field
			w.value(t.fields[field].id)
		})
		w.putUint(0)
	case gobArray, gobSlice, gobMap:
		n := w.uint()
		if t.kind == gobArray && n != uint64(t.len) {
			w.fail("bad array")
		}
		w.putUint(n)
		for range n {
			if w.err != nil {
				return
			}
			if t.kind == gobMap {
				w.value(t.key)
			}
			w.value(t.elem)
		}
	default: // bytes of the type's own
		w.putBytes(w.next(w.uint()))
	}
}

// inInterface reads the value of an interface: the name of its type, the type's ID, a length,
// and the value. The length counts only up to the first type definition in the value.
func (w *gobWalker) inInterface() {
	name := w.string()
	w.putBytes([]byte(name))
	if name == "" {
		return // nil
	}
	if w.named != nil {
		w.named(name)
	}
	id := w.typeID(true)
	w.uint()
	if w.used != nil && id >= gobFirstID {
		w.used[id] = struct{}{}
	}
	if !w.write {
		w.content(id)
		return
	}
	w.out = gobAppendInt(w.out, w.newID(id))
	outer := w.out
	w.out = nil
	w.content(id)
	w.out = append(gobAppendUint(outer, uint64(len(w.out))), w.out...)
}

func (w *gobWalker) newID(id int64) int64 {
	if w.rename == nil || id < gobFirstID {
		return id
	}
	return w.rename(id)
}

func (w *gobWalker) putUint(n uint64) {
	if w.write {
		w.out = gobAppendUint(w.out, n)
	}
}

func (w *gobWalker) putBytes(b []byte) {
	if w.write {
		w.out = append(gobAppendUint(w.out, uint64(len(b))), b...)
	}
}

// checkGob rejects a stream that is malformed, nests too deep, or has lengths that are larger
// than the data, for which gob would first allocate memory.
func checkGob(data []byte) error {
	w := gobWalker{in: data}
	w.content(w.typeID(false))
	if w.err == nil && len(w.msg)+len(w.in) > 0 {
		w.fail("data after the value")
	}
	return w.err
}

// gobBasic returns the value of a stream whose value is a bool, a number or a string, also of a
// named type and also in an interface. It returns nil for every other one.
func gobBasic(data []byte) any {
	w := gobWalker{in: data}
	id := w.typeID(false)
	if w.uint() != 0 {
		return nil
	}
	if id == gobInterface {
		if w.string() == "" {
			return nil
		}
		if id = w.typeID(true); w.types[id] != nil {
			return nil
		}
		w.uint()
		if w.uint() != 0 {
			return nil
		}
	}
	var v any
	switch id {
	case gobBool:
		v = w.uint() != 0
	case gobInt:
		v = w.int()
	case gobUint:
		v = w.uint()
	case gobString:
		v = w.string()
	}
	if w.err != nil {
		return nil
	}
	return v
}
