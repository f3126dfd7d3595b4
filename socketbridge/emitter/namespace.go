package emitter

import (
	"context"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// Namespace addresses the sockets of one namespace on all nodes. It is a value, and safe for
// concurrent use. See socketbridge.Broadcast for what its methods return.
type Namespace struct{ ns *socketbridge.Namespace }

// Name returns the namespace's name, such as "/".
func (n Namespace) Name() string { return n.ns.Name() }

// Broadcast addresses all sockets of the namespace. Its Join, Leave and Disconnect methods act on
// them.
func (n Namespace) Broadcast() socketbridge.Broadcast { return n.ns.Broadcast() }

// To addresses the sockets that are in any of rooms. The ID of a socket is a room.
func (n Namespace) To(rooms ...string) socketbridge.Broadcast { return n.ns.To(rooms...) }

// In is an alias of To.
func (n Namespace) In(rooms ...string) socketbridge.Broadcast { return n.ns.To(rooms...) }

// Except addresses the sockets that are in none of rooms.
func (n Namespace) Except(rooms ...string) socketbridge.Broadcast { return n.ns.Except(rooms...) }

// ToUser addresses the sockets of users, on all their devices. Without Config.Sessions, the
// methods of the Broadcast return socketbridge.ErrNoSessions.
func (n Namespace) ToUser(ids ...string) socketbridge.Broadcast { return n.ns.ToUser(ids...) }

// ToSession addresses the sockets of a session: the tabs of one browser. ref is a
// *fibersession.Session, a *fibersession.Handle or a socketbridge.SessionName.
func (n Namespace) ToSession(ref socketbridge.SessionRef) socketbridge.Broadcast {
	return n.ns.ToSession(ref)
}

// Volatile addresses all sockets. See socketbridge.Broadcast.Volatile.
func (n Namespace) Volatile() socketbridge.Broadcast { return n.ns.Volatile() }

// Compress addresses all sockets. See socketbridge.Broadcast.Compress.
func (n Namespace) Compress(compress bool) socketbridge.Broadcast { return n.ns.Compress(compress) }

// Timeout addresses all sockets. See socketbridge.Broadcast.Timeout.
func (n Namespace) Timeout(d time.Duration) socketbridge.Broadcast { return n.ns.Timeout(d) }

// Emit sends an event to all sockets of the namespace. See socketbridge.Broadcast.Emit. An
// error that wraps adapter.ErrUnavailable means that nothing was sent, one that wraps
// adapter.ErrUnknownOutcome that it may have been sent.
func (n Namespace) Emit(event string, args ...any) error { return n.ns.Emit(event, args...) }

// FetchSockets returns the sockets of the namespace. See socketbridge.Broadcast.FetchSockets.
func (n Namespace) FetchSockets(ctx context.Context) ([]socketbridge.RemoteSocket, error) {
	return n.ns.FetchSockets(ctx)
}

// AllRooms returns the names of the namespace's rooms. See socketbridge.Namespace.AllRooms.
func (n Namespace) AllRooms(ctx context.Context) ([]string, error) { return n.ns.AllRooms(ctx) }

// Nodes returns how many nodes serve the namespace.
func (n Namespace) Nodes(ctx context.Context) (int, error) { return n.ns.Nodes(ctx) }

// ServerSideEmit sends an event to the servers, not to sockets. See
// socketbridge.Namespace.ServerSideEmit.
func (n Namespace) ServerSideEmit(event string, args ...any) error {
	return n.ns.ServerSideEmit(event, args...)
}

// ServerSideEmitContext is ServerSideEmit with the values of ctx. See
// socketbridge.Namespace.ServerSideEmitContext.
func (n Namespace) ServerSideEmitContext(ctx context.Context, event string, args ...any) error {
	return n.ns.ServerSideEmitContext(ctx, event, args...)
}

// ServerSideEmitWithAck sends an event to the servers and collects one answer of each. See
// socketbridge.Namespace.ServerSideEmitWithAck.
func (n Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]socketbridge.Answer, error) {
	return n.ns.ServerSideEmitWithAck(ctx, event, args...)
}
