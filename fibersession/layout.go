package fibersession

import (
	"context"
	"encoding/json"
	"time"

	"github.com/valyala/fasthttp"
)

// place is where the storage keeps a session.
type place struct {
	key   string      // the storage's key
	owner fingerprint // of the ID
	id    string      // "" if another node chose the ID
}

// layout is the form in which a store keeps sessions, and what follows from that form.
// Other code asks a layout these questions and never asks which layout it is.
type layout interface {
	// place returns where the session with this ID is kept.
	place(id string) place
	// placeByFingerprint returns where the session is kept whose ID has this fingerprint.
	// The key is "" in layouts that need the ID itself.
	placeByFingerprint(f fingerprint) place

	// hashesID reports whether the key is a hash of the ID, so that programs cannot find
	// a session in the storage by its ID.
	hashesID() bool

	// encode encodes a session. Its values have been checked to be encodable.
	encode(p place, m *meta, values map[string]any) ([]byte, error)
	// decode decodes the value stored at p. It returns a *movedError if the session has
	// another ID now. With other errors it returns as much of meta as it can decode.
	decode(p place, data []byte) (meta, map[string]any, error)
	// encodeMoved encodes the record that leads other nodes from a session's old place
	// to its new one. m.notes are the notes that it carries. It returns nil in layouts
	// without such a record.
	encodeMoved(from, to place, m *meta) []byte

	// lineageOf returns the lineage of a new session at p; random is a random one.
	lineageOf(p place, random lineage) lineage
	// newOriginal returns meta.original for a session that begins in a request whose
	// cookies are Secure or not.
	newOriginal(secure bool) *originalValue
	// reservesKey reports whether applications must not use a key.
	reservesKey(key string) bool

	// carriesRevision reports whether a stored value contains the session's lineage and
	// revision. Without them, an old value cannot be told from a new one.
	carriesRevision() bool
	// carriesExpiry reports whether a stored value contains the session's expiry. Then
	// Touch rewrites the value; otherwise it moves only the storage's own TTL.
	carriesExpiry() bool
	// expiryWhenRead returns the expiry of a session whose unchanged value was read at
	// now. It is called only if carriesExpiry is false.
	expiryWhenRead(m *meta, now time.Time) time.Time
	// timeLeft asks the storage how long a session lives that was read past the expiry
	// known to this node; ok is false if the storage cannot tell, the session does not outlive
	// that expiry, or the layout need not ask.
	timeLeft(ctx context.Context, p place) (left time.Duration, ok bool)

	// cookieAge returns how long the browser keeps the cookie; 0 means until it closes.
	cookieAge(m *meta, now time.Time) time.Duration
	// cookieEndsWhenIdle reports whether the cookie ends with the idle limit, so that it
	// must be sent again when that limit moves.
	cookieEndsWhenIdle(m *meta) bool
	// keepsCookieFlags reports whether a stored value contains meta.cookie.
	keepsCookieFlags() bool
	// setCookieAttributes changes the attributes of a cookie to those that the session's
	// cookie was first set with.
	setCookieAttributes(c *fasthttp.Cookie, original *originalValue)

	// hasUserIndex reports whether sessions can be listed by user.
	hasUserIndex() bool
	// resetPrefixes returns the prefixes of the keys that Reset removes, in that order;
	// "" means the whole storage.
	resetPrefixes() []string
}

// movedError says that a session has another ID now.
type movedError struct {
	lineage lineage
	to      fingerprint
	notes   noteList // older ones: see noteList
}

func (*movedError) Error() string { return "fibersession: the session has another ID" }

// meta is what a stored value says about a session apart from its values.
type meta struct {
	revision    uint64
	epoch       uint64
	created     time.Time
	expiry      time.Time // the current idle limit
	absolute    time.Time // zero: no absolute limit
	idle        time.Duration
	lineage     lineage
	client      clientInfo     // zero without Config.UserKey
	cookie      cookieFlags    // about the session's cookie
	notes       noteList       // of former IDs, in layouts that leave notes
	newerFields string         // encoded fields of a newer version of this package
	original    *originalValue // nil in layouts that are this package's own
}

// originalValue is a session as another program stored it, so that encode can write the
// unchanged parts back byte for byte. It is immutable.
type originalValue struct {
	cookie map[string]json.RawMessage // attributes of the cookie
	raw    map[string]json.RawMessage // encoded values
	values map[string]any             // raw, decoded
}

// deadline returns when the session ends if it is not used again.
func (m *meta) deadline() time.Time {
	if !m.absolute.IsZero() && m.absolute.Before(m.expiry) {
		return m.absolute
	}
	return m.expiry
}

// expired reports whether the session has ended at now. A session ends exactly at its
// deadline.
func (m *meta) expired(now time.Time) bool { return !now.Before(m.deadline()) }

// ownCookie answers a layout's questions about the cookie for layouts whose cookie no
// other program sets.
type ownCookie struct {
	sessionOnly bool
	absolute    time.Duration // not positive: no absolute limit
}

func newOwnCookie(c *Config) ownCookie {
	return ownCookie{sessionOnly: c.CookieSessionOnly, absolute: c.Timeouts.Absolute}
}

// cookieAge is the longest that the session can live. The idle limit does not shorten it:
// a socket can move that limit but cannot send a cookie.
func (o ownCookie) cookieAge(m *meta, now time.Time) time.Duration {
	switch {
	case m.cookie.has(cookieDropped), o.sessionOnly && !m.cookie.has(cookieKept):
		return 0
	case !m.absolute.IsZero():
		return min(m.absolute.Sub(now), maxCookieAge)
	case o.absolute > 0: // not stored yet
		return min(o.absolute, maxCookieAge)
	default:
		return maxCookieAge
	}
}

func (ownCookie) cookieEndsWhenIdle(*meta) bool { return false }

func (ownCookie) setCookieAttributes(*fasthttp.Cookie, *originalValue) {}

func (ownCookie) newOriginal(bool) *originalValue { return nil }

func (ownCookie) reservesKey(string) bool { return false }
