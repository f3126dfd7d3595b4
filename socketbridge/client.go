package socketbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// client is the server's side of one connection. It decodes messages, and passes each
// packet to the socket of its namespace. It is a transport.Receiver:
// Receive and Closed never overlap.
type client struct {
	server *Server
	conn   transport.Conn
	lifted *lifted          // nil without a session store, unless hooks keep something of the handshake
	lender transport.Lender // conn, or what it wraps; nil if it is none
	plain  *plainConn       // conn, if the client speaks plain messages; otherwise nil
	packed *msgpackConn     // conn, if Config.Parser is MsgpackParser and plain is nil; otherwise nil

	observer inmemory.Observer // of a client in memory; otherwise nil

	// Only the reader goroutine uses these.
	decoder         siopacket.Decoder
	attachmentTimer *time.Timer // runs while a packet's attachments are missing

	leaving atomic.Bool // the drain is about to close the connection; further events are dropped
	ended   bool        // guarded by mu

	stop   serial.Signal // fired when the client ends, to release a blocked reader
	events eventQuota
	broken serial.Signal // fired when the connection has ended: a blocked reader queues its event and returns

	mu        sync.Mutex       // guards the fields below
	sockets   []*Socket        // connecting or connected, at most one per namespace
	kicked    map[string]bool  // namespaces that the server disconnected the client from; packets may still arrive
	auth      int32            // bytes of the sockets' auth
	refs      int32            // users of lifted: the connection and each unfinished socket
	refusals  *connectRefusals // nil if no CONNECT was refused
	idleTimer *time.Timer      // runs while the client is in no namespace; otherwise nil
}

func newClient(s *Server, conn transport.Conn) *client {
	c := &client{
		server: s,
		conn:   conn,
		lender: lenderOf(conn),
		refs:   1,
	}
	if c.plain, _ = conn.(*plainConn); c.plain == nil && s.cfg.Parser == MsgpackParser {
		c.packed = &msgpackConn{conn, &s.lastPacked}
		c.conn = c.packed
	}
	c.lifted, _ = conn.Lifted().(*lifted)
	c.decoder.Limits.MaxAttachmentBytes = s.cfg.Engine.MaxPayload
	c.idleTimer = time.AfterFunc(s.cfg.Timeouts.Connect, c.connectTimeout)
	s.clientsMu.Lock()
	s.clients[c] = struct{}{}
	s.watchHandlers()
	s.clientsMu.Unlock()
	return c
}

// Receive handles the next message. It runs on the connection's reader goroutine.
func (c *client) Receive(m transport.Message) error {
	if c.plain != nil {
		return c.handlePacket(c.plain.decode(&c.decoder, m))
	}
	if c.usesOtherParser(m) {
		return c.refuseParser(m)
	}
	p, done, err := c.decode(m)
	c.awaitAttachments(c.decoder.Pending())
	switch {
	case errors.Is(err, siopacket.ErrLimit):
		return c.refusePacket(p, err)
	case err != nil:
		return err
	case !done:
		return nil
	}
	return c.handlePacket(p)
}

// awaitAttachments closes the connection if a packet's attachments are missing for
// attachmentTimeout.
func (c *client) awaitAttachments(missing bool) {
	switch {
	case missing && c.attachmentTimer == nil:
		c.attachmentTimer = time.AfterFunc(attachmentTimeout, func() {
			c.report(&attachmentsNotice, "")
			c.conn.Close(transport.ParseError)
		})
	case !missing && c.attachmentTimer != nil:
		c.attachmentTimer.Stop()
		c.attachmentTimer = nil
	}
}

// handlePacket passes a packet to the socket of its namespace.
func (c *client) handlePacket(p siopacket.Packet) error {
	if p.Type == siopacket.Connect {
		return c.connect(p)
	}
	s, err := c.recipient(p)
	if s == nil {
		return err
	}
	switch p.Type {
	case siopacket.Event:
		return s.receiveEvent(p)
	case siopacket.Ack:
		return s.receiveAck(p)
	case siopacket.Disconnect:
		c.removeSocket(s, false)
		s.end(ClientDisconnect, false)
		return nil
	default:
		return fmt.Errorf("%w: packet type %d from a client", errProtocol, p.Type)
	}
}

// recipient returns the socket in the packet's namespace. It returns nil if the server has
// disconnected the client from it, and an error if the client never joined it.
func (c *client) recipient(p siopacket.Packet) (*Socket, error) {
	c.mu.Lock()
	s, kicked := c.socketIn(p.Namespace), c.kicked[p.Namespace]
	c.mu.Unlock()
	switch {
	case s != nil:
		return s, nil
	case kicked || c.plain != nil:
		// Sent before the client learned that the server disconnected it.
		c.server.notices.Report(&eventDroppedNotice, "", "remote", (*loggedClient)(c))
		return nil, nil
	default:
		return nil, fmt.Errorf("%w: packet for a namespace that was not joined: %s", errProtocol, notice.Text(p.Namespace).LogValue())
	}
}

// connect starts a socket in the packet's namespace. Its middlewares run on the socket's
// inbox, so that they do not block the reader goroutine.
func (c *client) connect(p siopacket.Packet) error {
	auth, err := authPayload(p.Data)
	if err != nil {
		return err
	}
	ns, err := c.server.enterNamespace(p.Namespace, auth)
	if err != nil {
		return c.sendConnectError(p.Namespace, connectErrorOf(err))
	}
	if ns == nil {
		args := []any{"namespace", notice.Text(p.Namespace)}
		if name, err := url.PathUnescape(p.Namespace); err == nil && c.server.namespace(name) != nil {
			args = append(args, "cause", "the name is percent-encoded, and must be sent as Server.Of has it")
		}
		c.report(&namespaceUnknownNotice, p.Namespace, args...)
		return c.sendConnectError(p.Namespace, &ConnectError{Message: "Invalid namespace"})
	}
	entered := false
	defer func() {
		if !entered {
			c.server.leaveNamespace(ns)
		}
	}()
	c.mu.Lock()
	if c.socketIn(p.Namespace) != nil {
		c.mu.Unlock()
		return fmt.Errorf("%w: second CONNECT to a namespace", errProtocol)
	}
	if c.ended {
		c.mu.Unlock()
		return nil
	}
	// Sockets that have ended count until their handlers have returned.
	if len(c.sockets) >= maxNamespaces || c.refs > 2*maxNamespaces {
		c.mu.Unlock()
		c.report(&tooManyNamespacesNotice, "", "namespace", notice.Text(p.Namespace))
		return c.sendConnectError(p.Namespace, errTooManyNamespaces)
	}
	if int(c.auth)+len(auth) > maxClientAuth {
		c.mu.Unlock()
		c.report(&packetRefusedNotice, "auth of all sockets", "packet", "CONNECT", "it_has", fmt.Sprintf("with the client's other sockets, more than %d bytes of auth", maxClientAuth), "namespace", notice.Text(p.Namespace))
		return c.sendConnectError(p.Namespace, errTooMuchAuth)
	}
	c.auth += int32(len(auth))
	s := newSocket(ns, c, auth)
	entered = true // finish leaves it
	c.sockets = append(c.sockets, s)
	delete(c.kicked, p.Namespace)
	c.refs++
	c.stopIdleTimer()
	c.mu.Unlock()
	s.inbox.pushStep(s.connect)
	return nil
}

// authPayload returns a copy of a CONNECT's payload. The payload is optional, but must
// be an object.
func authPayload(data []byte) (json.RawMessage, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if data[0] != '{' || !json.Valid(data) {
		return nil, fmt.Errorf("%w: CONNECT payload is not an object", errProtocol)
	}
	return append(json.RawMessage(nil), data...), nil
}

// sendConnectError refuses a CONNECT. It returns an error if e cannot be encoded.
func (c *client) sendConnectError(namespace string, e *ConnectError) error {
	err := sendConnectError(c.conn, namespace, e)
	if err == nil {
		c.countRefusal()
	}
	return err
}

func sendConnectError(conn transport.Conn, namespace string, e *ConnectError) error {
	payload := map[string]any{"message": e.Message}
	if e.Data != nil {
		payload["data"] = e.Data
	}
	msgs, err := encode(siopacket.ConnectError, namespace, 0, false, payload)
	if err != nil {
		return errors.Join(errProtocol, err)
	}
	_ = conn.Send(0, msgs...) // fails only if the client has disconnected
	return nil
}

// removeSocket removes a socket that ends, so that the client can join its namespace
// again. byServer says that the client may not know yet. A client that is in no namespace
// for Config.Timeouts.Connect is closed.
func (c *client) removeSocket(s *Socket, byServer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.sockets, s)
	if at < 0 {
		return
	}
	c.sockets = slices.Delete(c.sockets, at, at+1)
	if byServer {
		if c.kicked == nil {
			c.kicked = make(map[string]bool)
		}
		for name := range c.kicked { // a client can name namespaces (Server.OfPattern)
			if len(c.kicked) < 2*maxNamespaces {
				break
			}
			delete(c.kicked, name)
		}
		c.kicked[s.ns.name] = true
	}
	if len(c.sockets) == 0 && !c.ended {
		c.idleTimer = time.AfterFunc(c.server.cfg.Timeouts.Connect, c.connectTimeout)
	}
}

// release drops one reference to the lifted session, and releases it after the last. auth is
// the size of the auth of a socket that has ended.
func (c *client) release(auth int) {
	c.mu.Lock()
	c.refs--
	c.auth -= int32(auth)
	last := c.refs == 0
	c.mu.Unlock()
	if last {
		c.server.releaseLifted(c.lifted)
	}
}

// stopIdleTimer stops the timer and drops it, which frees its memory. c.mu must be held.
func (c *client) stopIdleTimer() {
	if c.idleTimer != nil {
		c.idleTimer.Stop()
		c.idleTimer = nil
	}
}

func (c *client) connectTimeout() {
	c.mu.Lock()
	idle := len(c.sockets) == 0 && !c.ended
	c.mu.Unlock()
	if idle {
		c.report(&connectTimeoutNotice, "")
		c.conn.Close(transport.ForcedClose)
	}
}

// socketIn returns the client's socket in a namespace, or nil. c.mu must be held.
func (c *client) socketIn(namespace string) *Socket {
	for _, s := range c.sockets {
		if s.ns.name == namespace {
			return s
		}
	}
	return nil
}

// allSockets returns the client's connecting and connected sockets.
func (c *client) allSockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sockets)
}

// abort ends the client at once. Its queued events are dropped.
func (c *client) abort(reason Reason) {
	c.stop.Fire()
	for _, s := range c.allSockets() {
		s.end(reason, true)
	}
	c.conn.Close(reason)
}

// Interrupt implements transport.Interrupter: Closed waits for a reader that waits for
// handlers, and handlers can wait for Closed, which fires Socket.Done.
func (c *client) Interrupt() { c.broken.Fire() }

// Closed ends the sockets after the connection has ended. Events that they received
// before are still handled.
func (c *client) Closed(reason transport.Reason, cause error) {
	c.reportClosed(reason, cause)
	c.awaitAttachments(false)
	c.mu.Lock()
	c.ended = true
	c.stopIdleTimer()
	c.mu.Unlock()
	c.stop.Fire()
	for _, s := range c.allSockets() {
		s.end(reason, false)
	}
	c.server.clientsMu.Lock()
	delete(c.server.clients, c)
	c.server.clientsMu.Unlock()
	c.release(0)
}

// handshakeTrace returns what the hooks keep of the request that opened the connection, or "".
func (c *client) handshakeTrace() string {
	if c.lifted == nil {
		return ""
	}
	return c.lifted.request
}

// forkSession returns a handle of the connection's session for one socket.
func (c *client) forkSession() (*fibersession.Handle, error) {
	switch {
	case c.lifted == nil:
		return nil, ErrSessionMissing
	case c.lifted.err != nil:
		return nil, c.lifted.err
	default:
		return c.lifted.handle.Fork(), nil
	}
}
