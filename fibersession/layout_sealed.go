package fibersession

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

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

// The stored form of a session: a header of fixed size, then the encoded values.
//
//	 0  magic "fbs", version 1
//	 4  kind, codec
//	 6  length of the device, two bytes
//	 8  revision  counts the writes of a lineage
//	16  epoch     counts how often the session got a new ID
//	24  created, expiry, absolute limit (0: none)   Unix nanoseconds
//	48  idle limit   nanoseconds
//	56  lineage
//	72  fingerprint of the ID: a value under another key is not this session
//	104 device: see device.encode
//	 +  live: the values; moved: the fingerprint of the new ID
const (
	envelopeMagic  = "fbs\x01"
	envelopeHeader = 104
)

type envelopeKind byte

const (
	kindLive  envelopeKind = 1
	kindMoved envelopeKind = 2 // the session has a new ID: for other nodes to follow
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
	dev := e.device.encode()
	b := make([]byte, envelopeHeader, envelopeHeader+len(dev)+len(e.payload))
	copy(b, envelopeMagic)
	b[4], b[5] = byte(e.kind), e.codec
	binary.BigEndian.PutUint16(b[6:], uint16(len(dev)))
	binary.BigEndian.PutUint64(b[8:], e.revision)
	binary.BigEndian.PutUint64(b[16:], e.epoch)
	putTime(b[24:], e.created)
	putTime(b[32:], e.expiry)
	putTime(b[40:], e.absolute)
	binary.BigEndian.PutUint64(b[48:], uint64(e.idle))
	copy(b[56:], e.lineage[:])
	copy(b[72:], e.owner[:])
	return append(append(b, dev...), e.payload...)
}

// decodeEnvelope reads what encode wrote. The payload is a part of b.
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
		return e, fmt.Errorf("%w: its device is cut off", errEnvelope)
	}
	e.kind, e.codec = envelopeKind(b[4]), b[5]
	e.revision = binary.BigEndian.Uint64(b[8:])
	e.epoch = binary.BigEndian.Uint64(b[16:])
	e.created, e.expiry, e.absolute = getTime(b[24:]), getTime(b[32:]), getTime(b[40:])
	e.idle = time.Duration(binary.BigEndian.Uint64(b[48:]))
	e.lineage = lineage(b[56:72])
	e.owner = fingerprint(b[72:104])
	dev, err := decodeDevice(b[envelopeHeader : envelopeHeader+size])
	if err != nil {
		return e, err
	}
	e.device = dev
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

// putTime writes the zero time as 0, which as an instant is 1970: no session's.
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
