// Package inmemory is the contract between the server and clients in the same process, which
// need no network. Package bridgetest has the client. It opens a connection with a handshake
// request like any other, so that all middlewares, checks and limits of sessions apply:
//
//  1. The handshake reaches the app over a net.Conn that is a Client. No request from a network
//     has one.
//  2. In place of the upgrade to a WebSocket, engineio calls Client.NewConn with the Handshake,
//     passes the Conn to the transport.Acceptor, and the Receiver to Conn.Attach.
//  3. The Receiver of socketbridge implements Receiver, from which the client learns when the
//     server is idle and what its handlers returned.
//
// engineio closes the connections on Shutdown, as it does those of a network. It neither counts
// nor limits connections in memory by address.
package inmemory

import (
	"context"
	"net"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Client is the network connection of a handshake request from a client in memory.
type Client interface {
	net.Conn
	// NewConn returns the connection that the handshake opens. It is called at most once.
	NewConn(hs *transport.Handshake) Conn
}

// Conn is a connection in memory.
type Conn interface {
	transport.Conn
	// Attach sets the Receiver that the Acceptor returned. It is called at most once. If the
	// connection is already closed, Attach calls the Receiver's Closed.
	Attach(r transport.Receiver)
}

// Receiver is the Receiver of a client of socketbridge.Server.
type Receiver interface {
	transport.Receiver
	// UsesMsgpack reports whether the server expects packets in MessagePack.
	UsesMsgpack() bool
	// Observe sets the observer. It must be called before the first Receive.
	Observe(o Observer)
	// Go runs fn on a goroutine of its own, which Settle and Server.Shutdown wait for.
	Go(fn func())
	// Settle waits until the server runs no handler of the app and no function of Go. It
	// returns an error if ctx ends first.
	Settle(ctx context.Context) error
}

// Observer is told what happened to a client's packets. Its methods run on the goroutine of the
// packet, and must not block. The hooks of socketbridge.Trace cannot replace it:
//   - Trace.Handled promises that the acknowledgement was sent, and an OpHandle lasts until
//     then. A test that has the answer must already be able to ask for the handler's error.
//   - Trace.Connected comes before the connection handlers, and a client is connected for a
//     test after them.
//   - Hooks are those of a server, for all of its clients. An Observer is that of one client,
//     and knows the ID of the event that the client sent.
type Observer interface {
	// Connected is called after the connection handlers of a namespace have returned. socket is
	// the *socketbridge.Socket.
	Connected(namespace string, socket any)
	// Refused is called with the reason before a CONNECT is refused.
	Refused(namespace string, err error)
	// Handled is called with the error of an event's handlers and of the save, or nil, before
	// the event is answered. asked says that the client asked for an answer, under id.
	Handled(namespace string, id uint64, asked bool, err error)
	// Disconnected is called with the ID of a socket whose last handler has returned. reason is
	// what the disconnect handlers got.
	Disconnected(namespace, socketID string, reason transport.Reason)
}
