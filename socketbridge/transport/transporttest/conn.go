package transporttest

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Conn is an in-memory transport.Conn whose peer is the test. Make it with
// NewConn or Connect. All methods are safe for concurrent use.
type Conn struct {
	id   string
	hs   *transport.Handshake
	turn chan struct{} // holds one token; who has it may call the receiver
	done chan struct{}

	sent journal[transport.Message]

	mu        sync.Mutex
	transport string
	receiver  transport.Receiver
	limit     int  // of messages that Next has not taken; 0: none
	ready     bool // a volatile message would be written at once
	closed    bool
	told      bool // the receiver's Closed was called
	reason    transport.Reason
	cause     error
}

// NewConn returns an open connection that was opened by the given request; nil
// stands for a plain GET from 192.0.2.1 (a documentation address).
func NewConn(hs *transport.Handshake) *Conn {
	if hs == nil {
		hs = &transport.Handshake{Time: time.Now(), Method: "GET", Path: "/socket.io/", Host: "example.com", RemoteIP: "192.0.2.1"}
	}
	c := &Conn{
		id:        rand.Text(),
		hs:        hs,
		turn:      make(chan struct{}, 1),
		done:      make(chan struct{}),
		transport: "websocket",
		ready:     true,
	}
	c.turn <- struct{}{}
	return c
}

// Connect makes a connection and gives it to the acceptor. When the acceptor
// refuses it, the connection has ended and the acceptor's error is returned.
func Connect(a transport.Acceptor, hs *transport.Handshake) (*Conn, error) {
	c := NewConn(hs)
	r, err := a.Accept(c)
	if err != nil {
		c.Leave(transport.ForcedClose, err)
		return c, err
	}
	c.Attach(r)
	return c, nil
}

// Attach sets the receiver, for tests that call Accept themselves. A connection
// that was closed before tells its receiver now.
func (c *Conn) Attach(r transport.Receiver) {
	c.mu.Lock()
	c.receiver = r
	ended := c.closed
	c.mu.Unlock()
	if !ended {
		return
	}
	<-c.done
	c.mu.Lock()
	late := !c.told
	c.told = true
	c.mu.Unlock()
	if late {
		r.Closed(c.Reason())
	}
}

// ID returns a random ID.
func (c *Conn) ID() string { return c.id }

// Handshake returns the request that NewConn was given.
func (c *Conn) Handshake() *transport.Handshake { return c.hs }

// Lifted returns what came with the handshake.
func (c *Conn) Lifted() any { return c.hs.Lifted }

// Done is closed after Receiver.Closed has returned.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Transport returns "websocket", or what SetTransport said.
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport
}

// SetTransport plays an upgrade.
func (c *Conn) SetTransport(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport = name
}

// Limit makes the peer slow: when n messages wait for Next, further ones are
// refused with ErrQueueFull and the connection is closed with TransportError.
// Volatile messages are dropped from the half of n on. 0, as at the start, is no
// limit.
func (c *Conn) Limit(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = n
}

// SetReady tells whether a volatile message can be written at once; at the start
// it can. One that cannot is dropped with ErrQueueFull.
func (c *Conn) SetReady(ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = ready
}

// Send records msgs for Next and Sent.
func (c *Conn) Send(f transport.Flags, msgs ...transport.Message) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return transport.ErrClosed
	}
	waiting := c.sent.waiting() + len(msgs)
	if f&transport.Volatile != 0 {
		if !c.ready || c.limit > 0 && waiting > c.limit/2 {
			c.mu.Unlock()
			return transport.ErrQueueFull
		}
	} else if c.limit > 0 && waiting > c.limit {
		c.mu.Unlock()
		c.end(transport.TransportError, transport.ErrQueueFull)
		return transport.ErrQueueFull
	}
	c.sent.add(msgs...)
	c.mu.Unlock()
	return nil
}

// Close ends the connection from the core's side.
func (c *Conn) Close(r transport.Reason) { c.end(r, nil) }

// Leave ends the connection from the peer's side and returns when the receiver
// was told.
func (c *Conn) Leave(r transport.Reason, cause error) {
	c.end(r, cause)
	<-c.done
}

// Text delivers a text message from the peer; it returns when Receive has. An
// error of the receiver ends the connection with ParseError, and is returned.
func (c *Conn) Text(data string) error {
	return c.Deliver(transport.Message{Data: []byte(data)})
}

// Binary delivers a binary message from the peer.
func (c *Conn) Binary(data []byte) error {
	return c.Deliver(transport.Message{Binary: true, Data: slices.Clone(data)})
}

// Deliver delivers m from the peer; calls that overlap wait for each other. After
// the call m.Data is overwritten, so that a receiver that kept it is found out.
// It returns ErrClosed when the connection has ended.
func (c *Conn) Deliver(m transport.Message) error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.mu.Lock()
	r, closed := c.receiver, c.closed
	c.mu.Unlock()
	if closed {
		return transport.ErrClosed
	}
	err := r.Receive(m)
	for i := range m.Data {
		m.Data[i] = 0xAA
	}
	if err != nil {
		c.end(transport.ParseError, err)
	}
	return err
}

// Next returns the next message that the core sent, in order. It waits for one
// until ctx ends, and returns ErrClosed when the connection ended and all was
// taken.
func (c *Conn) Next(ctx context.Context) (transport.Message, error) { return c.sent.take(ctx) }

// Sent returns all messages that were sent so far, taken by Next or not.
func (c *Conn) Sent() []transport.Message { return c.sent.all() }

// Reason returns why the connection ended, and "" while it is open.
func (c *Conn) Reason() (transport.Reason, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason, c.cause
}

// end closes the connection once; the receiver is told after its last Receive.
func (c *Conn) end(reason transport.Reason, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.reason, c.cause = true, reason, cause
	c.sent.end()
	go func() { // Done waits for it
		<-c.turn
		c.mu.Lock()
		r := c.receiver
		c.told = r != nil
		c.mu.Unlock()
		if r != nil {
			r.Closed(reason, cause)
		}
		close(c.done)
		c.turn <- struct{}{}
	}()
}
