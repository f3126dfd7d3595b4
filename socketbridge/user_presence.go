package socketbridge

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/presence"
)

// userTable holds the connections of each user on this node, over all namespaces, and
// notifies the OnPresence handlers when users come online or go offline.
type userTable struct {
	server *Server
	grace  time.Duration // no grace period if not positive
	limit  int           // of connections per user; unlimited if negative

	closed   chan struct{} // closed when the server shuts down
	handover atomic.Bool   // the server shuts down, and other nodes notify their handlers instead

	mu    sync.Mutex // not held while handlers run
	byID  map[string]*userEntry
	hooks []func(user string, online bool)
	ended bool // the server shuts down: no more grace periods
}

// userEntry is a user with connections on this node, within the grace period, or with a
// change of which the handlers are still to be notified.
type userEntry struct {
	conns     map[*client]int // number of the user's sockets on each connection
	grace     *time.Timer     // runs during the grace period, else nil
	notified  bool            // whether the handlers were last notified, or are being notified, that the user is online
	notifying bool            // a goroutine is notifying
}

// online reports whether the user counts as online on this node.
func (u *userEntry) online() bool { return len(u.conns) > 0 || u.grace != nil }

// addSocket counts a socket of a user on a connection. It returns ErrTooManyConns if the
// connection would exceed the limit.
func (t *userTable) addSocket(id string, c *client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.byID[id]
	if t.exceedsLimit(u, c) {
		return ErrTooManyConns
	}
	if u == nil {
		u = t.newEntry(id)
	}
	u.conns[c]++
	u.stopGrace()
	t.update(id, u)
	return nil
}

// newEntry adds an entry for a user. The caller holds the lock.
func (t *userTable) newEntry(id string) *userEntry {
	if t.byID == nil {
		t.byID = make(map[string]*userEntry)
	}
	u := &userEntry{conns: make(map[*client]int, 1)}
	t.byID[id] = u
	return u
}

// exceedsLimit reports whether c would exceed the limit of connections of a user. u is
// nil for a user without an entry, c for a connection that is still to be made.
func (t *userTable) exceedsLimit(u *userEntry, c *client) bool {
	if t.limit < 0 || u == nil {
		return t.limit == 0 && u == nil
	}
	return len(u.conns) >= t.limit && u.conns[c] == 0
}

// atLimit reports whether the user can have no further connection.
func (t *userTable) atLimit(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return id != "" && t.exceedsLimit(t.byID[id], nil)
}

// removeSocket undoes one addSocket.
func (t *userTable) removeSocket(id string, c *client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.byID[id]
	if u.conns[c]--; u.conns[c] == 0 {
		delete(u.conns, c)
	}
	if len(u.conns) > 0 {
		return
	}
	if t.grace > 0 && !t.ended && t.observed() {
		var timer *time.Timer
		timer = time.AfterFunc(t.grace, func() { t.endGrace(id, u, &timer) })
		u.grace = timer
		return
	}
	t.update(id, u)
}

// stopGrace ends the grace period early.
func (u *userEntry) stopGrace() {
	if u.grace != nil {
		u.grace.Stop()
		u.grace = nil
	}
}

// endGrace runs when a grace period has passed. timer is passed by pointer because the
// timer can fire before AfterFunc returns; t.mu orders the two.
func (t *userTable) endGrace(id string, u *userEntry, timer **time.Timer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.grace == nil || u.grace != *timer {
		return // it was stopped after it had fired
	}
	u.grace = nil
	t.update(id, u)
}

// close ends all grace periods.
func (t *userTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		close(t.closed)
	}
	t.ended = true
	for id, u := range t.byID {
		if u.grace != nil {
			u.stopGrace()
			t.update(id, u)
		}
	}
}

// observed reports whether changes matter: to handlers of this node, or to other nodes.
// The caller holds the lock.
func (t *userTable) observed() bool { return len(t.hooks) > 0 || t.server.presence != nil }

// update starts to notify the handlers if the user came online or went offline, and
// deletes an entry that is no longer needed. The caller holds the lock.
func (t *userTable) update(id string, u *userEntry) {
	switch {
	case u.notifying:
	case u.notified != u.online() && t.observed():
		u.notifying = true
		t.server.running.Add()
		go t.notify(id, u) // ends when the handlers have been notified of the last change; Server.Shutdown waits for it
	default:
		u.notified = u.online()
		t.deleteUnused(id, u)
	}
}

// notify calls the handlers for the changes of one user. Changes during a handler call
// are coalesced; the next call reports only the final state.
func (t *userTable) notify(id string, u *userEntry) {
	defer t.server.running.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	for u.notified != u.online() {
		u.notified = u.online()
		online, hooks := u.notified, t.hooks
		t.mu.Unlock()
		if t.record(id, online) {
			t.callHooks(hooks, id, online)
		}
		t.mu.Lock()
	}
	u.notifying = false
	t.deleteUnused(id, u)
}

func (t *userTable) deleteUnused(id string, u *userEntry) {
	if !u.online() && !u.notifying {
		delete(t.byID, id)
	}
}

func (t *userTable) onPresence(fn func(string, bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hooks = append(t.hooks[:len(t.hooks):len(t.hooks)], fn)
}

func (t *userTable) callHooks(hooks []func(string, bool), id string, online bool) {
	for _, fn := range hooks {
		t.server.guard("OnPresence", func() { fn(id, online) })
	}
}

func (t *userTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// newPresence returns the registry of the users of all nodes. It returns nil if there are
// no other nodes, or if the storage cannot keep the registry.
func newPresence(s *Server) *presence.Registry {
	sessions := s.cfg.Sessions
	if s.cluster == nil || sessions == nil || sessions.UserKey == "" {
		return nil
	}
	st, ok := sessions.Backend().(presence.Storage)
	if !ok {
		s.log.Warn("socketbridge: OnPresence sees the users of this node only: the sessions' storage does not implement storage.Index")
		return nil
	}
	return presence.New(presence.Config{
		Storage: st, Prefix: sessions.Prefix + "p:", TTL: s.cfg.Presence.TTL, Node: s.cluster.id, Notices: s.notices,
		Pseudonym: func(user string) string { return sessions.UserPseudonym(user, "presence") },
		Renamed:   s.users.recordAgain,
		Expired:   s.users.removeFromDeadNode,
	})
}

// record records on all nodes that a user came online on this node or went offline. It
// reports whether the handlers of this node must be notified, which they need not if the
// user is on another node too.
func (t *userTable) record(id string, online bool) (changed bool) {
	p := t.server.presence
	if p == nil {
		return true
	}
	ctx, tried := t.server.cluster.ctx, false
	ok := t.retry(func() (err error) {
		switch {
		case online:
			changed, err = p.Enter(ctx, id, &tried)
		case t.handover.Load():
			changed = false
		default:
			changed, err = p.Leave(ctx, id, &tried)
		}
		return err
	})
	return ok && changed
}

// retry calls do, with growing pauses, until it succeeds or the server shuts down. It
// reports whether do succeeded.
func (t *userTable) retry(do func() error) bool {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := do()
		if err == nil {
			return true
		}
		if !errors.Is(err, presence.ErrNotRegistered) { // as when the server starts
			t.server.notices.Report(&presenceRetriedNotice, "", "error", err)
		}
		select {
		case <-t.closed:
			return false
		case <-time.After(pause):
		}
	}
}

// recordAgain records all users again, after other nodes have taken this node for dead.
func (t *userTable) recordAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, u := range t.byID {
		if u.online() {
			u.notified = false
			t.update(id, u)
		}
	}
}

// removeFromDeadNode removes a dead node from the record of one of its users, and
// notifies the handlers if the user is on no other node. It reports whether that is done.
// It does nothing while the handlers are being notified of another change of the user.
func (t *userTable) removeFromDeadNode(ctx context.Context, node, pseudonym string) (done bool, err error) {
	p := t.server.presence
	id, err := p.UserOf(ctx, pseudonym)
	if err != nil {
		return false, err
	}
	if id == "" {
		return true, p.Forget(ctx, node, pseudonym)
	}
	t.mu.Lock()
	u := t.byID[id]
	if u == nil {
		u = t.newEntry(id)
	}
	if u.notifying {
		t.mu.Unlock()
		return false, nil
	}
	u.notifying = true
	hooks := t.hooks
	t.mu.Unlock()
	last, tried := false, false
	done = t.retry(func() (err error) {
		last, err = p.Remove(ctx, node, pseudonym, &tried)
		return err
	})
	if done && last {
		t.callHooks(hooks, id, false)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u.notifying = false
	t.update(id, u)
	return done, nil
}

// handOverUsers decides, when a shutdown begins, which node notifies its handlers that
// the users of this node are offline. If there are other nodes, they do: users who
// reconnect to them within the grace period were never offline.
func (s *Server) handOverUsers(ctx context.Context) {
	if s.presence == nil || !s.cluster.isNode {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Request)
	defer cancel()
	if n, err := s.Nodes(ctx); err == nil && n > 1 && s.presence.HasPeers(ctx) {
		s.users.handover.Store(true)
	}
}

// closePresence unregisters this node.
func (s *Server) closePresence(ctx context.Context) {
	if s.presence != nil {
		s.presence.Close(ctx, s.users.handover.Load(), s.cfg.Presence.Grace)
	}
}

// OnlineAnywhere reports whether the user has a socket on any node, or had one less than
// Config.Presence.Grace ago. Without an adapter it is Online. On a server that is not a node
// (adapter.EmitOnly) it returns ErrNoPresence if Config.Sessions has no users or its storage is
// no storage.Index.
func (u User) OnlineAnywhere(ctx context.Context) (bool, error) {
	if c := u.server.cluster; c != nil && !c.isNode && u.server.presence == nil {
		return false, ErrNoPresence
	}
	if u.server.presence == nil || u.id == "" {
		return u.Online(), nil
	}
	return u.server.presence.Online(ctx, u.id)
}

// OnlineUsers yields the IDs of the users who are online now, each once and in no particular
// order, such as for a page that has just been opened. It agrees with OnPresence: it yields a
// user from before the handlers are told that they came online until they are told that they
// went offline, and with Config.Adapter those of all nodes. A change while it runs may or may not
// be seen. It reads from the storage and stops after the first error.
//
// With Config.Adapter and a sessions' storage that is no storage.Index, it yields the users of
// this node. On a server that is not a node (adapter.EmitOnly) it then yields ErrNoPresence.
func (s *Server) OnlineUsers(ctx context.Context) iter.Seq2[string, error] {
	switch {
	case s.presence != nil:
		return s.presence.Users(ctx)
	case s.cluster != nil && !s.cluster.isNode:
		return func(yield func(string, error) bool) { yield("", ErrNoPresence) }
	}
	return func(yield func(string, error) bool) {
		for _, id := range s.users.onlineUsers() {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// onlineUsers returns the users who are online on this node.
func (t *userTable) onlineUsers() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]string, 0, len(t.byID))
	for id, u := range t.byID {
		if u.online() {
			all = append(all, id)
		}
	}
	return all
}

// OnPresence adds a handler that is called when a user comes online or goes offline. A
// user is online while one of their sockets, in any namespace, is connected, and for
// Config.Presence.Grace after the last has disconnected. Without Config.Adapter the
// sockets of this node count; with it, those of all nodes, and exactly one node calls its
// handlers for each change.
//
// For one user the calls alternate between online and offline, one at a time and in
// order, unless the storage loses its data; for several users they overlap. Changes
// during a handler call are coalesced: the next call reports only the final state.
// Handlers do not block the sockets, and may use all methods. When the server shuts down,
// the remaining users are reported as offline, and Shutdown waits for the handlers.
func (s *Server) OnPresence(fn func(user string, online bool)) {
	needFunc("OnPresence", fn != nil)
	s.users.onPresence(fn)
}
