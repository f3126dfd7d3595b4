package fibersession

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
)

// expressLayout is the layout of Config.Express. The key is a prefix and the ID. The value
// is a JSON object of the session's values and of express-session's "cookie". Only the
// storage's TTL says how long a session lives, because express-session extends the TTL
// without rewriting the value.
type expressLayout struct {
	prefix  string
	idle    time.Duration     // for sessions whose cookie has no maxAge
	begin   [2]originalValue  // of sessions that begin here on http, and on https
	ttl     storage.TTLReader // nil if the storage cannot tell TTLs
	maxSize int
}

// lineageKey holds the lineage of a session that got a new ID here, for other nodes. Its
// value is base64 of the lineage and of half the ID's hash. The lineage counts only if the
// hash matches, so copying a session's values into another session does not copy its
// lineage.
const lineageKey = "fiberbridge"

// expressReserved holds the keys that express-session uses itself or drops when it reads
// a session: the properties of its Session objects.
var expressReserved = map[string]bool{
	"cookie": true, "req": true, "id": true, lineageKey: true,
	"touch": true, "resetMaxAge": true, "save": true, "reload": true, "destroy": true, "regenerate": true,
	"constructor": true, "hasOwnProperty": true, "isPrototypeOf": true, "propertyIsEnumerable": true,
	"toLocaleString": true, "toString": true, "valueOf": true, "__proto__": true,
	"__defineGetter__": true, "__defineSetter__": true, "__lookupGetter__": true, "__lookupSetter__": true,
}

func (s *Store) newExpressLayout() *expressLayout {
	c := &s.Config
	l := &expressLayout{prefix: c.Express.Prefix, idle: c.Expiration, maxSize: c.Limits.MaxSize}
	l.ttl, _ = s.base.(storage.TTLReader)
	for i := range l.begin {
		l.begin[i].cookie = s.newExpressCookie(i == 1)
	}
	return l
}

func (l *expressLayout) newOriginal(secure bool) *originalValue {
	if secure {
		return &l.begin[1]
	}
	return &l.begin[0]
}

// newExpressCookie returns the "cookie" of a session that begins here.
func (s *Store) newExpressCookie(secure bool) map[string]json.RawMessage {
	c := &s.Config
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
	if c.CookiePartitioned {
		cookie["partitioned"] = true
	}
	if c.CookieDomain != "" {
		cookie["domain"] = c.CookieDomain
	}
	raw := make(map[string]json.RawMessage, len(cookie))
	for name, v := range cookie {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err) // unreachable: all values are strings, numbers and booleans
		}
		raw[name] = data
	}
	return raw
}

func (l *expressLayout) keepsCookieFlags() bool { return false }

func (l *expressLayout) place(id string) place {
	return place{key: l.prefix + id, owner: fingerprintOf(id), id: id}
}

func (l *expressLayout) placeByFingerprint(f fingerprint) place { return place{owner: f} }

func (l *expressLayout) encodeMoved(place, place, *meta) []byte { return nil }

func (l *expressLayout) lineageOf(p place, _ lineage) lineage { return lineage(p.owner[:]) }

func (l *expressLayout) reservesKey(key string) bool { return expressReserved[key] }

func (l *expressLayout) carriesRevision() bool { return false }

func (l *expressLayout) carriesExpiry() bool { return false }

// expiryWhenRead leaves the expiry alone, because reading a session does not extend it.
func (l *expressLayout) expiryWhenRead(m *meta, _ time.Time) time.Time { return m.expiry }

func (l *expressLayout) hasUserIndex() bool { return false }

func (l *expressLayout) resetPrefixes() []string { return []string{l.prefix} }

// timeLeft returns the TTL of a session whose value says that it has expired: Express
// extends a session without rewriting the value. If the storage cannot tell TTLs, the
// session is known only to exist, and the next use extends it.
func (l *expressLayout) timeLeft(ctx context.Context, p place) (time.Duration, bool) {
	if l.ttl == nil {
		return 0, false
	}
	left, err := l.ttl.TTL(ctx, p.key)
	return left, err == nil && left != 0
}

func (l *expressLayout) hashesID() bool { return false }

func (l *expressLayout) encode(p place, m *meta, values map[string]any) ([]byte, error) {
	original := m.original
	out := make(map[string]json.RawMessage, len(values)+2)
	for key, v := range values {
		if raw, ok := original.raw[key]; ok && reflect.DeepEqual(v, original.values[key]) {
			out[key] = raw
			continue
		}
		raw, err := encodeValue(v)
		if err != nil {
			return nil, fmt.Errorf("%w: key %q holds a %T: %w", ErrUnsupportedType, key, v, err)
		}
		out[key] = raw
	}
	if m.lineage != l.lineageOf(p, lineage{}) {
		out[lineageKey] = encodeLineage(p, m.lineage)
	}
	out["cookie"] = l.encodeCookie(original, m)
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

// encodeJSON is json.Marshal without HTML escaping, which JSON.stringify does not do
// either.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// encodeCookie updates the expiry in the session's "cookie", as a save of express-session
// does, and leaves the other attributes unchanged.
func (l *expressLayout) encodeCookie(original *originalValue, m *meta) json.RawMessage {
	cookie := maps.Clone(original.cookie)
	switch {
	case m.cookie.has(cookieDropped):
		cookie["originalMaxAge"] = json.RawMessage("null")
	case m.cookie.has(cookieKept), m.idle != l.idleOf(original): // SetExpiry
		cookie["originalMaxAge"] = fmt.Appendf(nil, "%d", max(m.idle.Milliseconds(), 1))
	}
	cookie["expires"] = json.RawMessage("null")
	if _, ok := maxAge(cookie); ok {
		cookie["expires"] = m.expiry.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000Z"`)
	}
	data, err := json.Marshal(cookie)
	if err != nil {
		panic(err) // unreachable: every part was decoded from JSON or is set above
	}
	return data
}

// decode fills in the metadata that the value does not have. It rejects a value without a
// cookie, as express-session does.
func (l *expressLayout) decode(p place, data []byte) (meta, map[string]any, error) {
	if len(data) > l.maxSize {
		return meta{}, nil, fmt.Errorf("%w of a size within the limit", errEnvelope)
	}
	values, err := JSON{}.Decode(data)
	if err != nil {
		return meta{}, nil, err
	}
	original := &originalValue{}
	if err := json.Unmarshal(data, &original.raw); err != nil {
		return meta{}, nil, err
	}
	if err := json.Unmarshal(original.raw["cookie"], &original.cookie); err != nil || original.cookie == nil {
		return meta{}, nil, fmt.Errorf("%w of express-session: it has no cookie", errEnvelope)
	}
	m := meta{revision: 1, created: time.Now(), original: original, lineage: decodeLineage(p, original.raw[lineageKey])}
	if m.lineage == (lineage{}) {
		m.lineage = l.lineageOf(p, lineage{})
	}
	for _, key := range []string{"cookie", lineageKey} {
		delete(values, key)
		delete(original.raw, key)
	}
	original.values = maps.Clone(values) // shallow: values in a session never change
	m.idle = l.idleOf(original)
	m.expiry = m.created // until timeLeft has asked the storage
	var expires string
	if json.Unmarshal(original.cookie["expires"], &expires) == nil {
		if t, err := time.Parse(time.RFC3339, expires); err == nil && t.After(m.expiry) {
			m.expiry = t
		}
	}
	return m, values, nil
}

// idleOf returns how long a session lives without use.
func (l *expressLayout) idleOf(original *originalValue) time.Duration {
	if age, ok := maxAge(original.cookie); ok {
		return age
	}
	return l.idle
}

// maxAge returns the cookie's maxAge, capped at the longest that browsers honor; ok is
// false if the cookie has none.
func maxAge(cookie map[string]json.RawMessage) (age time.Duration, ok bool) {
	var ms *float64
	if json.Unmarshal(cookie["originalMaxAge"], &ms) != nil || ms == nil || !(*ms >= 1) {
		return 0, false
	}
	return time.Duration(math.Min(*ms, float64(maxCookieAge/time.Millisecond))) * time.Millisecond, true
}

func encodeLineage(p place, l lineage) json.RawMessage {
	b := append(l[:], p.owner[len(l):]...)
	return json.RawMessage(`"` + base64.RawURLEncoding.EncodeToString(b) + `"`)
}

// decodeLineage returns the zero lineage if encodeLineage did not encode raw for this ID.
func decodeLineage(p place, raw json.RawMessage) (l lineage) {
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
