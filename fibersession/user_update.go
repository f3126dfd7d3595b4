package fibersession

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// UpdateUser changes all sessions of a user, on all nodes, with and without sockets: after
// the user's role changed, for example. It runs fn on the newest revision of each session, as
// Handle.Update does, and returns in how many sessions fn succeeded and its changes are
// stored. Sockets of the sessions hear of the change (socketbridge's OnSessionChange), those
// of other nodes through the storage's feed.
//
// fn may run again for a session, and runs for several sessions at once, at most 16. If fn
// returns an error, that session stays as it is. Neither that nor a failing storage stops
// the other sessions. The error then says how many sessions were not changed and why; it
// matches each distinct cause, at most four, with errors.Is. A session that this version
// cannot decode counts as not changed, with ErrCorrupt. A session that has ended is skipped.
// If fn sets Config.UserKey, the session belongs to that user from then on, without a new ID.
//
// All sessions that the user had when UpdateUser began are changed. A session in which the
// user logs in meanwhile is changed if it was stored before UpdateUser last read the index.
// A later login is not seen: store the new role where logins read it before you call
// UpdateUser.
//
// UpdateUser returns ErrUserKey without Config.UserKey, and ErrNoIndex if the storage is no
// storage.Index.
func (s *Store) UpdateUser(ctx context.Context, user string, fn func(tx *Tx) error) (int, error) {
	s.start()
	u := userUpdate{store: s, user: user, fn: fn, visited: make(map[string]struct{}), claimed: make(map[lineage]struct{})}
	for range maxPasses {
		found, err := u.pass(ctx)
		if err != nil {
			return u.updated, errors.Join(err, u.err())
		}
		if !found {
			break
		}
	}
	return u.updated, u.err()
}

const (
	// maxUserUpdates is how many sessions of a user are changed at once.
	maxUserUpdates = 16
	// maxCauses is how many distinct errors the error of UpdateUser contains.
	maxCauses = 4
)

// errOtherUser ends the Update of a session that belongs to another user by now.
var errOtherUser = errors.New("fibersession: the session belongs to another user")

// userUpdate is one call of UpdateUser.
type userUpdate struct {
	store *Store
	user  string
	fn    func(tx *Tx) error

	visited map[string]struct{} // keys of the places that earlier passes found; used by pass only

	mu       sync.Mutex           // guards the fields below
	claimed  map[lineage]struct{} // the sessions that a worker has begun to change
	updated  int
	failed   int
	causes   []error // distinct by their text
	panicked any     // of fn
	exited   bool    // fn ended its goroutine
}

// pass changes the sessions that the index lists now and no earlier pass found. It reports
// whether there were any. A session whose ID changes while the index is read may be missed
// under both IDs, and a login may add one, so there is another pass until none is found.
func (u *userUpdate) pass(ctx context.Context) (found bool, err error) {
	all, err := u.store.indexedPlaces(ctx, u.user)
	if err != nil {
		return false, err
	}
	var places []place
	for _, at := range all {
		if _, known := u.visited[at.key]; !known {
			u.visited[at.key] = struct{}{}
			places = append(places, at)
		}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(maxUserUpdates, len(places)) {
		workers.Go(func() { // waited for below
			for i := next.Add(1) - 1; i < int64(len(places)); i = next.Add(1) - 1 {
				u.visit(ctx, places[i])
			}
		})
	}
	workers.Wait()
	switch {
	case u.panicked != nil:
		panic(u.panicked)
	case u.exited:
		runtime.Goexit() // as if fn ran here
	}
	return len(places) > 0, nil
}

// visit changes the session at a place.
func (u *userUpdate) visit(ctx context.Context, at place) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover() // raised again on the caller's goroutine
		u.mu.Lock()
		defer u.mu.Unlock()
		if p == nil {
			u.exited = true // runtime.Goexit
			return
		}
		u.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
	}()
	u.visitOne(ctx, at)
	returned = true
}

func (u *userUpdate) visitOne(ctx context.Context, at place) {
	h, _, err := u.store.openIndexed(ctx, u.user, at)
	if err == nil && h != nil {
		defer h.Release()
		err = u.update(ctx, h)
	}
	if err == nil || err == errOtherUser || errors.Is(err, ErrSessionGone) && !errors.Is(err, ErrCorrupt) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed++
	for _, c := range u.causes {
		if c.Error() == err.Error() {
			return
		}
	}
	if len(u.causes) < maxCauses {
		u.causes = append(u.causes, err)
	}
}

// update runs fn on a session, unless a worker did so under another ID of the session.
func (u *userUpdate) update(ctx context.Context, h *Handle) error {
	cur, err := h.current()
	if err != nil {
		return err
	}
	u.mu.Lock()
	_, again := u.claimed[cur.lineage]
	u.claimed[cur.lineage] = struct{}{}
	u.mu.Unlock()
	if again {
		return nil
	}
	err = h.Update(ctx, func(tx *Tx) error {
		if u.store.userIn(tx.Get(u.store.Config.UserKey)) != u.user {
			return errOtherUser
		}
		return u.fn(tx)
	})
	if err == nil {
		u.mu.Lock()
		u.updated++
		u.mu.Unlock()
	}
	return err
}

// err returns why sessions were not changed, or nil.
func (u *userUpdate) err() error {
	if u.failed == 0 {
		return nil
	}
	return fmt.Errorf("fibersession: %d sessions of the user were not changed: %w", u.failed, errors.Join(u.causes...))
}
