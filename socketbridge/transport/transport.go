// Package transport defines the contract between a transport, which carries messages
// (Engine.IO over polling or WebSocket, or another WebSocket library), and the core,
// package socketbridge, which interprets them. It contains only types and imports only
// the standard library, so that a transport and the core can be tested without each
// other.
//
// # Implementing a transport
//
// For each client that connects, a transport must:
//
//  1. Create a Conn, with the Handshake of the HTTP request, and pass it to
//     Acceptor.Accept. If Accept returns an error, the transport refuses the client.
//  2. Read messages and pass each to the returned Receiver's Receive, one at a time.
//     The core never reads from the network, so a Receive that blocks slows the client
//     down. The core does not count messages: the transport limits how fast a client sends.
//  3. Queue the messages of Conn.Send without blocking, write them in order, and tell
//     senders by Conn.Drained when to wait.
//  4. Detect the end of the connection, call Receiver.Closed once, and then close the
//     channel of Conn.Done.
//
// Package engineio implements the transports of Socket.IO clients, and package contribws
// one on top of another library. Run transporttest.TestConn in the tests of a transport:
// it is the conformance suite of this contract.
package transport

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

var (
	// ErrClosed means that the connection is closed or closing. Send queued nothing.
	ErrClosed = errors.New("transport: connection is closed")

	// ErrQueueFull means that the peer reads too slowly and more cannot be queued for it.
	// Send queued nothing. The transport closes the connection, except after a volatile
	// message, which is only dropped.
	ErrQueueFull = errors.New("transport: outbound queue is full")

	// ErrDetached is returned by a Receive that is no longer on the reading goroutine: see
	// Lender.
	ErrDetached = errors.New("transport: another goroutine reads from the connection")
)

// Message is one undecoded message, in either direction.
type Message struct {
	// Binary reports whether the message is binary; otherwise it is text.
	Binary bool
	// Data is the payload without the transport's framing. Receiver and Conn document
	// how long it is valid.
	Data []byte
}

// Flags modify a call of Send.
type Flags uint8

const (
	// Volatile drops the messages if they would have to wait: if the connection cannot
	// write at once, or if its queue is not empty.
	Volatile Flags = 1 << iota

	// Paced says that the sender waits for Conn.Drained before or after each call. Such
	// messages are always queued, because the number of such senders bounds how much they
	// queue.
	Paced
)

// Reason is the reason why a connection or a socket ended, as Socket.IO names it.
type Reason string

// The reasons that transports use.
const (
	TransportClose Reason = "transport close"      // the peer closed the connection, or its network failed
	TransportError Reason = "transport error"      // reading, writing or framing failed
	PingTimeout    Reason = "ping timeout"         // no pong arrived in time
	ParseError     Reason = "parse error"          // the peer sent invalid data
	ForcedClose    Reason = "forced close"         // the core closed the connection
	Refused        Reason = "refused"              // the core refused the client and has sent it the reason
	ShuttingDown   Reason = "server shutting down" // the server is shutting down
)

// Handshake is a copy of the HTTP request that opened a connection. It shares no memory
// with the request and never changes. The Cookie header is omitted: its values are in
// Cookies, without the session cookie. A header or URL parameter that carries the session's
// ID is omitted too.
type Handshake struct {
	Time   time.Time
	Method string
	Path   string
	Host   string
	// RemoteIP is the client's address: the peer's or, if Fiber trusts the peer as a
	// proxy, the one that the proxy names.
	RemoteIP string
	// Secure reports whether the request used TLS, according to Fiber.
	Secure  bool
	Header  http.Header
	Query   url.Values
	Cookies map[string]string
	// Locals are the request's locals with string keys, as set by the app's
	// middlewares. Strings and byte slices are copied.
	Locals map[string]any
	// Auth is the auth option of the client's CONNECT as JSON, or nil if it sent none. The
	// core sets it; transports leave it nil.
	Auth json.RawMessage
	// Lifted is the value that the core extracted from the request: the session.
	// Transports do not interpret it.
	Lifted any
}

// Conn is a connection to one client, from its handshake to its end. It survives an
// upgrade of the transport. All methods are safe for concurrent use, and none blocks.
type Conn interface {
	// ID returns the connection's ID, the sid of Engine.IO. It is a secret between the
	// client and the server.
	ID() string
	// Transport returns the name of the current transport: "polling" or "websocket".
	Transport() string
	// Handshake returns the request that opened the connection. Each call may return a
	// new value. The caller must not modify it.
	Handshake() *Handshake
	// Lifted returns Handshake().Lifted without allocating.
	Lifted() any
	// Send appends msgs to the outbound queue as one group, in order. It queues all of
	// them, or none and returns ErrClosed or ErrQueueFull. It never waits: a sender that can
	// wait calls Drained, and sets Paced. The transport retains each Data until it has been written, so the caller must not modify it after the call.
	// The same Data may be sent on many connections.
	Send(f Flags, msgs ...Message) error
	// Drained returns nil if a sender need not wait. If more is queued than the peer should
	// be behind, it returns a channel that is closed as soon as the peer has taken enough,
	// or when the connection is closing. It returns ErrClosed if the connection is closed or
	// closing. The goroutine that calls Receive must not wait for the channel.
	Drained() (<-chan struct{}, error)
	// Close closes the connection once the queued messages have been written or a short
	// timeout has expired. It returns immediately. Calls after the first do nothing.
	Close(r Reason)
	// Done returns a channel that is closed when all goroutines of the connection have
	// ended.
	Done() <-chan struct{}
}

// Receiver handles the messages of one connection; the core implements it. The
// transport never calls it concurrently, except while a Receive has lent its goroutine: see
// Lender.
type Receiver interface {
	// Receive handles the next message, on the connection's reading goroutine. Data is
	// valid only during the call. Receive may block, to slow down a client that sends
	// too fast; the client cannot time out meanwhile. If Receive returns an error other than
	// ErrDetached, the transport closes the connection with ParseError.
	Receive(m Message) error
	// Closed is called once, after the last Receive that is on the reading goroutine. cause is the error that ended the
	// connection, or nil.
	Closed(r Reason, cause error)
}

// Lender is a Conn whose reading goroutine can be lent to a Receive that calls the application:
// this saves a change of goroutines for each message. If the application takes long, another
// goroutine continues to read. A Conn need not be a Lender; then Receive passes the work of the
// application to goroutines of its own.
type Lender interface {
	// Lend is called by Receive before it calls the application. It returns a number for
	// Return, or 0 if the goroutine cannot be lent. Until Return, other calls of Receive can
	// begin.
	Lend() (loan uint32)
	// Return is called by Receive when the application has returned. It returns false if
	// another goroutine reads now: Receive must then return ErrDetached, and must not use
	// anything that belongs to the reading goroutine.
	Return(loan uint32) bool
	// Detach makes another goroutine read if the reading one is lent. It is called before a
	// Receive, or the application during one, waits for something that the client sends or
	// takes. What was sent before is then written without delay. It is safe for concurrent use.
	Detach()
}

// Interrupter is a Receiver whose Receive may block until the connection has ended. Interrupt
// is called when it has, at most once, and before Closed, which waits for the last Receive.
// Receive must return soon after.
type Interrupter interface{ Interrupt() }

// Acceptor accepts connections; the core implements it.
type Acceptor interface {
	// Accept is called when the handshake is complete and the connection can send. If
	// it returns an error, the transport refuses the client.
	Accept(c Conn) (Receiver, error)
}
