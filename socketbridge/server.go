package socketbridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/presence"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Reason is why a socket was disconnected, in the words of Socket.IO for Node.
type Reason = transport.Reason

// Reasons of a disconnect, in addition to those of package transport.
const (
	ServerDisconnect Reason = "server namespace disconnect" // Socket.Disconnect
	ClientDisconnect Reason = "client namespace disconnect" // the client's socket.disconnect()
	ForcedClose      Reason = "forced server close"         // the connection was closed with all its namespaces
)

// Server is a Socket.IO server whose sockets share the app's sessions. Create it with
// New, mount it with app.Use(io.Handler()), and stop it with Shutdown. All methods are
// safe for concurrent use.
//
// Methods that Namespace also has apply to the default namespace, "/".
type Server struct {
	cfg     Config
	id      string       // of this node
	log     *slog.Logger // for lines at start; all others go through notices
	notices *notice.Board
	tracing tracing

	roomsTraced atomic.Bool // there are Trace.RoomChanged hooks
	engine      *engineio.Server
	root        *Namespace

	nsMu        sync.RWMutex
	namespaces  map[string]*Namespace
	children    int          // how many of them were made by patterns
	patterns    []*Namespace // replaced, never modified in place
	onNamespace []func(*Namespace)

	lastPacked lastPacked // with MsgpackParser
	perSession sessionCounts
	users      userTable
	cluster    *cluster           // nil without an adapter
	presence   *presence.Registry // nil if OnPresence covers this node only; of other nodes only, with adapter.EmitOnly
	recovery   *recoveryBase
	repeats    repeats

	heldBytes atomic.Int64 // of the events of all clients; see eventQuota

	readiness readiness
	drain     drain

	closing  atomic.Bool
	running  serial.Group   // goroutines that run user code
	stopping serial.Context // canceled when Shutdown begins: see Go

	clientsMu sync.Mutex
	clients   map[*client]struct{}
	handlers  handlerWatch

	describers atomic.Pointer[[]describer] // see DescribeSockets; replaced, never modified in place
}

// New returns a new server. It panics if the configuration is invalid; see Config.
func New(config ...Config) *Server {
	cfg := configDefault(config...)
	id := rand.Text()
	s := &Server{
		cfg:        cfg,
		id:         id,
		log:        cfg.Logger,
		notices:    notice.New(cfg.Logger, "node", id),
		namespaces: make(map[string]*Namespace),
		clients:    make(map[*client]struct{}),
	}
	s.users.server, s.users.grace, s.users.limit = s, cfg.Presence.Grace, cfg.Limits.MaxConnsPerUser
	s.users.closed = make(chan struct{})
	s.readiness.began = time.Now()
	s.drain.done = make(chan struct{})
	s.recovery = newRecoveryBase(cfg.Recovery)
	s.repeats.server = s
	hooks := engineio.Hooks{Node: id, Lift: s.lift}
	if cfg.Sessions != nil {
		hooks = engineio.Hooks{
			Node: id,
			Lift: s.lift, SameVisitor: s.sameVisitor, Release: s.releaseLifted,
			SessionCookie: cfg.Sessions.IsSessionCookie,
			SessionHeader: cfg.Sessions.IsSessionHeader,
			SessionQuery:  cfg.Sessions.IsSessionQuery,
		}
	}
	if cfg.Adapter != nil {
		s.cluster = newCluster(s, cfg.Adapter)
		s.presence = newPresence(s)
	}
	s.root = s.Of("/")
	s.engine = engineio.New(s, cfg.Engine, hooks)
	s.tracing.add(s, &s.cfg.Trace) // costs nothing for hooks that are nil
	s.cluster.start()
	s.warnOfPrefork()
	return s
}

// Of returns the namespace with the given name, and creates it if it does not exist.
// Clients can join it from then on. A missing leading slash is added, so "" is "/". If a
// pattern of OfPattern matches the name, the namespace is one of its children.
//
// Of panics if no client could join the namespace: if the name contains a comma, a question
// mark or a control character, is not valid UTF-8, or is longer than 256 bytes.
func (s *Server) Of(name string) *Namespace {
	name, err := namespaceName(name)
	if err != nil {
		panic(fmt.Sprintf("socketbridge: the name of a namespace %v", err))
	}
	s.nsMu.Lock()
	n, created := s.namespaces[name], false
	if n == nil {
		i := slices.IndexFunc(s.patterns, func(p *Namespace) bool { return p.pattern.whole != nil && p.pattern.whole.MatchString(name) })
		if i >= 0 {
			n = s.createChild(name, s.patterns[i])
		} else {
			n = newNamespace(s, name)
			n.mu.Lock()
			n.queueRoomEvents()
			n.mu.Unlock()
			s.namespaces[name] = n
		}
		created = true
	}
	if n.child.parent != nil {
		n.child.pinned = true
		if n.child.idle != nil {
			n.child.idle.Stop()
			n.child.idle = nil
		}
	}
	hooks := s.onNamespace
	s.nsMu.Unlock()
	if created {
		s.announceNamespace(n, hooks)
	}
	return n
}

// namespace returns the namespace with the given name, or nil.
func (s *Server) namespace(name string) *Namespace {
	s.nsMu.RLock()
	defer s.nsMu.RUnlock()
	return s.namespaces[name]
}

// Namespaces returns the namespaces that exist on this node, with the children of patterns
// and without the patterns themselves, sorted by name.
func (s *Server) Namespaces() []*Namespace {
	all := s.allNamespaces()
	slices.SortFunc(all, func(a, b *Namespace) int { return strings.Compare(a.name, b.name) })
	return all
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

// Engine returns the underlying Engine.IO server. Its Use method adds middlewares that
// run for every HTTP request of the transport (engine.use).
func (s *Server) Engine() *engineio.Server { return s.engine }

// Refusal describes an HTTP request that the transport refused.
type Refusal = engineio.Refusal

// OnRefused adds a handler for HTTP requests that the transport refuses (connection_error of
// Socket.IO's engine). It is not called for clients that a connect middleware (Use) refuses.
// See engineio.Server.OnRefused.
func (s *Server) OnRefused(fn func(r Refusal)) { s.engine.OnRefused(fn) }

// Accept implements transport.Acceptor. The engine calls it for every new connection;
// other transports can call it too. It returns ErrShutdown after Shutdown was called.
func (s *Server) Accept(conn transport.Conn) (transport.Receiver, error) {
	if s.closing.Load() {
		return nil, ErrShutdown
	}
	if s.drain.refusing.Load() {
		return nil, ErrShutdown
	}
	return newClient(s, conn), nil
}

// Shutdown stops the server gracefully. With Config.Drain, it first sends the clients to other
// nodes, a few at a time. Then it refuses new connections and packets, waits until the received
// events are handled, their sessions saved and their answers sent, and closes every
// connection with the reason "server shutting down". It returns when no handler is running
// any more. If ctx ends first, Shutdown drops queued events, closes the connections at once
// and returns ctx's error. Further calls wait for the same end.
func (s *Server) Shutdown(ctx context.Context) error {
	s.readiness.close()
	s.drainClients(ctx)
	s.drain.stop.Fire()
	s.closing.Store(true)
	s.stopping.Cancel()
	s.handOverUsers(ctx)
	s.users.close()
	s.recovery.states.close()
	s.stopChildTimers()
	for _, ns := range s.allNamespaces() {
		ns.recovery.close()
	}
	err := s.running.Wait(ctx)
	if err != nil {
		for _, c := range s.allClients() {
			c.abort(transport.ShuttingDown)
		}
	}
	err = errors.Join(err, s.engine.Shutdown(ctx))
	if err == nil {
		err = s.running.Wait(ctx) // for the disconnect handlers
	}
	err = errors.Join(err, s.cluster.close(ctx))
	s.closePresence(ctx)
	if err != nil {
		return err
	}
	return s.running.Wait(ctx) // for handlers of requests that other nodes had sent
}

func (s *Server) clientCount() int {
	s.clientsMu.Lock()
	defer s.clientsMu.Unlock()
	return len(s.clients)
}

// Go runs fn on a goroutine that Shutdown waits for. ctx is canceled when Shutdown begins. Go
// returns ErrShutdown, and does not run fn, if Shutdown was called before. A panic of fn is
// logged.
func (s *Server) Go(fn func(ctx context.Context)) error {
	s.running.Add()
	if s.closing.Load() {
		s.running.Done()
		return ErrShutdown
	}
	go func() { // Shutdown waits for it
		defer s.running.Done()
		var returned bool
		s.call("a goroutine", "Server.Go", nil, &returned, func() { fn(&s.stopping) })
	}()
	return nil
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

// Stats holds the server's current counts on this node.
type Stats struct {
	Connections int // open connections
	Sockets     int // sockets of all namespaces
	Children    int // namespaces that patterns made (Server.OfPattern)
	Rooms       int // including the rooms of the sockets' own IDs, their sessions and their users
	Sessions    int // sessions with connections
	Recoverable int // disconnected sockets that this node keeps for recovery (Config.Recovery); 0 with an adapter.Log
	Users       int // users with sockets, or who OnPresence has not reported offline yet
	Engine      engineio.Stats

	// Emitted counts the events that sockets and broadcasts of this node have emitted since New:
	// those of Trace.Emitted. A broadcast counts once.
	Emitted uint64

	// Notices counts what the server also writes to its log, since New, by the names in
	// docs/troubleshooting.md. The log is bounded, the counts are not. Those of the engine
	// are in Engine.Notices; those of an adapter.Reporter, such as redisadapter, are here.
	Notices map[string]uint64
}

// Stats returns the current counts. All but Emitted and Notices fall to 0 after the last client has
// disconnected and the grace periods of presence and recovery have passed.
func (s *Server) Stats() Stats {
	st := Stats{Connections: s.clientCount(), Notices: s.noticeCounts(), Sessions: s.perSession.len(), Users: s.users.len(), Recoverable: s.recovery.states.len(), Emitted: s.tracing.emitted.Load(), Engine: s.engine.Stats()}
	s.nsMu.RLock()
	st.Children = s.children
	s.nsMu.RUnlock()
	for _, ns := range s.allNamespaces() {
		sockets, rooms := ns.rooms.counts()
		st.Sockets += sockets
		st.Rooms += rooms
	}
	return st
}
