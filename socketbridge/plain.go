package socketbridge

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// PlainAcks is the WebSocket subprotocol with which a client of plain messages asks
// for acknowledgements: new WebSocket(url, ["fiberbridge.acks"]). Without it, no
// frame means one.
const PlainAcks = "fiberbridge.acks"

// WebSocket returns the handler of a route that serves plain WebSockets, for
// clients that do not speak Socket.IO:
//
//	app.Get("/ws", io.Of("/").WebSocket())
//
// Each connection is one socket of the namespace, like any other: session, mode,
// middlewares, chains, rooms, limits, disconnect. Events travel in both directions
// as text frames that hold the JSON array ["event", ...args]. Any other frame of
// the client is the event "message" with the frame's bytes, and
// Emit("message", bytes) is one binary frame. A []byte elsewhere in the arguments
// is sent as base64, as encoding/json does it.
//
// The socket is connected when the middlewares of Use have passed: there is no
// CONNECT packet, and no auth payload. What the client sends before is kept for its
// handlers. A client that is refused gets the event "connect_error" with
// {"message":…,"data":…}, and close code 1008; one that is disconnected, 1000. With
// 1001 (shutdown, or a connection that is to be opened anew) it may come back.
//
// A client that offers the subprotocol PlainAcks may send [n,"event",...args] with
// a positive number n of its own and is answered [-n,...args]; it is sent the same
// form by EmitWithAck. EmitWithAck to any other plain client returns ErrNoAcks.
func (n *Namespace) WebSocket() fiber.Handler { return n.server.engine.Plain(n.Plain()) }

// Plain returns the namespace as what admits connections of plain messages, for a
// transport of one's own. See Namespace.WebSocket.
func (n *Namespace) Plain() transport.Acceptor { return plainAcceptor{n} }

type plainAcceptor struct{ ns *Namespace }

// Accept makes a client of the connection, and lets it join at once.
func (a plainAcceptor) Accept(conn transport.Conn) (transport.Receiver, error) {
	s := a.ns.server
	if s.closing.Load() {
		return nil, ErrShutdown
	}
	c := newClient(s, newPlainConn(a.ns.name, conn))
	if err := c.connect(siopacket.Packet{Header: siopacket.Header{Type: siopacket.Connect, Namespace: a.ns.name}}); err != nil {
		c.Closed(transport.ForcedClose, err)
		return nil, err
	}
	return c, nil
}

// plainConn is a connection whose client speaks plain messages: what the core
// sends, one packet at a time, is translated.
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

// Send sends one packet of Socket.IO's as a plain message. A packet that ends the
// socket ends the connection: it has no other.
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
