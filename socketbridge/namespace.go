package socketbridge

import (
	"sync"
	"sync/atomic"
)

// Namespace is a set of sockets with its own middlewares and handlers. A client's sockets
// in several namespaces share one connection. Connect middlewares and handlers apply to
// sockets that connect after they were added; event chains (On) apply to all. All
// methods are safe for concurrent use.
//
// A Namespace of OfPattern or OfFunc stands for its children.
type Namespace struct {
	server     *Server
	name       string
	rooms      roomIndex
	recovery   recoveryLog
	serverSide serverSide // events of other nodes' servers
	roomEvents roomEvents
	acks       atomic.Uint64 // the last acknowledgement ID; per namespace, so that a broadcast is encoded once

	pattern *pattern    // nil for a namespace that clients can join
	child   child       // zero unless a pattern made the namespace
	gone    atomic.Bool // the child was removed

	mu             sync.RWMutex // guards the fields below, which are replaced, never modified in place
	settings       *settings
	handlers       map[string][]chain
	serverHandlers map[string][]func(*ServerEvent)
	roomHandlers   []func(RoomEvent)
}

// settings are the part of a namespace that is fixed for a socket when it connects. A
// value is never modified; see Namespace.update.
type settings struct {
	mode       SessionMode
	required   bool // RequireSession
	uses       []ConnectHandler
	connection []func(*Socket)
	change     []func(*Socket, []string)
	invalid    []func(*Socket, error)
}

func newNamespace(s *Server, name string) *Namespace {
	n := &Namespace{server: s, name: name, settings: &settings{mode: s.cfg.Mode}}
	n.recovery = newRecoveryLog(n)
	n.serverSide.start(n)
	n.roomEvents.ns = n
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

// Name returns the namespace's name, such as "/" or "/admin". For one of OfPattern it is the
// regular expression, and for one of OfFunc "func".
func (n *Namespace) Name() string { return n.name }

// Server returns the server that the namespace belongs to.
func (n *Namespace) Server() *Server { return n.server }

// SetMode sets when the sessions of this namespace's sockets are loaded and saved. It
// replaces Config.Mode; SessionNone means that the sockets have no session. It panics if
// m is not one of the SessionMode constants. It returns n.
func (n *Namespace) SetMode(m SessionMode) *Namespace {
	if m < SessionPerPacket || m > SessionNone {
		panic("socketbridge: SetMode takes one of the SessionMode constants")
	}
	return n.update(func(s *settings) { s.mode = m })
}

// RequireSession makes the namespace refuse clients without a stored session; see
// ErrSessionMissing and OnInvalidSession. It returns n.
func (n *Namespace) RequireSession() *Namespace {
	return n.update(func(s *settings) { s.required = true })
}

// update replaces the settings of sockets that connect from now on.
func (n *Namespace) update(change func(s *settings)) *Namespace {
	return n.change(func(n *Namespace) {
		next := *n.settings
		change(&next)
		n.settings = &next
	})
}

// change calls fn for the namespace and, if it is a pattern, for its children. fn replaces
// fields that n.mu guards. It returns n.
func (n *Namespace) change(fn func(n *Namespace)) *Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn(n)
	if n.pattern != nil {
		for child := range n.pattern.children {
			child.change(fn)
		}
	}
	return n
}

// Use adds connect middlewares (io.use). They run in order for every client that wants to
// join, before its socket is connected. It returns n.
func (n *Namespace) Use(mw ...ConnectHandler) *Namespace {
	needFuncs("Use", mw...)
	return n.update(func(s *settings) { s.uses = with(s.uses, mw...) })
}

// OnConnection adds a handler that is called with every new socket after the client's
// CONNECT was confirmed. The session is loaded. No event of the socket is handled before
// the handler has returned, so this is the place for Socket.On and Socket.Use. It
// returns n.
func (n *Namespace) OnConnection(fn func(*Socket)) *Namespace {
	needFunc("OnConnection", fn != nil)
	return n.update(func(s *settings) { s.connection = with(s.connection, fn) })
}

// On adds an event chain for all sockets of the namespace: any number of middlewares,
// each calling Next, and a handler. It runs before the sockets' own chains (Socket.On).
// It panics without a handler, if one is nil, and for an event that no client can send or
// that has a method of its own, such as "connection" (OnConnection). It returns n.
func (n *Namespace) On(event string, handlers ...Handler) *Namespace {
	c := newChain("On", event, handlers)
	return n.change(func(n *Namespace) { n.handlers = withChain(n.handlers, event, c) })
}

// Off removes the namespace's chains for event. Those of its sockets (Socket.On) stay. It
// returns n.
func (n *Namespace) Off(event string) *Namespace {
	return n.change(func(n *Namespace) { n.handlers = withoutChain(n.handlers, event, nil) })
}

// connectSettings returns the settings and the mode of a socket that connects now.
func (n *Namespace) connectSettings() (*settings, SessionMode) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.server.cfg.Sessions == nil {
		return n.settings, SessionNone
	}
	return n.settings, n.settings.mode
}

// chains returns the namespace's chains for event.
func (n *Namespace) chains(event string) []chain {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.handlers[event]
}

// Sockets returns the namespace's sockets on this node.
func (n *Namespace) Sockets() []*Socket { return n.Broadcast().Sockets() }

// Socket returns the socket with that ID on this node, or nil.
func (n *Namespace) Socket(id string) *Socket {
	if n.pattern == nil {
		return n.live().rooms.get(id)
	}
	for _, child := range n.childNamespaces() {
		if s := child.rooms.get(id); s != nil {
			return s
		}
	}
	return nil
}
