package fibersession

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// place is where a session is kept: what stands for its ID in the store.
type place struct {
	key   string      // the store's key
	owner fingerprint // the ID's
	id    string      // "" when another node chose the ID
}

// layout is a form in which a store keeps sessions.
type layout interface {
	// place returns where the session with this ID is kept.
	place(id string) place
	// seal encodes a session. Its values were checked to be encodable.
	seal(p place, m meta, values map[string]any) ([]byte, error)
	// open decodes what is stored at p. It returns a *movedError when the session
	// has another ID now.
	open(p place, data []byte) (meta, map[string]any, error)
	// forward returns what to leave at the place that a session has moved away
	// from, or nil for nothing.
	forward(from, to place, m meta) []byte
	// destination returns the place that a forward points to.
	destination(to fingerprint) place
	// lineage returns the lineage of a new session; drawn is a random one.
	lineage(p place, drawn lineage) lineage
	// slides says whether a touch rewrites the value, which carries the expiry.
	slides() bool
	// met returns the limits of a session whose value was found unchanged, if slides
	// is false.
	met(m meta, now time.Time) meta
}

// movedError says that a session has another ID now.
type movedError struct {
	lineage lineage
	to      fingerprint
}

func (*movedError) Error() string { return "fibersession: the session has another ID" }

// sealed is the layout of envelopes: the key is a hash of the ID, and the value
// knows its key.
type sealed struct {
	prefix  string
	codec   Codec
	mark    byte
	maxSize int
}

func (l *sealed) place(id string) place {
	p := l.destination(fingerprintOf(id))
	p.id = id
	return p
}

func (l *sealed) destination(to fingerprint) place {
	return place{key: l.prefix + base64.RawURLEncoding.EncodeToString(to[:]), owner: to}
}

func (l *sealed) seal(p place, m meta, values map[string]any) ([]byte, error) {
	data, err := codec.Encode(l.codec, values)
	if err != nil {
		return nil, err
	}
	if len(data) > l.maxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.maxSize)
	}
	return envelope{meta: m, kind: kindLive, codec: l.mark, owner: p.owner, payload: data}.encode(), nil
}

func (l *sealed) open(p place, data []byte) (meta, map[string]any, error) {
	e, err := decodeEnvelope(data)
	switch {
	case err != nil:
		return meta{}, nil, err
	case e.owner != p.owner:
		return meta{}, nil, fmt.Errorf("%w of this ID", errEnvelope)
	case e.kind == kindMoved:
		return meta{}, nil, &movedError{lineage: e.lineage, to: fingerprint(e.payload)}
	case e.codec != l.mark:
		return meta{}, nil, fmt.Errorf("%w of this codec", errEnvelope)
	case len(e.payload) > l.maxSize:
		return meta{}, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := codec.Decode(l.codec, e.payload)
	return e.meta, values, err
}

func (l *sealed) forward(from, to place, m meta) []byte {
	m.device = device{}
	return envelope{meta: m, kind: kindMoved, codec: l.mark, owner: from.owner, payload: to.owner[:]}.encode()
}

func (l *sealed) lineage(_ place, drawn lineage) lineage { return drawn }

func (l *sealed) slides() bool { return true }

func (l *sealed) met(m meta, _ time.Time) meta { return m }

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
