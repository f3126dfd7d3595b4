package fibersession

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// prepare checks that changes can be stored, before they meet anybody else's: what
// one handle does wrong fails that handle alone. It returns them with the values as
// they will come back from the store, if the codec does not keep them as they are.
func (s *Store) prepare(ch changes) (changes, error) {
	var coded map[string]any // the values that only the codec can judge
	for key, c := range ch {
		if s.cfg.Express != nil && expressReserved[key] {
			return nil, fmt.Errorf("%w: key %q", ErrReservedKey, key)
		}
		if len(key) > maxKeyLength {
			return nil, fmt.Errorf("%w: a key of %d bytes, at most %d", ErrTooLarge, len(key), maxKeyLength)
		}
		if c.kind != changeSet || s.keeps(c.value) {
			continue
		}
		if coded == nil {
			coded = make(map[string]any)
		}
		coded[key] = c.value
	}
	if coded == nil {
		return ch, nil
	}
	c := s.codec()
	data, err := codec.Encode(c, coded)
	if err != nil {
		return nil, err
	}
	if len(data) > s.cfg.Limits.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), s.cfg.Limits.MaxSize)
	}
	if s.typed != nil {
		return ch, nil // what it takes, it gives back the same
	}
	back, err := codec.Decode(c, data)
	if err != nil {
		return nil, err
	}
	ready := make(changes, len(ch))
	for key, c := range ch {
		if _, ok := coded[key]; ok {
			c.value = back[key]
		}
		ready[key] = c
	}
	return ready, nil
}

// keeps says whether the codec is known to take v and to give it back as it is.
func (s *Store) keeps(v any) bool {
	switch v := v.(type) {
	case string:
		return (s.typed != nil || s.cfg.Builtin) && len(v) < s.cfg.Limits.MaxSize
	case int, bool:
		return s.typed != nil || s.cfg.Builtin
	case nil:
		return s.typed != nil
	}
	return false
}

func (s *Store) codec() Codec {
	if s.cfg.Builtin {
		return codec.Builtin{}
	}
	if s.cfg.Express != nil {
		return JSON{}
	}
	return s.cfg.Codec
}
