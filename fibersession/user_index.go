package fibersession

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// The storage keeps a set for each user: the fingerprints of the user's sessions, from
// which the sessions' keys are made. Storing a session adds its entry twice, before and
// after the write. The first makes sure that no stored session is missing from the index.
// The second restores an entry that another node removed in between, because it found no
// session behind it (see removeStale, which in turn looks again after removing).

// newIndex returns the storage's index, or nil if it is not used.
func (s *Store) newIndex() storage.Index {
	if s.Config.UserKey == "" || !s.layout.hasUserIndex() {
		return nil
	}
	index, ok := s.base.(storage.Index)
	if !ok {
		s.logNoIndex()
		return nil
	}
	return index
}

func (s *Store) logNoIndex() {
	s.log.Warn("fibersession: Config.Storage is no storage.Index: a user's sessions cannot be listed or ended together")
}

// userPrefix returns the prefix of the names of all users' sets.
func (s *Store) userPrefix() string { return s.Config.Prefix + "u:" }

func (s *Store) userSet(user string) string {
	return s.userPrefix() + s.UserPseudonym(user, "index")
}

// member returns the entry of a place in the index.
func (s *Store) member(at place) string { return strings.TrimPrefix(at.key, s.prefix()) }

// placeOfMember returns the place of an entry in the index.
func (s *Store) placeOfMember(member string) (place, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(member)
	if err != nil || len(b) != len(fingerprint{}) {
		return place{}, false
	}
	return s.layout.placeByFingerprint(fingerprint(b)), true
}

// entryTTL returns how long an entry is kept. An entry outlives its session: with an
// absolute limit it is added once, without one it is added again in each period (see
// meta.period).
func entryTTL(m *meta, now time.Time) time.Duration {
	if !m.absolute.IsZero() {
		return m.absolute.Sub(now) + ttlMargin
	}
	if ttl := 2*m.idle + ttlMargin; ttl > m.idle {
		return ttl
	}
	return 0 // no TTL, because 2*m.idle overflows
}

// period counts the idle limits from a session's creation to its last use, if the session
// has no absolute limit. An entry that is added in each period and kept for two lasts as
// long as the session, and is removed some time after it.
func (m *meta) period() time.Duration {
	if !m.absolute.IsZero() || m.idle <= 0 {
		return 0
	}
	return m.expiry.Add(-m.idle).Sub(m.created) / m.idle
}

// indexBeforeWrite adds a session that is about to be stored to its user's index, unless its
// entry is known to be there. It reports whether it did.
func (c *commit) indexBeforeWrite(at place, cur, next *snapshot, now time.Time) (added bool, err error) {
	s := c.s.store
	if s.index == nil {
		return false, nil
	}
	if at.key != c.s.place().key && s.hidesUser(next.values) {
		// Without its entry, the session would survive EndAll under its new ID.
		return false, fmt.Errorf("%w: key %q holds a type that this build cannot decode, so the user's index cannot be kept",
			ErrType, s.Config.UserKey)
	}
	user := s.userOf(next.values)
	if user == "" || c.entryStands(at, cur, next) && next.period() == cur.period() {
		return false, nil
	}
	err = s.index.AddMember(c.ctx, s.userSet(user), s.member(at), entryTTL(&next.meta, now))
	if errors.Is(err, errors.ErrUnsupported) {
		s.warnIndex.Do(s.logNoIndex) // the storage wraps one without an index
		return false, nil
	}
	if err != nil {
		return false, s.storeError("index", at.key, err)
	}
	return true, nil
}

// entryStands reports whether the session's entry in its user's index is there and lasts as
// long as the period of cur's last use (see meta.period).
func (c *commit) entryStands(at place, cur, next *snapshot) bool {
	s := c.s.store
	return !cur.fresh() && s.userOf(next.values) == s.userOf(cur.values) && at.key == c.s.place().key &&
		next.absolute.Equal(cur.absolute) && next.idle == cur.idle
}

// indexAfterWrite adds the entry again after a successful write, if added is set, and
// removes the session's old entry. Errors do not matter: the first entry stands, and
// listing the user's sessions removes stale ones.
func (c *commit) indexAfterWrite(from, at place, cur, next *snapshot, added bool, now time.Time) {
	s := c.s.store
	if s.index == nil {
		return
	}
	user, before := s.userOf(next.values), s.userOf(cur.values)
	if added {
		_ = s.index.AddMember(c.ctx, s.userSet(user), s.member(at), entryTTL(&next.meta, now))
	}
	if before != "" && !cur.fresh() && (before != user || from.key != at.key) {
		_ = s.index.RemoveMember(c.ctx, s.userSet(before), s.member(from))
	}
}

// removeTraces removes what the storage still holds of a session that has ended: its entry
// in its user's index, and the notes of its former IDs.
func (s *Store) removeTraces(ctx context.Context, st *state) {
	s.removeFromIndex(ctx, st)
	if cur, _ := st.current(); cur != nil {
		s.removeNotes(ctx, &cur.meta)
	}
}

// removeFromIndex removes a session that has ended from its user's index. It ignores errors:
// listing the user's sessions removes stale entries.
func (s *Store) removeFromIndex(ctx context.Context, st *state) {
	cur, _ := st.current()
	if s.index == nil || cur == nil || cur.fresh() {
		return
	}
	user := s.userOf(cur.values)
	if user == "" {
		return
	}
	_ = s.index.RemoveMember(ctx, s.userSet(user), s.member(st.place()))
}

// indexedPlaces returns the places of a user's sessions according to the index.
func (s *Store) indexedPlaces(ctx context.Context, user string) ([]place, error) {
	if s.index == nil {
		if s.Config.UserKey == "" {
			return nil, ErrUserKey
		}
		return nil, ErrNoIndex
	}
	if user == "" {
		return nil, nil
	}
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	set := s.userSet(user)
	seen := make(map[string]struct{})
	var all []place
	for member, err := range s.index.Members(ctx, set) {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, ErrNoIndex
		}
		if err != nil {
			return nil, s.storeError("index", set, err)
		}
		_, duplicate := seen[member]
		if at, ok := s.placeOfMember(member); ok && !duplicate {
			seen[member] = struct{}{}
			all = append(all, at)
		}
	}
	return all, nil
}

// loadIndexed returns a handle of the session at a place from a user's index, as the storage
// has it now. It returns nil if there is no session of that user, and ErrCorrupt if this
// version cannot decode the session. If it can decode all but the user, the index counts.
func (s *Store) loadIndexed(ctx context.Context, user string, at place) (*Handle, error) {
	st := s.table.getOrCreate(at, func() *state { return &state{store: s, at: at} })
	h := s.newHandle(st)
	err := st.do(ctx, &op{kind: opReload})
	if err == nil && st.resolve().place().key == at.key && (s.userOf(h.values()) == user || s.hidesUser(h.values())) {
		return h, nil
	}
	h.Release()
	gone := errors.Is(err, ErrSessionGone) && !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound)
	if err != nil && !gone {
		return nil, err
	}
	return nil, nil
}

// openIndexed is loadIndexed, and removes an entry that has no session of the user. It
// reports whether the entry was stale.
func (s *Store) openIndexed(ctx context.Context, user string, at place) (h *Handle, stale bool, err error) {
	if h, err = s.loadIndexed(ctx, user, at); err != nil || h != nil {
		return h, false, err
	}
	h, err = s.removeStale(ctx, user, at)
	return h, true, err
}

// values returns the stored values.
func (h *Handle) values() map[string]any {
	cur, err := h.current()
	if err != nil {
		return nil
	}
	return cur.values
}

// removeStale removes an entry that had no session of the user, and then looks for the
// session again, because it may have been stored in the meantime. In that case it adds the
// entry again and returns a handle of the session.
func (s *Store) removeStale(ctx context.Context, user string, at place) (*Handle, error) {
	if err := s.removeEntry(ctx, user, at); err != nil {
		return nil, err
	}
	h, err := s.loadIndexed(ctx, user, at)
	if err != nil || h == nil {
		return nil, err
	}
	cur, err := h.current()
	if err == nil {
		timeout, cancel := s.withTimeout(ctx)
		defer cancel()
		err = s.index.AddMember(timeout, s.userSet(user), s.member(at), entryTTL(&cur.meta, time.Now()))
	}
	if err != nil {
		h.Release()
		return nil, s.storeError("index", at.key, err)
	}
	return h, nil
}

// removeEntry removes an entry from a user's index.
func (s *Store) removeEntry(ctx context.Context, user string, at place) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	if err := s.index.RemoveMember(ctx, s.userSet(user), s.member(at)); err != nil {
		return s.storeError("index", at.key, err)
	}
	return nil
}

// deleteUndecodable deletes a value that cannot be decoded, its entry in the index, and
// its notes as far as they are known.
func (s *Store) deleteUndecodable(ctx context.Context, user string, at place) error {
	timeout, cancel := s.withTimeout(ctx)
	defer cancel()
	var m meta
	if item, err := s.storage.Load(timeout, at.key); err == nil {
		m, _, _ = s.layout.decode(at, item.Value) // the values are what cannot be decoded
	}
	err := s.storage.CompareAndDelete(timeout, at.key, storage.Any)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return s.storeError("destroy", at.key, err)
	}
	s.removeNotes(timeout, &m)
	return s.removeEntry(ctx, user, at)
}
