package socketbridge

import (
	"sync"
	"sync/atomic"
)

// Namespace is a set of sockets with handlers of their own, multiplexed with other
// namespaces over each client's one connection. All methods are safe for
// concurrent use. Middlewares and handlers apply to sockets that connect after
// they were added.
type Namespace struct {
	server     *Server
	name       string
	rooms      rooms
	past       past          // nil without recovery
	serverSide serverSide    // events of other nodes' servers
	acks       atomic.Uint64 // the last ack ID given; shared, so that a broadcast is encoded once

	mu       sync.RWMutex // guards what follows; each is replaced, never changed in place
	settings *settings
	handlers map[string][]chain
}

// settings are what a socket takes from its namespace when it connects. They never
// change: see Namespace.set.
type settings struct {
	mode       SessionMode
	required   bool // a stored session
	uses       []ConnectHandler
	connection []func(*Socket)
	change     []func(*Socket, []string)
	invalid    []func(*Socket, error)
}

func newNamespace(s *Server, name string) *Namespace {
	n := &Namespace{server: s, name: name, past: newPast(s, name), settings: &settings{mode: s.cfg.Mode}}
	n.serverSide.start(n)
	if c := s.cluster; c != nil {
		if c.watcher != nil {
			n.rooms.watch = func(room string, private, open bool) {
				if open {
					c.watcher.RoomOpened(name, room, private)
				} else {
					c.watcher.RoomClosed(name, room, private)
				}
			}
		}
		c.adapter.Open(name)
	}
	return n
}

// Name returns the namespace's name, such as "/" or "/admin".
func (n *Namespace) Name() string { return n.name }

// Server returns the server that the namespace belongs to.
func (n *Namespace) Server() *Server { return n.server }

// SetMode says when the sessions of this namespace's sockets are read and written,
// or, with SessionNone, that they have none. It returns n.
func (n *Namespace) SetMode(m SessionMode) *Namespace {
	if m < SessionPerPacket || m > SessionNone {
		panic("socketbridge: SetMode takes one of the SessionMode constants")
	}
	return n.set(func(s *settings) { s.mode = m })
}

// RequireSession has the namespace refuse clients that come without a stored session:
// see ErrSessionMissing. It returns n.
func (n *Namespace) RequireSession() *Namespace {
	return n.set(func(s *settings) { s.required = true })
}

// set replaces the settings for the sockets that connect from now on.
func (n *Namespace) set(change func(s *settings)) *Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := *n.settings
	change(&next)
	n.settings = &next
	return n
}

// Use adds connect middlewares (io.use): they run in order for each client that
// asks to join, before the socket is connected.
func (n *Namespace) Use(mw ...ConnectHandler) *Namespace {
	return n.set(func(s *settings) { s.uses = with(s.uses, mw...) })
}

// OnConnection adds a handler that gets each new socket, its session loaded, when
// the client has been told that it is connected. No event of the socket is handled
// before the handler returned, so that it is the place for Socket.On and Socket.Use.
func (n *Namespace) OnConnection(fn func(*Socket)) *Namespace {
	return n.set(func(s *settings) { s.connection = with(s.connection, fn) })
}

// On adds an event chain for all sockets of the namespace: any number of
// middlewares, each calling Next, and a handler. It runs before the chains that a
// socket has of its own.
func (n *Namespace) On(event string, handlers ...Handler) *Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handlers = withChain(n.handlers, event, handlers)
	return n
}

// config returns what applies to a socket that connects now.
func (n *Namespace) config() (*settings, SessionMode) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.server.cfg.Sessions == nil {
		return n.settings, SessionNone
	}
	return n.settings, n.settings.mode
}

func (n *Namespace) chains(event string) []chain {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.handlers[event]
}

// Sockets returns the sockets of this node.
func (n *Namespace) Sockets() []*Socket { return append([]*Socket(nil), n.rooms.all()...) }

// Socket returns the socket with that ID on this node, or nil.
func (n *Namespace) Socket(id string) *Socket { return n.rooms.get(id) }
