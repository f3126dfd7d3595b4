package fibersession

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// encodeForFiber encodes values as Fiber's middleware/session does: as a gob map. It leaves out
// those that gob cannot encode, and reports them.
func (s *Store) encodeForFiber(keys []string, get func(key string) any) ([]byte, error) {
	values := make(map[string]any, len(keys))
	for _, key := range keys {
		if v := get(key); v != nil { // gob has no nil
			values[key] = v
		}
	}
	encoded, err := codec.Encode(codec.Builtin{}, values)
	if err == nil {
		return encoded, nil
	}
	for key, v := range values {
		if _, err := codec.Encode(codec.Builtin{}, map[string]any{key: v}); err != nil {
			delete(values, key)
			s.notices.Report(&valueHiddenNotice, "", "key", notice.Text(key), "type", fmt.Sprintf("%T", v))
		}
	}
	return codec.Encode(codec.Builtin{}, values)
}

// decodeFromFiber decodes the values of a session of Fiber. No bytes are no values.
func decodeFromFiber(encoded []byte) (values map[string]any, err error) {
	if len(encoded) == 0 {
		return nil, nil
	}
	defer codec.ContainPanic("decoded", &err)
	return codec.Builtin{}.Decode(encoded) // codec.Decode may return values in another form
}

// fiberChanges returns what turns the values before into those after, both encoded.
func fiberChanges(before, after []byte) (changes, error) {
	old, err := decodeFromFiber(before)
	if err != nil {
		return nil, err
	}
	now, err := decodeFromFiber(after)
	if err != nil {
		return nil, err
	}
	ch := make(changes)
	for _, key := range changedKeys(old, now) {
		if v, ok := now[key]; ok {
			ch[key] = change{kind: changeSet, value: v}
		} else {
			ch[key] = change{kind: changeDelete}
		}
	}
	return ch, nil
}
