package fibersession

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/valyala/fasthttp"
)

// express is the layout of Config.Express: the ID, with a prefix, is the key, and the
// value a JSON object of the session's values, beside them what express-session knows
// of its cookie. Only the store's own expiry tells until when it lives: express-session
// moves that without a change of the value.
type express struct {
	cfg     *Express
	idle    time.Duration  // of a session whose cookie has no maxAge
	begin   [2]expressWire // of sessions that begin here: on plain http, and on https
	maxSize int
}

// expressWire is a session as it was last met in the store: what seal needs to write
// all that did not change as it was. It never changes itself.
type expressWire struct {
	cookie map[string]json.RawMessage
	raw    map[string]json.RawMessage
	values map[string]any // raw, decoded
}

// lineageKey holds the lineage of a session that got a new ID here, for other nodes:
// base64 of the lineage and of half the ID's hash, without which it counts for nothing.
// A program that copies a session's values into another session makes no twin of it.
const lineageKey = "fiberbridge"

// expressReserved are the keys that express-session keeps for itself, or drops when
// it reads a session: what its objects have of their own.
var expressReserved = map[string]bool{
	"cookie": true, "req": true, "id": true, lineageKey: true,
	"touch": true, "resetMaxAge": true, "save": true, "reload": true, "destroy": true, "regenerate": true,
	"constructor": true, "hasOwnProperty": true, "isPrototypeOf": true, "propertyIsEnumerable": true,
	"toLocaleString": true, "toString": true, "valueOf": true, "__proto__": true,
	"__defineGetter__": true, "__defineSetter__": true, "__lookupGetter__": true, "__lookupSetter__": true,
}

// newExpress returns the layout, with what cookies of sessions that begin here look like.
func (s *Store) newExpress() *express {
	c := &s.cfg
	l := &express{cfg: c.Express, idle: c.Expiration, maxSize: c.Limits.MaxSize}
	for i := range l.begin {
		l.begin[i].cookie = s.beginCookie(i == 1)
	}
	return l
}

// wireOf is the wire of a session that begins.
func (l *express) wireOf(secure bool) *expressWire {
	if secure {
		return &l.begin[1]
	}
	return &l.begin[0]
}

func (s *Store) beginCookie(secure bool) map[string]json.RawMessage {
	c := &s.cfg
	cookie := map[string]any{
		"originalMaxAge": c.Expiration.Milliseconds(),
		"httpOnly":       true,
		"path":           c.CookiePath,
		"secure":         secure,
		"sameSite":       sameSiteName(fasthttp.CookieSameSite(s.sameSite)),
	}
	if c.CookieSessionOnly {
		cookie["originalMaxAge"] = nil
	}
	if c.CookieDomain != "" {
		cookie["domain"] = c.CookieDomain
	}
	raw := make(map[string]json.RawMessage, len(cookie))
	for name, v := range cookie {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err) // never: nothing but strings, numbers and booleans
		}
		raw[name] = data
	}
	return raw
}

func (l *express) place(id string) place {
	return place{key: l.cfg.Prefix + id, owner: fingerprintOf(id), id: id}
}

func (l *express) destination(to fingerprint) place { return place{owner: to} }

func (l *express) forward(place, place, meta) []byte { return nil }

func (l *express) lineage(p place, _ lineage) lineage { return lineage(p.owner[:]) }

func (l *express) slides() bool { return false }

func (l *express) met(m meta, _ time.Time) meta { return m } // to be met again is no use

func (l *express) seal(p place, m meta, values map[string]any) ([]byte, error) {
	wire := m.wire
	out := make(map[string]json.RawMessage, len(values)+2)
	for key, v := range values {
		if raw, ok := wire.raw[key]; ok && reflect.DeepEqual(v, wire.values[key]) {
			out[key] = raw
			continue
		}
		raw, err := encodeValue(v)
		if err != nil {
			return nil, fmt.Errorf("%w: key %q holds a %T: %w", ErrUnsupportedType, key, v, err)
		}
		out[key] = raw
	}
	if m.lineage != l.lineage(p, lineage{}) {
		out[lineageKey] = sealLineage(p, m.lineage)
	}
	out["cookie"] = l.sealCookie(wire, m)
	data, err := encodeJSON(out)
	if err == nil && len(data) > l.maxSize {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), l.maxSize)
	}
	return data, err
}

func encodeValue(v any) (data []byte, err error) {
	defer codec.ContainPanic("encoded", &err)
	return encodeJSON(v)
}

// encodeJSON is json.Marshal that leaves text as it is: what is shown in a page is to be
// escaped there.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// sealCookie renews what the cookie says of its end, as a save of express-session
// does, and leaves all else.
func (l *express) sealCookie(wire *expressWire, m meta) json.RawMessage {
	cookie := maps.Clone(wire.cookie)
	if m.idle != l.idleOf(wire) { // SetExpiry
		cookie["originalMaxAge"] = fmt.Appendf(nil, "%d", max(m.idle.Milliseconds(), 1))
	}
	cookie["expires"] = json.RawMessage("null")
	if _, ok := maxAge(cookie); ok {
		cookie["expires"] = m.expiry.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`)
	}
	data, err := json.Marshal(cookie)
	if err != nil {
		panic(err) // never: all of it was read from JSON, or is above
	}
	return data
}

// open makes up what the form lacks. A value without a cookie is no session: not even
// express-session would have it.
func (l *express) open(p place, data []byte) (meta, map[string]any, error) {
	if len(data) > l.maxSize {
		return meta{}, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := JSON{}.Decode(data)
	if err != nil {
		return meta{}, nil, err
	}
	wire := &expressWire{}
	if err := json.Unmarshal(data, &wire.raw); err != nil {
		return meta{}, nil, err
	}
	if err := json.Unmarshal(wire.raw["cookie"], &wire.cookie); err != nil || wire.cookie == nil {
		return meta{}, nil, fmt.Errorf("%w of express-session: it has no cookie", errEnvelope)
	}
	m := meta{revision: 1, created: time.Now(), wire: wire, lineage: openLineage(p, wire.raw[lineageKey])}
	if m.lineage == (lineage{}) {
		m.lineage = l.lineage(p, lineage{})
	}
	for _, key := range []string{"cookie", lineageKey} {
		delete(values, key)
		delete(wire.raw, key)
	}
	wire.values = maps.Clone(values) // they never change, whoever has them
	m.idle = l.idleOf(wire)
	m.expiry = m.created // when it is known to be there: see round.lifetime
	var expires string
	if json.Unmarshal(wire.cookie["expires"], &expires) == nil {
		if t, err := time.Parse(time.RFC3339, expires); err == nil && t.After(m.expiry) {
			m.expiry = t
		}
	}
	return m, values, nil
}

// idleOf returns how long a session lives without use.
func (l *express) idleOf(wire *expressWire) time.Duration {
	if age, ok := maxAge(wire.cookie); ok {
		return age
	}
	return l.idle
}

// maxAge returns the maxAge that a cookie was given, if it was given one: as long as
// browsers heed it.
func maxAge(cookie map[string]json.RawMessage) (time.Duration, bool) {
	var ms *float64
	if json.Unmarshal(cookie["originalMaxAge"], &ms) != nil || ms == nil || !(*ms >= 1) {
		return 0, false
	}
	return time.Duration(math.Min(*ms, float64(maxCookieAge/time.Millisecond))) * time.Millisecond, true
}

func sealLineage(p place, l lineage) json.RawMessage {
	b := append(l[:], p.owner[len(l):]...)
	return json.RawMessage(`"` + base64.RawURLEncoding.EncodeToString(b) + `"`)
}

// openLineage returns the zero lineage for what sealLineage did not write for this ID.
func openLineage(p place, raw json.RawMessage) (l lineage) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return lineage{}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(p.owner) || !bytes.Equal(b[len(l):], p.owner[len(l):]) {
		return lineage{}
	}
	return lineage(b[:len(l)])
}

// lifetime asks the store how long a session has left that was read past the limit
// that its value tells, as Express moves that without writing it down. Of a store that
// cannot tell, no more is known than that it was there; the next use moves the limit.
func (c *commit) lifetime(at place) {
	s := c.s
	if _, ok := s.store.layout.(*express); !ok {
		return
	}
	now := time.Now()
	cur, ended := s.current()
	if ended != nil || cur.fresh() || !cur.expired(now) {
		return
	}
	l, ok := s.store.base.(storage.TTLReader)
	if !ok {
		return
	}
	left, err := l.TTL(c.ctx, at.key)
	if err != nil || left == 0 {
		return
	}
	next := *cur
	next.expiry = now.Add(left)
	s.publish(&next, nil)
}
