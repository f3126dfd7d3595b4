package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// PlainAcks is the WebSocket subprotocol by which a client of Namespace.WebSocket enables
// acknowledgements: new WebSocket(url, ["fiberbridge.acks"]). Without it, no frame is an
// acknowledgement or requests one.
const PlainAcks = "fiberbridge.acks"

// WebSocket returns the handler of a route that serves plain WebSockets, for
// clients that do not speak Socket.IO:
//
//	app.Get("/ws", io.Of("/").WebSocket())
//
// Each connection is one socket of the namespace, with the same session, middlewares,
// handlers, rooms and limits as any other. Both directions send an event as a text frame
// with the JSON array ["event", ...args]. Any other frame of the client is the event
// "message" with the frame's bytes as its argument, and Emit("message", bytes) sends one
// binary frame. A []byte anywhere else in the arguments is sent as base64, as in
// encoding/json.
//
// There is no CONNECT packet and no auth option: the socket is connected once the
// middlewares of Use have passed, and events that arrive earlier are queued. A client
// that is refused gets the event "connect_error" with {"message":…,"data":…} and the close
// code 1008. A client that is disconnected gets the close code 1000. After 1001 (shutdown,
// or ActionReconnect), it should reconnect.
//
// A client that offers the subprotocol PlainAcks can send [n,"event",...args] with a
// positive number n of its choice, and is answered with [-n,...args]. EmitWithAck uses the
// same form. EmitWithAck to a client without PlainAcks returns ErrNoAcks.
func (n *Namespace) WebSocket() fiber.Handler { return n.server.engine.Plain(n.Plain()) }

// Plain returns an Acceptor for connections with plain messages, for use with another
// transport. See Namespace.WebSocket.
func (n *Namespace) Plain() transport.Acceptor {
	n.needSockets("WebSocket")
	return plainAcceptor{n}
}

type plainAcceptor struct{ ns *Namespace }

// Accept starts a client whose only socket connects at once.
func (a plainAcceptor) Accept(conn transport.Conn) (transport.Receiver, error) {
	s := a.ns.server
	if s.closing.Load() {
		return nil, ErrShutdown
	}
	if s.drain.refusing.Load() {
		return nil, ErrShutdown
	}
	c := newClient(s, newPlainConn(a.ns.name, conn))
	if err := c.connect(siopacket.Packet{Header: siopacket.Header{Type: siopacket.Connect, Namespace: a.ns.name}}); err != nil {
		c.Closed(transport.ForcedClose, err)
		return nil, err
	}
	return c, nil
}

// plainConn is a connection with plain messages. It translates the Socket.IO packets that
// are sent on it.
type plainConn struct {
	transport.Conn
	plainCodec
}

func newPlainConn(namespace string, conn transport.Conn) *plainConn {
	acks := false
	for _, list := range conn.Handshake().Header["Sec-Websocket-Protocol"] {
		for offer := range strings.SplitSeq(list, ",") {
			acks = acks || strings.TrimSpace(offer) == PlainAcks
		}
	}
	return &plainConn{conn, plainCodec{namespace: namespace, acks: acks}}
}

// Send translates and sends one Socket.IO packet. A packet that ends the socket closes
// the connection, because it has only this socket.
func (c *plainConn) Send(f transport.Flags, msgs ...transport.Message) error {
	t, m, err := c.encode(msgs)
	if err != nil || t == siopacket.Connect {
		return err
	}
	if t == siopacket.Disconnect {
		c.Close(transport.ForcedClose)
		return nil
	}
	err = c.Conn.Send(f, m)
	if t == siopacket.ConnectError {
		c.Close(transport.Refused)
	}
	return err
}
