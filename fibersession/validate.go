package fibersession

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// prepare checks that changes can be stored, before they are queued together with the
// changes of other handles: a value that cannot be stored then fails only its own handle.
// If the codec may change values, prepare returns them as they will be decoded.
func (s *Store) prepare(ch changes) (changes, error) {
	var unchecked map[string]any // values that must be encoded to be checked
	for key, c := range ch {
		if s.layout.reservesKey(key) {
			return nil, fmt.Errorf("%w: key %q", ErrReservedKey, key)
		}
		if len(key) > maxKeyLength {
			return nil, fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), maxKeyLength)
		}
		if c.kind != changeSet || s.storable(c.value) {
			continue
		}
		if unchecked == nil {
			unchecked = make(map[string]any)
		}
		unchecked[key] = c.value
	}
	if unchecked == nil {
		return ch, nil
	}
	normal, size, err := codec.Normalize(s.Config.Codec, unchecked)
	if err != nil {
		return nil, err
	}
	if size > s.Config.Limits.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, s.Config.Limits.MaxSize)
	}
	if normal == nil {
		return ch, nil
	}
	ready := make(changes, len(ch))
	for key, c := range ch {
		if _, ok := unchecked[key]; ok {
			c.value = normal[key]
		}
		ready[key] = c
	}
	return ready, nil
}

// storable reports whether v is known to be storable, and to be decoded unchanged.
func (s *Store) storable(v any) bool {
	if text, ok := v.(string); ok && len(text) >= s.Config.Limits.MaxSize {
		return false
	}
	return codec.Keeps(s.Config.Codec, v)
}
