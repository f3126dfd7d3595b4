// Old logins: sessions that Fiber's middleware/session stored, which this package takes over.

package fibersession

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
)

// OldLogins is the part of Config about sessions that Fiber's middleware/session stored in the
// same storage before the app changed to this package. They are taken over, so that users stay
// logged in: a request that presents the old ID, and no session of this package, gets a new
// session with the old values and a new ID. The response carries the new ID and removes the old
// cookie. The old session is gone from the storage. For a minute, its ID leads to the new
// session, for requests that were under way. With KeyLookup "header:<name>", it does as long as
// the session keeps its new ID.
//
// The old cookie is "session_id", or the one that KeyLookup or Extractor names. An old ID is a
// random UUID, or with KeyGenerator any ID of its syntax. So keep KeyLookup and KeyGenerator as
// they were. To leave the old name of the cookie, set Extractor to
// Chain(FromCookie(""), FromCookie("<old name>")).
//
// The new session's idle limit is Expiration, or what is left of the old session's if that is
// longer and the storage is a storage.TTLReader. A value that cannot be decoded or stored is
// left out, and its key is logged. A session beyond Limits is not taken over.
//
// On several nodes, the storage must be atomic itself, such as storage/redis. With storage.From,
// two nodes that take over the same session at the same moment make two sessions.
//
// Nothing is taken over with Builtin, which stores sessions in Fiber's form, with Express, or
// without Storage, because a new storage in memory is empty.
//
// An attacker who can store a value of their choice under a key of their choice can make a
// session. If another program, or another part of the app, lets clients do that in the same
// storage, give the sessions a storage of their own, or set Off.
type OldLogins struct {
	// Off turns it off: an old ID is then no session, and an old session stays in the storage
	// until its TTL has passed.
	// Optional. Default: false
	Off bool

	// Until is when it ends. Choose a date after which no old session is left: the day of the
	// change plus the longest expiration that the app used.
	// Optional. Default: time.Time{}, no end
	Until time.Time
}

// takeovers takes over the old logins of one Store. A takeover has one point at which it
// happens: the compare-and-swap that replaces the old value by a note of the new ID. Before
// it, only the old session can be used, and after it only the new one. So concurrent requests
// with the old ID, on any node, get the same session, and a session that has ended cannot come
// back from its old value.
//
//  1. Read the old value.
//  2. Store the new session under a new ID, which no client knows yet.
//  3. Replace the old value by the note. If another request was faster, delete the new
//     session again and follow that request's note.
//
// A crash before step 3 leaves the old login as it was, and a copy that no client can reach
// until its TTL has passed. A crash after step 3 loses nothing as long as the note exists: the
// next request with the old ID follows it and gets the new cookie.
type takeovers struct {
	store   *Store
	sources []idSource // where requests carry old IDs
	until   time.Time  // zero: no end
	ttl     storage.TTLReader

	mu      sync.Mutex
	running map[string]*takeover // by old ID

}

// takeover is a running takeover that other requests of this node wait for.
type takeover struct {
	done  chan struct{}
	newID string
	err   error
}

const (
	// oldIDNoteTTL is how long a used old ID leads to the new session. It has to cover the
	// requests that a browser sends before it has the new cookie, and a retry after a lost
	// response. Until it has passed, the old ID is worth as much as the new one.
	oldIDNoteTTL = time.Minute
	// maxTakeoverTries bounds how often a takeover starts again because the old value changed.
	maxTakeoverTries = 8
)

// newTakeovers returns nil if nothing can be taken over.
func (s *Store) newTakeovers() *takeovers {
	c := &s.Config
	if c.OldLogins.Off || c.Builtin || c.Express != nil || s.ownsStorage {
		return nil
	}
	t := &takeovers{store: s, sources: s.oldSources(), until: c.OldLogins.Until, running: make(map[string]*takeover)}
	if len(t.sources) == 0 || t.isOver() {
		return nil
	}
	t.ttl, _ = s.base.(storage.TTLReader)
	return t
}

// isOver reports whether old logins count no longer. t may be nil.
func (t *takeovers) isOver() bool {
	return t == nil || !t.until.IsZero() && !time.Now().Before(t.until)
}

// oldLogin is an old login that was taken over.
type oldLogin struct {
	presentedOldID
	st    *state // with a reference
	newID string
}

// take returns the session that an old ID leads to. It takes the old login over if that has
// not happened yet. It returns ErrNotFound if there is none.
func (t *takeovers) take(old presentedOldID, client clientInfo) (*oldLogin, error) {
	t.mu.Lock()
	run := t.running[old.id]
	if run != nil {
		t.mu.Unlock()
		<-run.done // the storage's timeout bounds it
		if run.err != nil {
			return nil, run.err
		}
		return t.follow(context.Background(), old, run.newID)
	}
	run = &takeover{done: make(chan struct{})}
	t.running[old.id] = run
	t.mu.Unlock()
	run.err = errCommitEnded
	defer func() { // even if a driver ends the goroutine
		t.mu.Lock()
		delete(t.running, old.id)
		t.mu.Unlock()
		close(run.done)
	}()
	got, err := t.run(old, client)
	if run.err = err; err == nil {
		run.newID = got.newID
	}
	return got, err
}

// run is take, without waiting for other requests of this node.
func (t *takeovers) run(old presentedOldID, client clientInfo) (got *oldLogin, err error) {
	defer func() {
		if p := recover(); p != nil { // a driver panicked
			got, err = nil, t.failed("take over", old.id, fmt.Errorf("%w: panic: %v", storage.ErrUnknownOutcome, p))
		}
	}()
	ctx, cancel := t.store.withTimeout(context.Background())
	defer cancel()
	for range maxTakeoverTries {
		item, err := t.store.storage.Load(ctx, old.id)
		t.store.stats.loads.Add(1)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return nil, ErrNotFound
		case err != nil:
			return nil, t.failed("load", old.id, err)
		}
		if note, ok := openOldIDNote(old.id, item.Value); ok {
			if !note.ends.IsZero() && !time.Now().Before(note.ends) {
				return nil, ErrNotFound
			}
			got, err := t.follow(ctx, old, note.newID)
			if errors.Is(err, ErrNotFound) {
				_ = t.store.storage.CompareAndDelete(ctx, old.id, item.Revision) // otherwise its TTL removes it
			}
			return got, err
		}
		got, err := t.move(ctx, old, item, client)
		if !isConflict(err) {
			return got, err
		}
		t.store.stats.conflicts.Add(1)
	}
	return nil, fmt.Errorf("%w: other nodes kept changing the session: %w", ErrUnavailable, storage.ErrConflict)
}

// follow returns the session that a note leads to. It returns ErrNotFound if that session has
// ended or has another ID now: an old ID must not survive a logout or a login.
func (t *takeovers) follow(ctx context.Context, old presentedOldID, newID string) (*oldLogin, error) {
	s := t.store
	st, err := s.acquire(ctx, newID)
	if err != nil {
		return nil, err
	}
	st.resolve().rememberOldID(old.id)
	now := time.Now()
	cur, ended := st.resolve().current()
	if old.keepsID() && ended == nil && s.touchDue(&cur.meta, now) { // this request will move the session's limit too
		// An error does not matter: the client has the new ID too.
		slid := cur.meta
		s.slideLimits(&slid, now, 0)
		_ = s.storage.Touch(ctx, old.id, s.ttl(&slid, now))
	}
	return &oldLogin{old, st, newID}, nil
}

// keepsID reports whether the client may go on with the old ID. Browsers replace a cookie by
// themselves. A client that sends a header may keep the ID that it got at the login, so its
// old ID works as long as the session and its new ID do.
func (p presentedOldID) keepsID() bool { return p.source.kind == SourceHeader }

// failed counts a failed call of the storage and returns its error.
func (t *takeovers) failed(what, key string, err error) error {
	t.store.stats.failures.Add(1)
	return t.store.storeError(what, key, err)
}

// move makes a new session of an old one. It returns a conflict if the old value has changed.
func (t *takeovers) move(ctx context.Context, old presentedOldID, item storage.Item, client clientInfo) (got *oldLogin, err error) {
	s := t.store
	ch, err := t.decode(item.Value)
	if err != nil {
		return nil, ErrNotFound // not a session of Fiber's, or one that is too large
	}
	idle, err := t.idleLimit(ctx, old.id)
	if err != nil {
		return nil, err
	}
	st, err := s.create(client, nil, s.begunPlain(old.secure))
	if err != nil {
		return nil, err
	}
	defer func() {
		if got == nil {
			s.table.release(st)
		}
	}()
	newID := st.place().id
	if err := st.do(ctx, &op{kind: opChange, ch: ch, idle: idle}); err != nil {
		if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTooManyKeys) {
			t.reportTooLarge(err)
			err = ErrNotFound
		}
		return nil, err
	}
	// The new session is in its user's index by now. So a concurrent EndAll or Reset, which
	// leaves its mark before it looks for sessions, either finds it or is seen here.
	revoked, err := t.isRevoked(ctx, st)
	if revoked {
		_ = s.storage.CompareAndDelete(ctx, old.id, item.Revision) // if this fails, the mark still counts
		err = ErrNotFound
	}
	if err != nil {
		t.discard(ctx, st)
		return nil, err
	}
	if err := t.writeNote(ctx, old, item.Revision, st, newID); err != nil {
		if !errors.Is(err, storage.ErrUnknownOutcome) { // otherwise the note may be there and lead to st
			t.discard(ctx, st)
		}
		return nil, err
	}
	s.stats.writes.Add(1)
	st.rememberOldID(old.id)
	s.notices.Report(&takenOverNotice, "")
	return &oldLogin{old, st, newID}, nil
}

// writeNote replaces an old session by the note that leads to the new one.
func (t *takeovers) writeNote(ctx context.Context, old presentedOldID, rev storage.Revision, st *state, newID string) error {
	now := time.Now()
	note, ttl := oldIDNote{newID: newID, ends: now.Add(oldIDNoteTTL)}, oldIDNoteTTL
	if old.keepsID() {
		cur, _ := st.current()
		note.ends, ttl = time.Time{}, t.store.ttl(&cur.meta, now)
	}
	value, err := t.store.sealOldIDNote(old.id, note)
	if err != nil {
		return err
	}
	_, err = t.store.storage.CompareAndSwap(ctx, old.id, rev, value, ttl)
	if err != nil && !isConflict(err) {
		return t.failed("take over", old.id, err)
	}
	return err
}

// discard deletes a session that no client knows. If that fails, its TTL removes it.
func (t *takeovers) discard(ctx context.Context, st *state) {
	if st.do(ctx, &op{kind: opDestroy}) == nil {
		t.store.removeFromIndex(ctx, st)
	}
}

// decode returns an old session's values as changes of a new one. Values that cannot be
// decoded or stored are left out and logged, and the others live on.
func (t *takeovers) decode(old []byte) (changes, error) {
	if size := t.store.Config.Limits.MaxSize; len(old) > size {
		err := fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(old), size)
		t.reportTooLarge(err)
		return nil, err
	}
	values, skipped, err := codec.DecodeBuiltin(old)
	if err != nil {
		return nil, err
	}
	for _, key := range skipped {
		t.reportDropped(key, "its type is not registered with gob, or has changed")
	}
	ch := make(changes, len(values))
	for key, v := range values {
		one, err := t.store.prepare(changes{key: {kind: changeSet, value: codec.CopyIn(v)}})
		if err != nil {
			t.reportDropped(key, err.Error())
			continue
		}
		ch[key] = one[key]
	}
	return ch, nil
}

// idleLimit returns the new session's own idle limit, or 0 for Config.Expiration. Fiber keeps
// the limit of SetExpiry in the TTL alone, so that only a TTL above Expiration tells one from
// what is left of Expiration.
func (t *takeovers) idleLimit(ctx context.Context, oldID string) (time.Duration, error) {
	if t.ttl == nil {
		return 0, nil
	}
	left, err := t.ttl.TTL(ctx, oldID)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return 0, nil
	case errors.Is(err, storage.ErrNotFound):
		return 0, storage.ErrConflict // the next try finds out why
	case err != nil:
		return 0, t.failed("ttl", oldID, err)
	case left <= t.store.Config.Expiration:
		return 0, nil
	}
	return min(left, maxLimit), nil
}

func (t *takeovers) reportDropped(key, why string) {
	t.store.notices.Report(&takeoverDroppedNotice, key, "key", key, "error", why)
}

func (t *takeovers) reportTooLarge(err error) {
	t.store.notices.Report(&takeoverTooLargeNotice, "", "error", err)
}
