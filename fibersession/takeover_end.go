// Old logins that end before they are taken over.

package fibersession

import (
	"context"
	"errors"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Sessions that were not taken over yet are in no index, so EndAll and Reset cannot find them.
// They leave a mark instead, and a takeover of a session that a mark revokes is refused. A mark
// is a key of the storage with one byte. It is kept for as long as browsers keep a cookie, also
// with Config.OldLogins.Until, which may be moved.
const revokedFor = maxCookieAge

func (t *takeovers) keyOfAll() string { return t.store.Config.Prefix + "o:all" }

func (t *takeovers) keyOfUser(user string) string {
	return t.store.Config.Prefix + "o:u:" + t.store.UserPseudonym(user, "old logins")
}

// revoke ends all old logins that were not taken over yet: those of a user, or of all users
// if user is "".
func (t *takeovers) revoke(ctx context.Context, user string) error {
	if t.isOver() {
		return nil
	}
	key := t.keyOfAll()
	if user != "" {
		key = t.keyOfUser(user)
	}
	ctx, cancel := t.store.withTimeout(ctx)
	defer cancel()
	_, err := t.store.storage.CompareAndSwap(ctx, key, storage.Absent, []byte{1}, revokedFor)
	if isConflict(err) {
		err = t.store.storage.Touch(ctx, key, revokedFor)
		if errors.Is(err, storage.ErrNotFound) {
			_, err = t.store.storage.CompareAndSwap(ctx, key, storage.Absent, []byte{1}, revokedFor)
		}
	}
	if err != nil && !isConflict(err) {
		return t.failed("end old logins", key, err)
	}
	return nil
}

// revokeOldLogins ends a user's old logins that were not taken over yet.
func (s *Store) revokeOldLogins(ctx context.Context, user string) error {
	if s.index == nil || user == "" {
		return nil // the caller has no sessions to end, or fails
	}
	return s.takeovers.revoke(ctx, user)
}

// isRevoked reports whether an old login, made a new session, was ended before.
func (t *takeovers) isRevoked(ctx context.Context, st *state) (bool, error) {
	keys := []string{t.keyOfAll()}
	cur, ended := st.current()
	if ended != nil {
		return true, nil // an EndAll found the new session
	}
	if user := t.store.userOf(cur.values); user != "" {
		keys = append(keys, t.keyOfUser(user))
	}
	for _, key := range keys {
		switch _, err := t.store.storage.Load(ctx, key); {
		case err == nil:
			return true, nil
		case !errors.Is(err, storage.ErrNotFound):
			return false, t.failed("load", key, err)
		}
	}
	return false, nil
}

// end ends the login that an old ID stands for, whether it was taken over or not. It returns
// nil if there is none. t may be nil.
func (t *takeovers) end(ctx context.Context, oldID string) error {
	if t.isOver() || !t.isOldID(oldID) {
		return nil
	}
	ctx, cancel := t.store.withTimeout(ctx)
	defer cancel()
	for {
		item, err := t.store.storage.Load(ctx, oldID)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return t.failed("load", oldID, err)
		}
		if note, ok := openOldIDNote(oldID, item.Value); ok {
			return t.store.deleteSession(ctx, note.newID) // the note's TTL removes it
		}
		err = t.store.storage.CompareAndDelete(ctx, oldID, item.Revision)
		switch {
		case isConflict(err):
			continue
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return t.failed("destroy", oldID, err)
		}
		return nil
	}
}
