package socketbridge

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
)

// This file holds the methods that apply to the default namespace, "/".

// Use adds connect middlewares to the default namespace. See Namespace.Use.
func (s *Server) Use(mw ...ConnectHandler) { s.root.Use(mw...) }

// OnConnection adds a connection handler to the default namespace. See
// Namespace.OnConnection.
func (s *Server) OnConnection(fn func(*Socket)) { s.root.OnConnection(fn) }

// RequireSession makes the default namespace refuse clients without a stored session.
// See Namespace.RequireSession.
func (s *Server) RequireSession() { s.root.RequireSession() }

// OnInvalidSession adds a handler for sockets of the default namespace without a valid
// session. See Namespace.OnInvalidSession.
func (s *Server) OnInvalidSession(fn func(s *Socket, err error)) { s.root.OnInvalidSession(fn) }

// OnSessionChange adds a handler for session changes of the default namespace's sockets.
// See Namespace.OnSessionChange.
func (s *Server) OnSessionChange(fn func(s *Socket, keys []string)) { s.root.OnSessionChange(fn) }

// On adds an event chain for all sockets of the default namespace. See Namespace.On.
func (s *Server) On(event string, chain ...Handler) { s.root.On(event, chain...) }

// Off removes the event chains of the default namespace for event. See Namespace.Off.
func (s *Server) Off(event string) { s.root.Off(event) }

// Emit sends an event to all sockets of the default namespace. See Broadcast.Emit.
func (s *Server) Emit(event string, args ...any) error { return s.root.Emit(event, args...) }

// To addresses the sockets of the default namespace that are in any of rooms.
func (s *Server) To(rooms ...string) Broadcast { return s.root.To(rooms...) }

// In is the same as To.
func (s *Server) In(rooms ...string) Broadcast { return s.root.To(rooms...) }

// Except addresses the sockets of the default namespace that are in none of rooms.
func (s *Server) Except(rooms ...string) Broadcast { return s.root.Except(rooms...) }

// Broadcast addresses all sockets of the default namespace.
func (s *Server) Broadcast() Broadcast { return s.root.Broadcast() }

// Volatile addresses all sockets of the default namespace. See Broadcast.Volatile.
func (s *Server) Volatile() Broadcast { return s.root.Volatile() }

// Local addresses the sockets of the default namespace on this node.
func (s *Server) Local() Broadcast { return s.root.Local() }

// Compress addresses all sockets of the default namespace. See Broadcast.Compress.
func (s *Server) Compress(compress bool) Broadcast { return s.root.Compress(compress) }

// Timeout addresses all sockets of the default namespace. See Broadcast.Timeout.
func (s *Server) Timeout(d time.Duration) Broadcast { return s.root.Timeout(d) }

// OnRoomEvent adds a handler for changes of the rooms of the default namespace. See
// Namespace.OnRoomEvent.
func (s *Server) OnRoomEvent(fn func(e RoomEvent)) { s.root.OnRoomEvent(fn) }

// ToSession addresses all sockets of a session in the default namespace, that is, all
// tabs of one browser. ref is a *fibersession.Session, a *fibersession.Handle or a SessionName.
func (s *Server) ToSession(ref SessionRef) Broadcast { return s.root.ToSession(ref) }

// ToUser addresses all sockets of users in the default namespace, on all their devices.
// See Namespace.ToUser.
func (s *Server) ToUser(ids ...string) Broadcast { return s.root.ToUser(ids...) }

// Sockets returns the sockets of the default namespace on this node.
func (s *Server) Sockets() []*Socket { return s.root.Sockets() }

// WebSocket returns the handler of a route that serves plain WebSockets as sockets
// of the default namespace. See Namespace.WebSocket.
func (s *Server) WebSocket() fiber.Handler { return s.root.WebSocket() }

// FetchSockets returns the sockets of the default namespace on all nodes. See
// Broadcast.FetchSockets.
func (s *Server) FetchSockets(ctx context.Context) ([]RemoteSocket, error) {
	return s.root.FetchSockets(ctx)
}

// Nodes returns the number of nodes that serve the default namespace. See
// Namespace.Nodes.
func (s *Server) Nodes(ctx context.Context) (int, error) { return s.root.Nodes(ctx) }

// OnServerSideEmit adds a handler for events of other nodes to the default namespace. See
// Namespace.OnServerSideEmit.
func (s *Server) OnServerSideEmit(event string, fn func(e *ServerEvent)) {
	s.root.OnServerSideEmit(event, fn)
}

// ServerSideEmit sends an event to the servers of all other nodes. See
// Namespace.ServerSideEmit.
func (s *Server) ServerSideEmit(event string, args ...any) error {
	return s.root.ServerSideEmit(event, args...)
}

// ServerSideEmitContext is ServerSideEmit with the values of ctx. See
// Namespace.ServerSideEmitContext.
func (s *Server) ServerSideEmitContext(ctx context.Context, event string, args ...any) error {
	return s.root.ServerSideEmitContext(ctx, event, args...)
}

// ServerSideEmitWithAck sends an event to the servers of all other nodes and collects
// their answers. See Namespace.ServerSideEmitWithAck.
func (s *Server) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	return s.root.ServerSideEmitWithAck(ctx, event, args...)
}
