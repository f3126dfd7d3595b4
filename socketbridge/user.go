package socketbridge

import (
	"context"
	"errors"
)

// ToUser addresses the sockets of users in this namespace, in all their tabs and on all
// their devices. An ID is the text form of the value under fibersession.Config.UserKey:
// "5" for the integer 5. Without IDs, or for the ID "", it addresses no socket.
func (n *Namespace) ToUser(ids ...string) Broadcast { return n.Broadcast().ToUser(ids...) }

// ToUser addresses the sockets of users, except s. See Namespace.ToUser.
func (s *Socket) ToUser(ids ...string) Broadcast { return s.Broadcast().ToUser(ids...) }

// ToUser adds the sockets of users. See Namespace.ToUser.
func (b Broadcast) ToUser(ids ...string) Broadcast {
	return b.checkUsers().toRooms(b.ns.userRooms(ids)...)
}

// ExceptUser excludes the sockets of users.
func (b Broadcast) ExceptUser(ids ...string) Broadcast {
	return b.checkUsers().exceptRooms(b.ns.userRooms(ids)...)
}

// checkUsers records that the rooms of users on other nodes are not known. A server without
// sessions that is a node has no users.
func (b Broadcast) checkUsers() Broadcast {
	if s := b.ns.server; s.cfg.Sessions == nil && s.cluster != nil && !s.cluster.isNode {
		b.err = ErrNoSessions
	}
	return b
}

// User addresses the sockets of a user: those that exist at the time of each call, and
// with Config.Adapter those on all nodes. Sockets and Online cover this node only, because they
// do not wait for other nodes: FetchSockets and OnlineAnywhere cover all nodes. It is a value, and
// safe for concurrent use.
type User struct {
	id     string
	server *Server
	ns     *Namespace      // nil: all namespaces
	ctx    context.Context // of WithContext; may be nil
}

// User returns the sockets of a user in all namespaces.
func (s *Server) User(id string) User { return User{id: id, server: s} }

// User returns the sockets of a user in this namespace.
func (n *Namespace) User(id string) User { return User{id: id, server: n.server, ns: n} }

// WithContext sets a context whose values messages to the other nodes are sent with. See
// Broadcast.WithContext.
func (u User) WithContext(ctx context.Context) User {
	u.ctx = ctx
	return u
}

// in addresses the user's sockets in one namespace.
func (u User) in(ns *Namespace) Broadcast { return ns.ToUser(u.id).WithContext(u.ctx) }

// ID returns the user's ID.
func (u User) ID() string { return u.id }

func (u User) namespaces() []*Namespace {
	if u.ns != nil {
		return []*Namespace{u.ns}
	}
	return u.server.allNamespaces()
}

// Sockets returns the user's sockets on this node. FetchSockets returns those of all nodes.
func (u User) Sockets() []*Socket {
	var all []*Socket
	for _, ns := range u.namespaces() {
		all = append(all, ns.ToUser(u.id).Sockets()...)
	}
	return all
}

// Online reports whether a socket of the user is connected to this node. Unlike
// OnPresence, it has no grace period. OnlineAnywhere covers all nodes.
func (u User) Online() bool {
	for _, s := range u.Sockets() {
		if s.Connected() {
			return true
		}
	}
	return false
}

// Emit sends an event to the user's sockets; a client that is in several namespaces
// gets it in each. See Broadcast.Emit.
func (u User) Emit(event string, args ...any) error {
	var errs []error
	for _, ns := range u.namespaces() {
		errs = append(errs, u.in(ns).Emit(event, args...))
	}
	return errors.Join(errs...)
}

// Disconnect disconnects the user's sockets, on all nodes. Clients do not reconnect
// automatically after that. It returns an error if the other nodes could not be notified.
//
// The user stays logged in and can connect again. To log the user out, end the sessions
// with fibersession's Store.EndAll, which disconnects their sockets too.
func (u User) Disconnect() error {
	var errs []error
	for _, ns := range u.namespaces() {
		errs = append(errs, u.in(ns).Disconnect(false))
	}
	return errors.Join(errs...)
}
