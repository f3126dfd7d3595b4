package transporttest

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Conn is an in-memory transport.Conn whose client is the test. Create it with NewConn
// or Connect. All methods are safe for concurrent use.
type Conn struct {
	id    string
	hs    *transport.Handshake
	token chan struct{} // holds one token; its owner may call the receiver
	done  chan struct{}

	sent recording[transport.Message]

	mu        sync.Mutex
	transport string
	receiver  transport.Receiver
	limit     int           // maximum number of messages not yet returned by Next; 0 means none
	ready     bool          // volatile messages are accepted
	drained   chan struct{} // see Drained; nil without a waiter
	closed    bool
	notified  bool // the receiver's Closed has been called
	reason    transport.Reason
	cause     error
}

// NewConn returns an open connection with the given handshake. If hs is nil, it uses a
// plain GET from 192.0.2.1, an address reserved for documentation.
func NewConn(hs *transport.Handshake) *Conn {
	if hs == nil {
		hs = &transport.Handshake{Time: time.Now(), Method: "GET", Path: "/socket.io/", Host: "example.com", RemoteIP: "192.0.2.1"}
	}
	c := &Conn{
		id:        rand.Text(),
		hs:        hs,
		token:     make(chan struct{}, 1),
		done:      make(chan struct{}),
		transport: "websocket",
		ready:     true,
	}
	c.token <- struct{}{}
	return c
}

// Connect creates a connection and passes it to the acceptor. If the acceptor refuses
// it, Connect closes the connection and returns it with the acceptor's error.
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

// Attach sets the receiver, for tests that call Accept themselves. If the connection is
// already closed, Attach calls the receiver's Closed.
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
	late := !c.notified
	c.notified = true
	c.mu.Unlock()
	if late {
		r.Closed(c.Reason())
	}
}

// ID returns a random ID.
func (c *Conn) ID() string { return c.id }

// Handshake returns the handshake that was passed to NewConn.
func (c *Conn) Handshake() *transport.Handshake { return c.hs }

// Lifted returns the Lifted field of the handshake.
func (c *Conn) Lifted() any { return c.hs.Lifted }

// Done returns a channel that is closed after Receiver.Closed has returned.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Transport returns "websocket", or the name set by SetTransport.
func (c *Conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport
}

// SetTransport sets the transport's name, to simulate an upgrade.
func (c *Conn) SetTransport(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport = name
}

// Limit simulates a slow peer. While more than n messages wait for Next, Drained tells
// senders to wait. If more than 2n would wait, Send without transport.Paced returns
// ErrQueueFull and closes the connection with TransportError. Volatile messages are dropped
// when more than n/2 messages would wait. The default, 0, means no limit.
func (c *Conn) Limit(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = n
}

// SetReady sets whether the connection accepts volatile messages; by default it does.
// Otherwise Send drops them and returns ErrQueueFull.
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
	} else if f&transport.Paced == 0 && c.limit > 0 && waiting > 2*c.limit {
		c.mu.Unlock()
		c.end(transport.TransportError, transport.ErrQueueFull)
		return transport.ErrQueueFull
	}
	c.sent.add(msgs...)
	c.mu.Unlock()
	return nil
}

// Drained returns a channel while more messages wait for Next than Limit allows.
func (c *Conn) Drained() (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, transport.ErrClosed
	case c.limit == 0 || c.sent.waiting() <= c.limit:
		return nil, nil
	case c.drained == nil:
		c.drained = make(chan struct{})
	}
	return c.drained, nil
}

// releaseSenders closes the channel of Drained, if senders need not wait any more. c.mu must
// be held.
func (c *Conn) releaseSenders() {
	if c.drained != nil && (c.closed || c.sent.waiting() <= c.limit) {
		close(c.drained)
		c.drained = nil
	}
}

// Close closes the connection from the core's side.
func (c *Conn) Close(r transport.Reason) { c.end(r, nil) }

// Leave closes the connection from the client's side. It returns when the receiver's
// Closed has returned.
func (c *Conn) Leave(r transport.Reason, cause error) {
	c.end(r, cause)
	<-c.done
}

// Text sends a text message from the client. It returns when Receive has returned. If
// Receive returns an error, Text closes the connection with ParseError and returns it.
func (c *Conn) Text(data string) error {
	return c.Deliver(transport.Message{Data: []byte(data)})
}

// Binary sends a binary message from the client. It is like Text otherwise.
func (c *Conn) Binary(data []byte) error {
	return c.Deliver(transport.Message{Binary: true, Data: slices.Clone(data)})
}

// Deliver sends messages from the client, such as a packet and its attachments. Concurrent calls
// run one after the other, so no other message comes between them. After Receive has returned,
// Deliver overwrites a message's Data, so that tests detect a receiver that retains it. It
// returns ErrClosed if the connection is closed; after an error, it sends no further message.
func (c *Conn) Deliver(msgs ...transport.Message) error {
	<-c.token
	defer func() { c.token <- struct{}{} }()
	for _, m := range msgs {
		if err := c.deliver(m); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends one message. The caller has the token.
func (c *Conn) deliver(m transport.Message) error {
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

// Next returns the next message that the core sent, in order. It waits for a message
// until ctx ends. It returns ErrClosed if the connection is closed and Next has returned
// all messages.
func (c *Conn) Next(ctx context.Context) (transport.Message, error) {
	m, err := c.sent.dequeue(ctx)
	c.mu.Lock()
	c.releaseSenders()
	c.mu.Unlock()
	return m, err
}

// Sent returns all messages sent so far, including those that Next has returned.
func (c *Conn) Sent() []transport.Message { return c.sent.all() }

// Reason returns the reason and the cause of the connection's end, or "" and nil while
// it is open.
func (c *Conn) Reason() (transport.Reason, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason, c.cause
}

// end closes the connection once. It calls the receiver's Closed after the last Receive.
func (c *Conn) end(reason transport.Reason, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.reason, c.cause = true, reason, cause
	c.sent.end()
	c.releaseSenders()
	interrupter, _ := c.receiver.(transport.Interrupter)
	go func() { // closes done
		if interrupter != nil {
			interrupter.Interrupt()
		}
		<-c.token
		c.mu.Lock()
		r := c.receiver
		c.notified = r != nil
		c.mu.Unlock()
		if r != nil {
			r.Closed(reason, cause)
		}
		close(c.done)
		c.token <- struct{}{}
	}()
}
