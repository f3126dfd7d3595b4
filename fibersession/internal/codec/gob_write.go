package codec

import "slices"

func gobAppendUint(b []byte, n uint64) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	size := 1
	for size < 8 && n>>(8*size) != 0 {
		size++
	}
	b = append(b, byte(-size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

func gobAppendInt(b []byte, n int64) []byte {
	if n < 0 {
		return gobAppendUint(b, uint64(^n)<<1|1)
	}
	return gobAppendUint(b, uint64(n)<<1)
}

func gobAppendString(b []byte, s string) []byte {
	return append(gobAppendUint(b, uint64(len(s))), s...)
}

func gobAppendMessage(b, message []byte) []byte {
	return append(gobAppendUint(b, uint64(len(message))), message...)
}

// gobAppendType appends the message that defines t under id. newID returns the ID to write for
// each type that t refers to.
func gobAppendType(b []byte, id int64, t *gobType, newID func(int64) int64) []byte {
	m := gobAppendInt(nil, -id)
	m = gobAppendUint(m, uint64(t.kind)) // the field of wireType: its number plus 1
	m = append(m, 1)                     // its first field, the common part
	if t.name != "" {
		m = gobAppendString(append(m, 1), t.name)
		m = append(m, 1)
	} else {
		m = append(m, 2)
	}
	m = gobAppendInt(m, id)
	m = append(m, 0)
	switch t.kind {
	case gobArray:
		m = gobAppendInt(append(m, 1), newID(t.elem))
		if t.len != 0 {
			m = gobAppendInt(append(m, 1), t.len)
		}
	case gobSlice:
		m = gobAppendInt(append(m, 1), newID(t.elem))
	case gobMap:
		m = gobAppendInt(append(m, 1), newID(t.key))
		m = gobAppendInt(append(m, 1), newID(t.elem))
	case gobStruct:
		if len(t.fields) > 0 {
			m = gobAppendUint(append(m, 1), uint64(len(t.fields)))
			for _, f := range t.fields {
				m = gobAppendString(append(m, 1), f.name)
				m = gobAppendInt(append(m, 1), newID(f.id))
				m = append(m, 0)
			}
		}
	}
	m = append(m, 0, 0)
	return gobAppendMessage(b, m)
}

// closure returns the IDs of the types in used and of all types that they refer to, in ascending
// order.
func (w *gobWalker) closure(used map[int64]struct{}) []int64 {
	var ids, todo []int64
	seen := make(map[int64]struct{})
	add := func(id int64) {
		if _, again := seen[id]; again || w.types[id] == nil {
			return
		}
		seen[id] = struct{}{}
		ids, todo = append(ids, id), append(todo, id)
	}
	for id := range used {
		add(id)
	}
	for len(todo) > 0 {
		t := w.types[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		add(t.key)
		add(t.elem)
		for _, f := range t.fields {
			add(f.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// appendTypes appends the definitions of the types in used and of those that they refer to.
func (w *gobWalker) appendTypes(b []byte, used map[int64]struct{}) []byte {
	for _, id := range w.closure(used) {
		b = gobAppendType(b, id, w.types[id], func(id int64) int64 { return id })
	}
	return b
}
