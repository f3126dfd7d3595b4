package engineio

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// state is how far a connection is. It only grows.
type state = int32

const (
	opening state = iota // its client cannot know it yet
	open
	closing // what is queued is still sent; what comes is dropped
	closed  // nothing is sent or received
)

// conn is one connection. Its ends meet in two places: out, the queue of what is
// to be sent, and turn, the right to call the receiver.
//
// On polling it is carried by whatever requests are there; on a WebSocket by a
// goroutine that reads, and by the queue's worker, which writes. Locks:
// mu, then the queue's own. Neither is held while the core is called or while
// bytes move.
type conn struct {
	server   *Server
	acceptor transport.Acceptor
	plain    bool // messages travel without Engine.IO's framing: see Server.Plain
	id       string
	request  snapshot // of the handshake
	addr     netip.Addr

	out   serial.Queue[packet]
	turn  chan struct{} // full while somebody may call recv
	recv  transport.Receiver
	done  serial.Signal // fired when nothing of it runs any more
	wake  chan struct{} // tells the waiting poll to look again; nil when there is none
	state atomic.Int32  // written with mu
	stall stall

	mu        sync.Mutex // guards what follows
	reason    transport.Reason
	cause     error
	ws        *wsWriter // what carries the connection; nil is polling
	probe     *wsWriter // a WebSocket that is about to
	probed    bool      // the probe was answered: polls must end soon
	switching bool      // the WebSocket takes over as soon as no post is being read
	polling   bool      // a poll is waiting
	release   bool      // the waiting poll should end
	said      bool      // our goodbye was written to the WebSocket
	heard     bool      // the client's goodbye was read from it
	farewell  eiopacket.Type
	timer     *time.Timer
	duty      duty
	due       time.Duration // when the duty is, by Server.now; the timer may be about to fire for the last one
	pinged    time.Duration
}

// packet is what waits to be sent.
type packet struct {
	kind kind
	code uint16 // of a goodbye
	data []byte
}

type kind uint8

const (
	textMessage kind = iota
	binaryMessage
	openPacket
	pingPacket
	probePong
	plainText // a text message of a plain connection
	wsPing    // a plain connection's ping
	wsPong    // the answer to a ping of the WebSocket
	goodbye   // always the last
)

func packetSize(p packet) int { return len(p.data) }

// newConn makes a connection that is opening. Only its timer runs.
func newConn(s *Server, id string, request snapshot, addr netip.Addr, transportName string) *conn {
	c := &conn{
		server:   s,
		acceptor: s.acceptor,
		id:       id,
		request:  request,
		addr:     addr,
		turn:     make(chan struct{}, 1),
		farewell: eiopacket.Close,
	}
	if transportName == Polling {
		c.wake = make(chan struct{}, 1)
	}
	c.out.MaxItems, c.out.MaxSize, c.out.Size = s.cfg.Limits.MaxQueueMessages, s.cfg.Limits.MaxQueueBytes, packetSize
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(s.cfg.Timeouts.Upgrade, c.onTimer)
	c.arm(dutyOpen, s.cfg.Timeouts.Upgrade)
	return c
}

// ID returns the connection's sid.
func (c *conn) ID() string { return c.id }

// Handshake tells the request that opened the connection.
func (c *conn) Handshake() *transport.Handshake { return c.request.handshake() }

// Lifted returns what Hooks.Lift returned.
func (c *conn) Lifted() any { return c.request.lifted }

// Done is closed when nothing of the connection runs any more.
func (c *conn) Done() <-chan struct{} { return c.done.Done() }

// Transport names what carries the connection at present.
func (c *conn) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws != nil || c.wake == nil {
		return WebSocket
	}
	return Polling
}

// Send queues messages.
func (c *conn) Send(f transport.Flags, msgs ...transport.Message) error {
	var few [4]packet
	packets := few[:0]
	for _, m := range msgs {
		k := textMessage
		switch {
		case m.Binary:
			k = binaryMessage
		case c.plain:
			k = plainText
		}
		packets = append(packets, packet{kind: k, data: m.Data})
	}
	var err error
	if f&transport.Volatile == 0 {
		err = c.out.Push(packets...)
	} else if err = serial.ErrFull; c.ready() {
		err = c.out.PushIdle(packets...)
	}
	switch err {
	case nil:
		c.wakePoll()
		return nil
	case serial.ErrClosed:
		return transport.ErrClosed
	}
	if f&transport.Volatile == 0 {
		c.server.log.Info("engineio: a client does not keep up; its connection is closed", "messages", c.out.Len())
		c.end(transport.TransportError, transport.ErrQueueFull)
	}
	return transport.ErrQueueFull
}

// ready reports whether a message could leave at once, were the queue empty.
func (c *conn) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws != nil || c.polling || c.state.Load() >= closing
}

// Close ends the connection when what is queued was sent.
func (c *conn) Close(r transport.Reason) {
	code := wsframe.NormalClosure
	switch r {
	case transport.ShuttingDown, transport.TransportClose: // a client may come back
		code = wsframe.GoingAway
	case transport.Refused:
		code = wsframe.PolicyViolation
	}
	c.close(r, nil, code)
}

// close begins the end: reason and cause are settled, and a goodbye is queued.
func (c *conn) close(r transport.Reason, cause error, code uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() >= closing {
		return
	}
	c.state.Store(closing)
	c.reason, c.cause = r, cause
	c.arm(dutyClose, c.server.cfg.Timeouts.Close)
	c.out.Seal(packet{kind: goodbye, code: code})
	c.wakePoll()
}

// end ends the connection at once, for the reason that close gave, if it was
// called. It returns before all has ended: see done.
func (c *conn) end(r transport.Reason, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state.Load() {
	case closed:
		return
	case opening, open:
		c.reason, c.cause = r, cause
	}
	c.state.Store(closed)
	c.timer.Stop()
	for _, ws := range []*wsWriter{c.ws, c.probe} {
		if ws != nil {
			ws.interrupt()
		}
	}
	c.wakePoll()
	go c.finish() // Done, and Server.Shutdown, wait for it
}

// finish runs once, after end.
func (c *conn) finish() {
	c.turn <- struct{}{} // for ever: the last Receive has returned
	c.out.Close()
	if c.recv != nil {
		c.guard(func() error { c.recv.Closed(c.reason, c.cause); return nil })
	} else if c.server.hooks.Release != nil && c.request.lifted != nil {
		c.guard(func() error { c.server.hooks.Release(c.request.lifted); return nil })
	}
	c.server.remove(c) // and Done is closed
}

// accept shows the connection to the core. The caller has the turn.
func (c *conn) accept() error {
	err := c.guard(func() (err error) {
		c.recv, err = c.acceptor.Accept(c)
		return err
	})
	if err == nil && c.recv == nil {
		err = ErrRefused
	}
	if err != nil {
		c.recv = nil
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() == opening {
		c.state.Store(open)
		c.arm(dutyPing, c.server.cfg.PingInterval)
	}
	return nil
}

// failure is an error of the client that ends its connection.
type failure struct {
	reason transport.Reason
	code   uint16 // to close a WebSocket with
	cause  error
}

// handle takes one packet from the client. The caller has the turn. On a failure
// nothing more may be handled.
func (c *conn) handle(p eiopacket.Packet) *failure {
	switch p.Type {
	case eiopacket.Message:
		return c.receive(transport.Message{Binary: p.Binary, Data: p.Data})
	case eiopacket.Pong:
		c.pong()
	case eiopacket.Close:
		return &failure{transport.TransportClose, wsframe.NormalClosure, nil}
	case eiopacket.Ping:
		return &failure{transport.TransportError, wsframe.PolicyViolation, ErrPing}
	case eiopacket.Open:
		return &failure{transport.ParseError, wsframe.PolicyViolation, eiopacket.ErrPacket}
	case eiopacket.Upgrade, eiopacket.Noop: // without a meaning here, as in the reference server
	}
	return nil
}

// receive gives a message to the core, unless the connection is ending. The caller
// has the turn.
func (c *conn) receive(m transport.Message) *failure {
	if c.state.Load() != open {
		return nil
	}
	var panicked bool
	err := c.guardReceive(m, &panicked)
	switch {
	case panicked:
		return &failure{transport.TransportError, wsframe.InternalError, err}
	case err != nil:
		return &failure{transport.ParseError, wsframe.PolicyViolation, err}
	}
	return nil
}

// guardReceive is guard without a closure, as it runs for each message.
func (c *conn) guardReceive(m transport.Message, panicked *bool) (err error) {
	defer func() {
		if v := recover(); v != nil {
			*panicked, err = true, c.recovered(v)
		}
	}()
	return c.recv.Receive(m)
}

// guard calls the core. A panic there must end one connection and not the process.
func (c *conn) guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = c.recovered(v)
		}
	}()
	return fn()
}

func (c *conn) recovered(v any) error {
	c.server.log.Error("engineio: panic in the core", "panic", v, "stack", string(debug.Stack()))
	return fmt.Errorf("%w: %v", ErrPanic, v)
}

// takeTurn waits for the turn. It returns false when the connection has ended, and
// nobody will have it any more.
func (c *conn) takeTurn() bool {
	select {
	case c.turn <- struct{}{}:
		return true
	default: // only who has to wait needs the channel of the end
	}
	select {
	case c.turn <- struct{}{}:
		return true
	case <-c.Done():
		return false
	}
}

// wakePoll tells the waiting poll, if there is one, to look again.
func (c *conn) wakePoll() {
	if c.wake != nil {
		select {
		case c.wake <- struct{}{}:
		default: // it was told and has not looked yet
		}
	}
}
