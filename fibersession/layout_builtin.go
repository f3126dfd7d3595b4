package fibersession

import (
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// builtin is the layout of Fiber's middleware/session: the ID is the key, and the
// value is a gob map that knows nothing of limits.
type builtin struct {
	codec   codec.Builtin
	idle    time.Duration
	maxSize int
}

func (l *builtin) place(id string) place {
	return place{key: id, owner: fingerprintOf(id), id: id}
}

func (l *builtin) destination(to fingerprint) place { return place{owner: to} }

func (l *builtin) seal(_ place, _ meta, values map[string]any) ([]byte, error) {
	data, err := codec.Encode(l.codec, values)
	if err == nil && len(data) > l.maxSize {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.maxSize)
	}
	return data, err
}

// open makes up what the form lacks. The lineage comes from the ID, so that all
// nodes agree on it until the ID changes.
func (l *builtin) open(p place, data []byte) (meta, map[string]any, error) {
	if len(data) > l.maxSize {
		return meta{}, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := codec.Decode(l.codec, data)
	now := time.Now()
	m := meta{revision: 1, created: now, expiry: now.Add(l.idle), idle: l.idle}
	m.lineage = l.lineage(p, lineage{})
	return m, values, err
}

func (l *builtin) lineage(p place, _ lineage) lineage { return lineage(p.owner[:]) }

func (l *builtin) forward(place, place, meta) []byte { return nil }

func (l *builtin) slides() bool { return false }

// met: being there is all that tells its expiry.
func (l *builtin) met(m meta, now time.Time) meta {
	m.expiry = now.Add(m.idle)
	return m
}
