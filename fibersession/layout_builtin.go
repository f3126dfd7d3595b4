package fibersession

import (
	"context"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// builtinLayout is the layout of Fiber's middleware/session (Config.Builtin): the ID is
// the key and the value is a gob map. The value has no limits: a session lives as long as
// its key.
type builtinLayout struct {
	ownCookie
	codec   Codec
	idle    time.Duration
	maxSize int
}

func newBuiltinLayout(c *Config) *builtinLayout {
	return &builtinLayout{ownCookie: newOwnCookie(c), codec: c.Codec, idle: c.Expiration, maxSize: c.Limits.MaxSize}
}

func (l *builtinLayout) place(id string) place {
	return place{key: id, owner: fingerprintOf(id), id: id}
}

func (l *builtinLayout) placeByFingerprint(f fingerprint) place { return place{owner: f} }

func (l *builtinLayout) hashesID() bool { return false }

func (l *builtinLayout) encode(_ place, _ *meta, values map[string]any) ([]byte, error) {
	data, err := codec.Encode(l.codec, values)
	if err == nil && len(data) > l.maxSize {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.maxSize)
	}
	return data, err
}

// decode fills in the metadata that the value does not have.
func (l *builtinLayout) decode(p place, data []byte) (meta, map[string]any, error) {
	if len(data) > l.maxSize {
		return meta{}, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := codec.Decode(l.codec, data)
	now := time.Now()
	m := meta{revision: 1, created: now, expiry: now.Add(l.idle), idle: l.idle}
	m.lineage = l.lineageOf(p, lineage{})
	return m, values, err
}

func (l *builtinLayout) encodeMoved(place, place, *meta) []byte { return nil }

// lineageOf derives the lineage from the ID, so that all nodes agree on it until the ID
// changes.
func (l *builtinLayout) lineageOf(p place, _ lineage) lineage { return lineage(p.owner[:]) }

func (l *builtinLayout) carriesRevision() bool { return false }

func (l *builtinLayout) carriesExpiry() bool { return false }

// expiryWhenRead returns the latest possible expiry: that the key exists is all there is
// to know.
func (l *builtinLayout) expiryWhenRead(m *meta, now time.Time) time.Time { return now.Add(m.idle) }

func (l *builtinLayout) timeLeft(context.Context, place) (time.Duration, bool) { return 0, false }

func (l *builtinLayout) keepsCookieFlags() bool { return false }

func (l *builtinLayout) hasUserIndex() bool { return false }

func (l *builtinLayout) resetPrefixes() []string { return []string{""} }
