// Package transport is the contract between what carries messages (Engine.IO
// over polling or WebSocket, or another WebSocket layer) and the core that gives
// them meaning. It holds types only and imports the standard library only, so
// that a transport and the core can each be tested without the other.
//
// A transport owns reading: it reads, and calls the core. The core never reads;
// it sends, and sending never blocks.
package transport

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

var (
	// ErrClosed says that the connection has ended or is ending. What was given
	// to Send was not queued.
	ErrClosed = errors.New("transport: connection is closed")

	// ErrQueueFull says that the peer does not keep up: its outbound queue is at
	// its limit. Nothing of the call was queued, and the connection is being
	// closed (but for a volatile message, which is only dropped).
	ErrQueueFull = errors.New("transport: outbound queue is full")
)

// Message is one undecoded message in either direction.
type Message struct {
	// Binary tells a binary message from a text one.
	Binary bool
	// Data is the payload, without any framing of the transport. See Receiver and
	// Conn for how long it may be used.
	Data []byte
}

// Flags qualify one Send.
type Flags uint8

const (
	// Volatile messages are dropped when they would have to wait: the connection
	// is not ready to write at once, or its queue is not empty.
	Volatile Flags = 1 << iota
)

// Reason says why a connection or a socket ended, in Socket.IO's own words.
type Reason string

// The reasons that a transport gives.
const (
	TransportClose Reason = "transport close"      // the peer closed, or its network did
	TransportError Reason = "transport error"      // reading, writing or framing failed
	PingTimeout    Reason = "ping timeout"         // no pong in time
	ParseError     Reason = "parse error"          // the peer sent what cannot be understood
	ForcedClose    Reason = "forced close"         // the core closed it
	Refused        Reason = "refused"              // the core did not let it in, and has said why
	ShuttingDown   Reason = "server shutting down" // the whole server ends
)

// Handshake is what is kept of the HTTP request that opened a connection: copies,
// which share no memory with the request and never change. The Cookie header is
// not among the headers: its values are in Cookies, without the session's.
type Handshake struct {
	Time   time.Time
	Method string
	Path   string
	Host   string
	// RemoteIP is the peer's address as Fiber sees it (its trusted-proxy
	// settings apply).
	RemoteIP string
	// Secure is true when the request came over TLS, as Fiber sees it.
	Secure  bool
	Header  http.Header
	Query   url.Values
	Cookies map[string]string
	// Locals are the request's locals that have a string key, as the app's own
	// middlewares set them. Strings and byte slices are copies.
	Locals map[string]any
	// Lifted is what the core took from the request while it lasted (its
	// session). It is opaque to transports.
	Lifted any
}

// Conn is one live connection to one client, from its handshake to its end,
// through an upgrade of its transport. All methods are safe for concurrent use,
// and none of them blocks.
type Conn interface {
	// ID is the connection's ID (Engine.IO's sid): a secret between the two ends.
	ID() string
	// Transport names what carries the connection at present: "polling" or
	// "websocket".
	Transport() string
	// Handshake tells the request that opened the connection. It may be made anew
	// for each call, and must not be changed.
	Handshake() *Handshake
	// Lifted returns Handshake().Lifted, at no cost.
	Lifted() any
	// Send queues msgs, together and in order, after all that was queued before.
	// All of them are queued or none: ErrClosed, ErrQueueFull. The transport keeps
	// the Data of each message until it is written: the caller must not change it
	// afterwards, and may give the same Data to many connections.
	Send(f Flags, msgs ...Message) error
	// Close ends the connection after what is queued was written, or a short
	// while passed. It returns at once. Only the first call counts.
	Close(r Reason)
	// Done is closed when nothing of the connection runs any more.
	Done() <-chan struct{}
}

// Receiver is the core's end of a connection. Its calls never overlap.
type Receiver interface {
	// Receive takes the next message, on the connection's reading goroutine. Its
	// Data is valid during the call only. It may wait (that is how a client that
	// sends faster than it is served is slowed down), and while it waits, no ping
	// timeout is counted against the client. An error ends the connection with
	// ParseError.
	Receive(m Message) error
	// Closed is called once, after the last Receive.
	Closed(r Reason, cause error)
}

// Acceptor admits connections; the core is one.
type Acceptor interface {
	// Accept is called when the handshake is complete and the connection can
	// send. An error refuses the connection.
	Accept(c Conn) (Receiver, error)
}
