package fibersession

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// The storage keeps a set for each user: of the fingerprints of the user's
// sessions, which are what the store's keys are made of. A session's writer enters it
// twice, before the session is stored and after: so that no session is ever there
// that is not in the index, and so that somebody who found nothing in between and
// took the entry out does no harm (see stray, which in turn looks again).

// newIndex returns the storage as an index if there is use for one.
func (s *Store) newIndex() storage.Index {
	if s.cfg.UserKey == "" || s.cfg.Builtin || s.cfg.Express != nil {
		return nil
	}
	index, ok := s.base.(storage.Index)
	if !ok {
		s.warnNoIndex()
		return nil
	}
	return index
}

func (s *Store) warnNoIndex() {
	s.log.Warn("fibersession: the storage is no storage.Index: a user's sessions cannot be listed or ended together")
}

// userPrefix is what the names of all sets of this store begin with.
func (s *Store) userPrefix() string { return s.cfg.Prefix + "u:" }

func (s *Store) userSet(user string) string {
	return s.userPrefix() + s.UserPseudonym(user, "index")
}

// member is a place as an entry of the index.
func (s *Store) member(at place) string { return strings.TrimPrefix(at.key, s.prefix()) }

// placeOf returns the place that an entry stands for.
func (s *Store) placeOf(member string) (place, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(member)
	if err != nil || len(b) != len(fingerprint{}) {
		return place{}, false
	}
	return s.layout.destination(fingerprint(b)), true
}

// entryTTL is how long an entry is kept. It outlasts every use of the session until
// the entry is made anew: for ever with an absolute limit, else for a turn.
func entryTTL(m meta, now time.Time) time.Duration {
	if !m.absolute.IsZero() {
		return m.absolute.Sub(now) + ttlMargin
	}
	if ttl := 2*m.idle + ttlMargin; ttl > m.idle {
		return ttl
	}
	return 0 // beyond what a Duration can hold: for ever
}

// turn counts the idle limits between a session's beginning and its last use, when it
// has no absolute limit. An entry that is made once a turn and kept for two is there
// for as long as the session, and gone some time after it.
func (m meta) turn() time.Duration {
	if !m.absolute.IsZero() || m.idle <= 0 {
		return 0
	}
	return m.expiry.Add(-m.idle).Sub(m.created) / m.idle
}

// enlist enters a session that is about to be stored into its user's index, when
// that is news. It says whether it did.
func (c *commit) enlist(at place, cur, next *snapshot, now time.Time) (bool, error) {
	s := c.s.store
	if s.index == nil {
		return false, nil
	}
	user := s.userOf(next.values)
	same := !cur.fresh() && user == s.userOf(cur.values) && at.key == c.s.place().key &&
		next.absolute.Equal(cur.absolute) && next.idle == cur.idle && next.turn() == cur.turn()
	if user == "" || same {
		return false, nil
	}
	err := s.index.AddMember(c.ctx, s.userSet(user), s.member(at), entryTTL(next.meta, now))
	if errors.Is(err, errors.ErrUnsupported) {
		s.warnIndex.Do(s.warnNoIndex) // a wrapper whose base has no index
		return false, nil
	}
	if err != nil {
		return false, storeError("index", at.key, err)
	}
	return true, nil
}

// listed follows a write that took: it enters the session again, and takes out what
// it was before. If that fails, the first entry stands, and what is left over is
// taken out when the user's sessions are next listed.
func (c *commit) listed(from, at place, cur, next *snapshot, again bool, now time.Time) {
	s := c.s.store
	if s.index == nil {
		return
	}
	user, before := s.userOf(next.values), s.userOf(cur.values)
	if again {
		_ = s.index.AddMember(c.ctx, s.userSet(user), s.member(at), entryTTL(next.meta, now))
	}
	if before != "" && !cur.fresh() && (before != user || from.key != at.key) {
		_ = s.index.RemoveMember(c.ctx, s.userSet(before), s.member(from))
	}
}

// delist takes a session that ended out of its user's index, if the storage lets it:
// what is left over is taken out when the user's sessions are next listed.
func (s *Store) delist(ctx context.Context, st *state) {
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

// entries returns the places that the index has of a user.
func (s *Store) entries(ctx context.Context, user string) ([]place, error) {
	if s.index == nil {
		if s.cfg.UserKey == "" {
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
			return nil, storeError("index", set, err)
		}
		_, twice := seen[member]
		if at, ok := s.placeOf(member); ok && !twice {
			seen[member] = struct{}{}
			all = append(all, at)
		}
	}
	return all, nil
}

// entry returns a handle of the session that an entry of a user's index stands for,
// as the store has it now; nil when it is no session of that user any more; ErrCorrupt
// when what is there cannot be understood, by this version at least.
func (s *Store) entry(ctx context.Context, user string, at place) (*Handle, error) {
	st := s.table.getOrCreate(at, func() *state { return &state{store: s, at: at} })
	h := s.newHandle(st)
	err := st.do(ctx, &op{kind: opReload})
	if err == nil && st.resolve().place().key == at.key && s.userOf(h.values()) == user {
		return h, nil
	}
	h.Release()
	gone := errors.Is(err, ErrSessionGone) && !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound)
	if err != nil && !gone {
		return nil, err
	}
	return nil, nil
}

// values are the stored ones.
func (h *Handle) values() map[string]any {
	cur, err := h.current()
	if err != nil {
		return nil
	}
	return cur.values
}

// stray takes out an entry behind which there was no session of the user, and looks
// again: the session may have been stored meanwhile.
func (s *Store) stray(ctx context.Context, user string, at place) (*Handle, error) {
	if err := s.unlist(ctx, user, at); err != nil {
		return nil, err
	}
	h, err := s.entry(ctx, user, at)
	if err != nil || h == nil {
		return nil, err
	}
	cur, err := h.current()
	if err == nil {
		bounded, cancel := s.withTimeout(ctx)
		defer cancel()
		err = s.index.AddMember(bounded, s.userSet(user), s.member(at), entryTTL(cur.meta, time.Now()))
	}
	if err != nil {
		h.Release()
		return nil, storeError("index", at.key, err)
	}
	return h, nil
}

// unlist takes an entry out of a user's index.
func (s *Store) unlist(ctx context.Context, user string, at place) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	if err := s.index.RemoveMember(ctx, s.userSet(user), s.member(at)); err != nil {
		return storeError("index", at.key, err)
	}
	return nil
}

// discard removes what is stored at an entry and cannot be understood, and the entry.
func (s *Store) discard(ctx context.Context, user string, at place) error {
	bounded, cancel := s.withTimeout(ctx)
	defer cancel()
	err := s.storage.CompareAndDelete(bounded, at.key, storage.Any)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storeError("destroy", at.key, err)
	}
	return s.unlist(ctx, user, at)
}
