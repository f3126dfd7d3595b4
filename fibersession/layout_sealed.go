package fibersession

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
)

// sealedLayout is the default layout. The key is a hash of the ID. The value is an
// envelope that names its key, so a value copied to another key is rejected.
type sealedLayout struct {
	ownCookie
	prefix     string // of sessions
	userPrefix string // of the user index
	codec      Codec
	mark       byte // identifies the codec
	maxSize    int
	ttl        storage.TTLReader // nil if the storage cannot tell TTLs
}

func (s *Store) newSealedLayout() *sealedLayout {
	c := &s.Config
	ttl, _ := s.storage.(storage.TTLReader)
	return &sealedLayout{
		ttl:       ttl,
		ownCookie: newOwnCookie(c), prefix: s.prefix(), userPrefix: s.userPrefix(),
		codec: c.Codec, mark: codec.Mark(c.Codec), maxSize: c.Limits.MaxSize,
	}
}

func (l *sealedLayout) place(id string) place {
	p := l.placeByFingerprint(fingerprintOf(id))
	p.id = id
	return p
}

func (l *sealedLayout) placeByFingerprint(f fingerprint) place {
	return place{key: l.prefix + base64.RawURLEncoding.EncodeToString(f[:]), owner: f}
}

func (l *sealedLayout) hashesID() bool { return true }

func (l *sealedLayout) encode(p place, m *meta, values map[string]any) ([]byte, error) {
	data, err := codec.Encode(l.codec, values)
	if err != nil {
		return nil, err
	}
	if len(data) > l.maxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.maxSize)
	}
	return envelope{meta: *m, kind: kindLive, codec: l.mark, owner: p.owner, payload: data}.encode(), nil
}

func (l *sealedLayout) decode(p place, data []byte) (meta, map[string]any, error) {
	e, err := decodeEnvelope(data)
	switch {
	case err != nil:
		return meta{}, nil, err
	case e.owner != p.owner:
		return meta{}, nil, fmt.Errorf("%w of this ID", errEnvelope)
	case e.kind == kindMoved:
		return meta{}, nil, &movedError{lineage: e.lineage, to: fingerprint(e.payload), notes: e.notes}
	case e.codec != l.mark:
		return e.meta, nil, fmt.Errorf("%w of this codec", errEnvelope)
	case len(e.payload) > l.maxSize:
		return e.meta, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := codec.Decode(l.codec, e.payload)
	return e.meta, values, err
}

func (l *sealedLayout) encodeMoved(from, to place, m *meta) []byte {
	m.client, m.cookie, m.newerFields = clientInfo{}, 0, ""
	return envelope{meta: *m, kind: kindMoved, codec: l.mark, owner: from.owner, payload: to.owner[:]}.encode()
}

func (l *sealedLayout) lineageOf(_ place, random lineage) lineage { return random }

func (l *sealedLayout) carriesRevision() bool { return true }

func (l *sealedLayout) carriesExpiry() bool { return true }

func (l *sealedLayout) expiryWhenRead(m *meta, _ time.Time) time.Time { return m.expiry }

// timeLeft returns what is left of the session by the storage's clock. Every write sets the
// TTL from its node's own clock, so it is right even if that clock is not.
func (l *sealedLayout) timeLeft(ctx context.Context, p place) (time.Duration, bool) {
	if l.ttl == nil {
		return 0, false
	}
	ttl, err := l.ttl.TTL(ctx, p.key)
	left := ttl - ttlMargin
	return left, err == nil && left > 2*clockSkew // a storage may round a TTL up to a second
}

func (l *sealedLayout) keepsCookieFlags() bool { return true }

func (l *sealedLayout) hasUserIndex() bool { return true }

// resetPrefixes names the index last: an entry must not be removed while its session is
// still stored.
func (l *sealedLayout) resetPrefixes() []string { return []string{l.prefix, l.userPrefix} }

// The stored form of a session is a header of fixed size, optional fields, and the encoded
// values. Numbers are big-endian.
//
//	 0  magic "fbs", version 2
//	 4  kind, codec
//	 6  length of the optional fields, two bytes
//	 8  revision  number of writes in this lineage
//	16  epoch     number of times that the session got a new ID
//	24  created, expiry, absolute limit (0: none)   Unix nanoseconds
//	48  idle limit   nanoseconds
//	56  lineage
//	72  fingerprint of the ID: under another key, the value is not this session
//	104 optional fields: see fieldTag
//	 +  live: the values; moved: the fingerprint of the new ID
const (
	envelopeMagic  = "fbs\x02"
	envelopeHeader = 104
)

type envelopeKind byte

const (
	kindLive  envelopeKind = 1
	kindMoved envelopeKind = 2 // the session has a new ID, which other nodes follow
)

type envelope struct {
	meta
	kind    envelopeKind
	codec   byte
	owner   fingerprint
	payload []byte
}

var errEnvelope = errors.New("not a session envelope")

func (e envelope) encode() []byte {
	fields := e.encodeFields()
	b := make([]byte, envelopeHeader, envelopeHeader+len(fields)+len(e.payload))
	copy(b, envelopeMagic)
	b[4], b[5] = byte(e.kind), e.codec
	binary.BigEndian.PutUint16(b[6:], uint16(len(fields)))
	binary.BigEndian.PutUint64(b[8:], e.revision)
	binary.BigEndian.PutUint64(b[16:], e.epoch)
	putTime(b[24:], e.created)
	putTime(b[32:], e.expiry)
	putTime(b[40:], e.absolute)
	binary.BigEndian.PutUint64(b[48:], uint64(e.idle))
	copy(b[56:], e.lineage[:])
	copy(b[72:], e.owner[:])
	return append(append(b, fields...), e.payload...)
}

// decodeEnvelope decodes an envelope. The payload aliases b.
func decodeEnvelope(b []byte) (envelope, error) {
	var e envelope
	switch {
	case len(b) < envelopeHeader:
		return e, fmt.Errorf("%w: %d bytes", errEnvelope, len(b))
	case string(b[:4]) != envelopeMagic:
		return e, fmt.Errorf("%w: unknown magic or version", errEnvelope)
	}
	size := int(binary.BigEndian.Uint16(b[6:]))
	if size > len(b)-envelopeHeader {
		return e, fmt.Errorf("%w: its fields are cut off", errEnvelope)
	}
	e.kind, e.codec = envelopeKind(b[4]), b[5]
	e.revision = binary.BigEndian.Uint64(b[8:])
	e.epoch = binary.BigEndian.Uint64(b[16:])
	e.created, e.expiry, e.absolute = getTime(b[24:]), getTime(b[32:]), getTime(b[40:])
	e.idle = time.Duration(binary.BigEndian.Uint64(b[48:]))
	e.lineage = lineage(b[56:72])
	e.owner = fingerprint(b[72:104])
	if err := e.decodeFields(b[envelopeHeader : envelopeHeader+size]); err != nil {
		return e, err
	}
	e.payload = b[envelopeHeader+size:]
	switch {
	case e.kind != kindLive && e.kind != kindMoved:
		return e, fmt.Errorf("%w: unknown kind", errEnvelope)
	case e.kind == kindMoved && len(e.payload) != len(fingerprint{}):
		return e, fmt.Errorf("%w: bad pointer to a new ID", errEnvelope)
	case e.expiry.IsZero() || e.idle <= 0:
		return e, fmt.Errorf("%w: no expiry", errEnvelope)
	}
	return e, nil
}

// putTime writes the zero time as 0. That is the year 1970, which no session has.
func putTime(b []byte, t time.Time) {
	var n int64
	if !t.IsZero() {
		n = t.UnixNano()
	}
	binary.BigEndian.PutUint64(b, uint64(n))
}

func getTime(b []byte) time.Time {
	n := int64(binary.BigEndian.Uint64(b))
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
