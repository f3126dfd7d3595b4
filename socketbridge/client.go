package socketbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// client is the core's end of a connection: it decodes messages and hands each
// packet to its namespace's socket. Receive and Closed never overlap; the rest is
// guarded by mu.
type client struct {
	server *Server
	conn   transport.Conn
	lifted *lifted    // nil without a session store
	plain  *plainConn // conn, when its client speaks plain messages

	// Used by the reading goroutine alone.
	decoder siopacket.Decoder
	rate    limiter
	half    *time.Timer // runs while a packet's attachments are awaited

	stop serial.Signal // fired when the client ends: who waits for room gives up

	mu      sync.Mutex
	sockets []*Socket       // connected or connecting, one a namespace: few
	left    map[string]bool // namespaces that the server took it out of: it may not know yet
	holds   int             // what still needs the session: the connection, and each socket
	idle    *time.Timer     // there while the client is in no namespace
	ended   bool
}

func newClient(s *Server, conn transport.Conn) *client {
	c := &client{
		server: s,
		conn:   conn,
		holds:  1,
	}
	c.plain, _ = conn.(*plainConn)
	c.lifted, _ = conn.Lifted().(*lifted)
	c.decoder.Limits = s.cfg.limits
	c.rate.init(s.rates)
	c.idle = time.AfterFunc(s.cfg.Timeouts.Connect, c.connectTimeout)
	s.clientsMu.Lock()
	s.clients[c] = struct{}{}
	s.clientsMu.Unlock()
	return c
}

// Receive takes the next message, on the connection's reading goroutine.
func (c *client) Receive(m transport.Message) error {
	if wait, err := c.rate.take(len(m.Data)); err != nil {
		c.log("a client sends too fast; its connection is closed", "error", err)
		c.conn.Close(transport.ForcedClose)
		return nil
	} else if wait > 0 && !c.pause(wait) {
		return ErrDisconnected
	}
	if c.plain != nil {
		return c.packet(c.plain.decode(&c.decoder, m))
	}
	var (
		p    siopacket.Packet
		done bool
		err  error
	)
	if m.Binary {
		p, done, err = c.decoder.Binary(m.Data)
	} else {
		p, done, err = c.decoder.Text(m.Data)
	}
	if err != nil {
		return err
	}
	c.awaitAttachments(!done)
	if !done {
		return nil
	}
	return c.packet(p)
}

// awaitAttachments bounds the time that half a packet may wait for the rest.
func (c *client) awaitAttachments(pending bool) {
	switch {
	case pending && c.half == nil:
		c.half = time.AfterFunc(attachmentTimeout, func() { c.conn.Close(transport.ParseError) })
	case !pending && c.half != nil:
		c.half.Stop()
		c.half = nil
	}
}

// pause waits before the next message is read. It reports whether the client is
// still there.
func (c *client) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.stop.Done():
		return false
	}
}

func (c *client) packet(p siopacket.Packet) error {
	if p.Type == siopacket.Connect {
		return c.connect(p)
	}
	c.mu.Lock()
	s, left := c.in(p.Namespace), c.left[p.Namespace]
	c.mu.Unlock()
	if s == nil && (left || c.plain != nil) {
		return nil // it was on its way when the server disconnected the socket
	}
	if s == nil {
		return fmt.Errorf("%w: packet for a namespace that was not joined", errProtocol)
	}
	switch p.Type {
	case siopacket.Event:
		return s.received(p)
	case siopacket.Ack:
		return s.answered(p)
	case siopacket.Disconnect:
		c.forget(s, false)
		s.end(ClientDisconnect, false)
		return nil
	default:
		return fmt.Errorf("%w: packet type %d from a client", errProtocol, p.Type)
	}
}

// connect begins to join a namespace. The middlewares run apart from the reading
// goroutine: they may take their time.
func (c *client) connect(p siopacket.Packet) error {
	ns := c.server.namespace(p.Namespace)
	if ns == nil {
		c.log("a client asked for a namespace that does not exist")
		return c.refuse(p.Namespace, &ConnectError{Message: "Invalid namespace"})
	}
	auth, err := authPayload(p.Data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.in(p.Namespace) != nil {
		c.mu.Unlock()
		return fmt.Errorf("%w: second CONNECT to a namespace", errProtocol)
	}
	if c.ended {
		c.mu.Unlock()
		return nil
	}
	// As many again may be ending: their handlers still run.
	if len(c.sockets) >= maxNamespaces || c.holds > 2*maxNamespaces {
		c.mu.Unlock()
		return c.refuse(p.Namespace, &ConnectError{Message: "too many namespaces", Data: &EventError{Code: CodeTooMany, Message: "too many namespaces"}})
	}
	s := newSocket(ns, c, auth)
	c.sockets = append(c.sockets, s)
	delete(c.left, p.Namespace)
	c.holds++
	c.stopIdle()
	c.mu.Unlock()
	s.inbox.step(s.connect)
	return nil
}

// authPayload returns a private copy of a CONNECT's payload, which must be an
// object when there is one.
func authPayload(data []byte) (json.RawMessage, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if data[0] != '{' || !json.Valid(data) {
		return nil, fmt.Errorf("%w: CONNECT payload is not an object", errProtocol)
	}
	return append(json.RawMessage(nil), data...), nil
}

// refuse tells the client that it cannot join.
func (c *client) refuse(namespace string, e *ConnectError) error {
	payload := map[string]any{"message": e.Message}
	if e.Data != nil {
		payload["data"] = e.Data
	}
	msgs, err := encode(siopacket.ConnectError, namespace, 0, false, payload)
	if err != nil {
		return errors.Join(errProtocol, err)
	}
	_ = c.conn.Send(0, msgs...) // a client that has gone need not be told
	return nil
}

// forget takes a socket that ends out of its namespace's place, so that the client
// may join anew. A client that stays in no namespace for too long is closed.
func (c *client) forget(s *Socket, byServer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.sockets, s)
	if at < 0 {
		return
	}
	c.sockets = slices.Delete(c.sockets, at, at+1)
	if byServer {
		if c.left == nil {
			c.left = make(map[string]bool)
		}
		c.left[s.ns.name] = true
	}
	if len(c.sockets) == 0 && !c.ended {
		c.idle = time.AfterFunc(c.server.cfg.Timeouts.Connect, c.connectTimeout)
	}
}

// release says that one of those who need the session is done with it.
func (c *client) release() {
	c.mu.Lock()
	c.holds--
	last := c.holds == 0
	c.mu.Unlock()
	if last {
		c.server.dropped(c.lifted)
	}
}

// stopIdle drops the timer: a stopped one would be kept as long as the client. The
// caller holds the lock.
func (c *client) stopIdle() {
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
}

func (c *client) connectTimeout() {
	c.mu.Lock()
	idle := len(c.sockets) == 0 && !c.ended
	c.mu.Unlock()
	if idle {
		c.conn.Close(transport.ForcedClose)
	}
}

// in returns the client's socket in a namespace, or nil. The caller holds the lock.
func (c *client) in(namespace string) *Socket {
	for _, s := range c.sockets {
		if s.ns.name == namespace {
			return s
		}
	}
	return nil
}

// list returns the client's sockets.
func (c *client) list() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sockets)
}

// abort ends the client at once: what it sent and was not yet handled is dropped.
func (c *client) abort(reason Reason) {
	c.interrupt()
	for _, s := range c.list() {
		s.end(reason, true)
	}
	c.conn.Close(reason)
}

// interrupt lets the reading goroutine go, wherever it waits.
func (c *client) interrupt() { c.stop.Fire() }

// Closed is called when the connection has ended: the sockets end after what they
// received was handled.
func (c *client) Closed(reason transport.Reason, _ error) {
	c.awaitAttachments(false)
	c.mu.Lock()
	c.ended = true
	c.stopIdle()
	c.mu.Unlock()
	c.interrupt()
	for _, s := range c.list() {
		s.end(reason, false)
	}
	c.server.clientsMu.Lock()
	delete(c.server.clients, c)
	c.server.clientsMu.Unlock()
	c.release()
}

func (c *client) log(msg string, args ...any) {
	c.server.log.Warn("socketbridge: "+msg, append(args, "remote", c.conn.Handshake().RemoteIP)...)
}

// session returns a handle of the connection's session for one socket, or why
// there is none.
func (c *client) session() (*fibersession.Handle, error) {
	switch {
	case c.lifted == nil:
		return nil, ErrSessionMissing
	case c.lifted.err != nil:
		return nil, c.lifted.err
	default:
		return c.lifted.handle.Fork(), nil
	}
}
