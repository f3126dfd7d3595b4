package socketbridge

import (
	"sync/atomic"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Parser is an encoding of Socket.IO packets. Clients and server must use the same one.
type Parser uint8

const (
	// JSONParser encodes packets as JSON text, with binary data in messages of its own. It
	// is the default of all Socket.IO clients.
	JSONParser Parser = iota + 1
	// MsgpackParser encodes each packet as one binary message in MessagePack, like the npm
	// package socket.io-msgpack-parser. Clients must be given that parser too. Handlers see
	// no difference: a Date of the client arrives as a string, as in JSON. An object that
	// looks like {"_placeholder":true,"num":0} cannot be sent in a packet with binary data.
	MsgpackParser
)

// maxExpansion bounds the JSON text of a MessagePack packet, in multiples of
// engineio.Config.MaxPayload. An array of numbers grows to about three times its size.
const maxExpansion = 4

// msgpackConn is a connection to a client that uses MsgpackParser. It converts the packets
// that are sent on it.
type msgpackConn struct {
	transport.Conn
	last *lastPacked
}

// Send converts and sends one packet.
func (c *msgpackConn) Send(f transport.Flags, msgs ...transport.Message) error {
	data, err := c.last.pack(msgs)
	if err != nil {
		return err
	}
	return c.Conn.Send(f, transport.Message{Binary: true, Data: data})
}

// lastPacked keeps the last converted packet of a server, because a broadcast passes the
// same messages to many connections.
type lastPacked struct {
	packet atomic.Pointer[packedPacket]
}

// packedPacket is a converted packet. It refers to text, so the address of text identifies
// the packet: senders do not modify messages.
type packedPacket struct {
	text, data []byte
}

func (l *lastPacked) pack(msgs []transport.Message) ([]byte, error) {
	text := msgs[0].Data
	if p := l.packet.Load(); p != nil && len(p.text) == len(text) && &p.text[0] == &text[0] {
		return p.data, nil
	}
	data, err := packMessages(msgs)
	if err == nil {
		l.packet.Store(&packedPacket{text, data})
	}
	return data, err
}

// packMessages converts a packet that this package encoded.
func packMessages(msgs []transport.Message) ([]byte, error) {
	h, payload := splitHeader(msgs[0].Data)
	attachments := make([][]byte, 0, len(msgs)-1)
	for _, m := range msgs[1:] {
		attachments = append(attachments, m.Data)
	}
	return msgpack.AppendPacket(make([]byte, 0, len(payload)+len(h.Namespace)+32), h, payload, attachments)
}

// decodeMsgpack decodes a packet of a client that uses MsgpackParser.
func decodeMsgpack(d *siopacket.Decoder, data []byte, maxPayload int) (siopacket.Packet, error) {
	return msgpack.DecodePacket(d, data, maxExpansion*maxPayload)
}
