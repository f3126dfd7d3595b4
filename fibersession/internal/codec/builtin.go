package codec

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// Builtin is the codec of Fiber's middleware/session: a gob map.
type Builtin struct{}

// Encode implements Codec.
func (Builtin) Encode(values map[string]any) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&values); err == nil {
		return b.Bytes(), nil
	}
	for key, v := range values { // find the value to name in the error
		one := map[string]any{key: v}
		if err := gob.NewEncoder(new(bytes.Buffer)).Encode(&one); err != nil {
			return nil, fmt.Errorf("%w: key %q holds a %T: %w", ErrUnsupportedType, key, v, err)
		}
	}
	return nil, ErrUnsupportedType
}

// Decode implements Codec.
func (Builtin) Decode(data []byte) (map[string]any, error) {
	if err := checkGob(data); err != nil {
		return nil, err
	}
	var values map[string]any
	err := gob.NewDecoder(bytes.NewReader(data)).Decode(&values)
	return values, err
}
