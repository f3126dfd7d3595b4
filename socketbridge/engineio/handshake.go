package engineio

import (
	"errors"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// handshake answers the request that opens a connection.
func (s *Server) handshake(c *fiber.Ctx, transportName string) error {
	if c.Method() != fiber.MethodGet {
		return sendError(c, ErrBadHandshakeMethod)
	}
	if s.refusesConnections() {
		return sendError(c, ErrShuttingDown)
	}
	var key string
	if transportName == WebSocket {
		var err *Error
		if key, err = checkWebSocketRequest(c); err != nil {
			return sendError(c, err)
		}
	}
	if client, ok := c.Context().Conn().(inmemory.Client); ok {
		return s.openInMemory(c, client)
	}
	conn, err := s.openConn(c, transportName)
	if err != nil {
		return sendError(c, toError(err))
	}
	if transportName == WebSocket {
		s.hijack(c, key, conn.serveWebSocket, conn.notOpened)
		return nil
	}
	if !conn.acquireReceiver() {
		return sendError(c, ErrShuttingDown)
	}
	defer conn.releaseReceiver()
	if err := conn.accept(); err != nil {
		conn.terminate(transport.ForcedClose, err)
		return sendError(c, toError(err))
	}
	packet := eiopacket.Packet{Type: eiopacket.Open, Data: s.openPacketJSON(conn.id, s.upgrades(c))}
	return s.sendPayload(c, conn, eiopacket.Append(nil, packet))
}

// openConn counts a connection against the limits, calls Hooks.Lift and creates the
// connection. If it fails, or if Lift panics, everything is undone.
func (s *Server) openConn(c *fiber.Ctx, transportName string) (conn *conn, err error) {
	s.checkHeaderSize(c)
	from := s.remoteOf(c)
	if err := s.limiter.acquire(from.network, time.Now()); err != nil {
		s.warnTooManyConns(err, from)
		return nil, err
	}
	request := s.newSnapshot(c, from.addr)
	defer func() {
		if conn != nil {
			return
		}
		s.limiter.release(from.network, time.Now())
		if request.lifted != nil && s.hooks.Release != nil {
			s.hooks.Release(request.lifted)
		}
	}()
	if request.lifted, err = s.lift(c, from.addr); err != nil {
		return nil, err
	}
	return s.addConn(request, from.network, transportName)
}

// lift calls Hooks.Lift.
func (s *Server) lift(c *fiber.Ctx, from netip.Addr) (any, error) {
	if s.hooks.Lift == nil {
		return nil, nil
	}
	lifted, err := s.hooks.Lift(c)
	if err != nil {
		if !errors.As(err, new(*Error)) { // one that the hook chose is reported by the hook
			s.notices.Report(&handshakeRefusedNotice, "", "error", err, "remote", from.String())
		}
		return nil, err // the value returned with an error is ignored
	}
	return lifted, nil
}

// notOpened ends a connection whose client did not get the WebSocket's 101.
func (c *conn) notOpened() { c.terminate(transport.TransportError, errNotOpened) }
