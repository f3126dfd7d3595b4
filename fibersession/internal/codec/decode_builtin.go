package codec

import (
	"bytes"
	"encoding/gob"
)

// DecodeBuiltin decodes a session that Fiber's middleware/session stored. It returns an error
// if data is not such a session.
func DecodeBuiltin(data []byte) (values map[string]any, skipped []string, err error) {
	defer ContainPanic("decoded", &err)
	if err := checkGob(data); err != nil {
		return nil, nil, err
	}
	r := bytes.NewReader(data)
	if err := gob.NewDecoder(r).Decode(&values); err != nil {
		return nil, nil, err
	}
	if r.Len() > 0 {
		return nil, nil, errTyped
	}
	return values, nil, nil
}
