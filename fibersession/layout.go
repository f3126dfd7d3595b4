package fibersession

import (
	"time"
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

// meta is what an envelope says about a session beside its values.
type meta struct {
	revision uint64
	epoch    uint64
	created  time.Time
	expiry   time.Time // the idle limit as it stands
	absolute time.Time // zero: none
	idle     time.Duration
	lineage  lineage
	device   device       // of the browser; zero without Config.UserKey
	wire     *expressWire // nil without Config.Express
}

// deadline is when the session ends if nobody uses it.
func (m meta) deadline() time.Time {
	if !m.absolute.IsZero() && m.absolute.Before(m.expiry) {
		return m.absolute
	}
	return m.expiry
}

// expired says whether the session has ended at now. The limit itself is outside.
func (m meta) expired(now time.Time) bool { return !now.Before(m.deadline()) }
