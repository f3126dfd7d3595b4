package socketbridge

import "errors"

// ToUser addresses the sockets of users in this namespace, with all their tabs and
// devices. An ID is the text of what fibersession.Config.UserKey holds: "5" for the
// integer 5. Without IDs, and for "", nobody is addressed.
func (n *Namespace) ToUser(ids ...string) Broadcast { return Broadcast{ns: n}.ToUser(ids...) }

// ToUser addresses the sockets of users, but s. See Namespace.ToUser.
func (s *Socket) ToUser(ids ...string) Broadcast { return s.Broadcast().ToUser(ids...) }

// ToUser widens the address to the sockets of users. See Namespace.ToUser.
func (b Broadcast) ToUser(ids ...string) Broadcast { return b.To(b.ns.userRooms(ids)...) }

// ExceptUser leaves out the sockets of users.
func (b Broadcast) ExceptUser(ids ...string) Broadcast { return b.Except(b.ns.userRooms(ids)...) }

// User is a user's sockets: all that they have at the moment of each call, on all
// nodes with Config.Adapter; Sockets and Online are of this node. It is a value, and safe for concurrent use.
type User struct {
	id     string
	server *Server
	ns     *Namespace // nil: all namespaces
}

// User returns the sockets of a user in all namespaces.
func (s *Server) User(id string) User { return User{id: id, server: s} }

// User returns the sockets of a user in this namespace.
func (n *Namespace) User(id string) User { return User{id: id, server: n.server, ns: n} }

// ID returns the user's ID.
func (u User) ID() string { return u.id }

func (u User) namespaces() []*Namespace {
	if u.ns != nil {
		return []*Namespace{u.ns}
	}
	return u.server.allNamespaces()
}

// Sockets returns the user's sockets.
func (u User) Sockets() []*Socket {
	var all []*Socket
	for _, ns := range u.namespaces() {
		all = append(all, ns.ToUser(u.id).Sockets()...)
	}
	return all
}

// Online says whether a socket of the user is connected at this moment. Unlike
// OnPresence it knows no grace period.
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
		errs = append(errs, ns.ToUser(u.id).Emit(event, args...))
	}
	return errors.Join(errs...)
}

// Disconnect disconnects the user's sockets, on all nodes, which do not come back by
// themselves. It returns whether the other nodes could be told.
// The user stays logged in and can connect again: to log out, end the sessions
// (fibersession's Store.EndAll), which disconnects their sockets too.
func (u User) Disconnect() error {
	var errs []error
	for _, ns := range u.namespaces() {
		errs = append(errs, ns.ToUser(u.id).Disconnect(false))
	}
	return errors.Join(errs...)
}

// OnPresence adds a handler that is told when a user comes and goes: online when the
// user's first socket, in any namespace, is there, and offline when the last has been
// gone for Config.Presence.Grace: the first and last on this node, or with
// Config.Adapter on all nodes, of which one is told. For one user the calls alternate,
// one at a time and in order, unless the store lost what it knew; for several they
// overlap. What happens while a handler runs is told by where it ended. Handlers run
// apart from the sockets, and may use everything; when the server shuts down, all who
// are left are told to be offline, and Shutdown waits for that.
func (s *Server) OnPresence(fn func(user string, online bool)) { s.users.onPresence(fn) }
