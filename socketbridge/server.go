package socketbridge

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Reason says why a socket was disconnected, in Socket.IO's own words.
type Reason = transport.Reason

// The reasons of a disconnect beside those of package transport.
const (
	ServerDisconnect Reason = "server namespace disconnect" // Socket.Disconnect
	ClientDisconnect Reason = "client namespace disconnect" // the client's socket.disconnect()
	ForcedClose      Reason = "forced server close"         // the client was closed with all its namespaces
)

// Server is a Socket.IO server whose sockets share the app's sessions. Make one
// with New, mount it with app.Use(io.Handler()), and end it with Shutdown. All
// methods are safe for concurrent use.
//
// The methods that a Namespace has too are short for the default namespace, "/".
type Server struct {
	cfg    Config
	log    *slog.Logger
	engine *engineio.Server
	root   *Namespace

	nsMu       sync.RWMutex
	namespaces map[string]*Namespace

	rates      *rates // nil: no limits
	perSession sessionCounts
	users      users
	cluster    *cluster   // nil without an adapter
	presence   *presences // nil when this node alone matters
	recovery   *recovery  // nil when there is none

	closing atomic.Bool
	running serial.Group // inbox workers and connects: whatever runs user code

	clientsMu sync.Mutex
	clients   map[*client]struct{}
}

// New makes a server. It panics when the configuration contradicts itself.
func New(config ...Config) *Server {
	cfg := configDefault(config...)
	s := &Server{
		cfg:        cfg,
		log:        cfg.Logger,
		namespaces: make(map[string]*Namespace),
		clients:    make(map[*client]struct{}),
	}
	s.users.server, s.users.grace, s.users.limit = s, cfg.Presence.Grace, cfg.Limits.MaxConnsPerUser
	s.users.closed = make(chan struct{})
	s.rates = newRates(cfg)
	s.recovery = newRecovery(cfg.Recovery)
	var hooks engineio.Hooks
	if cfg.Sessions != nil {
		hooks = engineio.Hooks{Lift: s.lift, SameVisitor: s.same, Release: s.dropped, SessionCookie: cfg.Sessions.CookieName}
	}
	if cfg.Adapter != nil {
		s.cluster = newCluster(s, cfg.Adapter)
		s.presence = newPresence(s)
	}
	s.root = s.Of("/")
	s.engine = engineio.New(s, cfg.Engine, hooks)
	s.cluster.start()
	return s
}

// Of returns the namespace of that name, and makes it when it is new. A leading
// slash is added where it is missing; "" is "/". Clients can join a namespace
// from then on.
func (s *Server) Of(name string) *Namespace {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	s.nsMu.Lock()
	defer s.nsMu.Unlock()
	ns := s.namespaces[name]
	if ns == nil {
		ns = newNamespace(s, name)
		s.namespaces[name] = ns
	}
	return ns
}

// namespace returns the namespace of that name, or nil.
func (s *Server) namespace(name string) *Namespace {
	s.nsMu.RLock()
	defer s.nsMu.RUnlock()
	return s.namespaces[name]
}

func (s *Server) allNamespaces() []*Namespace {
	s.nsMu.RLock()
	defer s.nsMu.RUnlock()
	all := make([]*Namespace, 0, len(s.namespaces))
	for _, ns := range s.namespaces {
		all = append(all, ns)
	}
	return all
}

// Engine returns the Engine.IO server below. Its Use adds middlewares that run for
// every HTTP request of the transport (engine.use).
func (s *Server) Engine() *engineio.Server { return s.engine }

// Accept admits a connection; the engine calls it. Another transport may too.
func (s *Server) Accept(conn transport.Conn) (transport.Receiver, error) {
	if s.closing.Load() {
		return nil, ErrShutdown
	}
	return newClient(s, conn), nil
}

// Shutdown ends the server in order: no new connection and no new packet is
// taken; events that came are handled, their sessions saved and their answers
// sent; then every connection is closed with the reason "server shutting down", and
// Shutdown returns when nothing runs any more. When ctx ends first, connections
// are closed as they are, and its error is returned. A second call waits for the
// same end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.handOver(ctx)
	s.users.close()
	if s.recovery != nil {
		s.recovery.close()
		for _, ns := range s.allNamespaces() {
			ns.past.close()
		}
	}
	err := s.running.Wait(ctx)
	if err != nil {
		for _, c := range s.allClients() {
			c.abort(transport.ShuttingDown)
		}
	}
	err = errors.Join(err, s.engine.Shutdown(ctx))
	if err == nil {
		err = s.running.Wait(ctx) // the disconnect handlers
	}
	err = errors.Join(err, s.cluster.close(ctx))
	s.presence.close(ctx)
	if err != nil {
		return err
	}
	return s.running.Wait(ctx) // what other nodes still asked for
}

func (s *Server) allClients() []*client {
	s.clientsMu.Lock()
	defer s.clientsMu.Unlock()
	all := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		all = append(all, c)
	}
	return all
}

// Stats counts what the server holds at present.
type Stats struct {
	Connections int // clients of all namespaces
	Sockets     int
	Rooms       int // the sockets' own rooms included
	Sessions    int // sessions that have connections
	Recoverable int // sockets that may come back to this node (Config.Recovery); not of an adapter.Log
	Users       int // users that have sockets, or are still to be told offline
	Engine      engineio.Stats
}

// Stats returns the present counts. After the last client has gone all are 0.
func (s *Server) Stats() Stats {
	st := Stats{Sessions: s.perSession.len(), Users: s.users.len(), Engine: s.engine.Stats()}
	if s.recovery != nil {
		st.Recoverable = s.recovery.len()
	}
	s.clientsMu.Lock()
	st.Connections = len(s.clients)
	s.clientsMu.Unlock()
	for _, ns := range s.allNamespaces() {
		sockets, rooms := ns.rooms.counts()
		st.Sockets += sockets
		st.Rooms += rooms
	}
	return st
}
