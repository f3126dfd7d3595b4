package socketbridge

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// decode decodes a message. done is false if more messages of the packet must follow.
func (c *client) decode(m transport.Message) (p siopacket.Packet, done bool, err error) {
	switch {
	case c.packed != nil:
		p, err = decodeMsgpack(&c.decoder, m.Data, c.server.cfg.Engine.MaxPayload)
		return p, true, err
	case m.Binary:
		return c.decoder.Binary(m.Data)
	default:
		return c.decoder.Text(m.Data)
	}
}

// usesOtherParser reports whether a message can only come from a client with another parser
// than Config.Parser: text on a connection with MessagePack, or a binary message that
// belongs to no packet.
func (c *client) usesOtherParser(m transport.Message) bool {
	if c.packed != nil {
		return !m.Binary
	}
	return m.Binary && !c.decoder.Pending()
}

// refuseParser answers the CONNECT of a client with another parser, in the encoding of that
// client. Any other packet is an error.
func (c *client) refuseParser(m transport.Message) error {
	var (
		d      siopacket.Decoder
		p      siopacket.Packet
		err    error
		client = "it uses socket.io-msgpack-parser, but Config.Parser is JSONParser"
		advice = "this server does not use socket.io-msgpack-parser: remove the client's parser option"
		conn   transport.Conn
	)
	if c.packed == nil {
		p, err = decodeMsgpack(&d, m.Data, c.server.cfg.Engine.MaxPayload)
		conn = &msgpackConn{c.conn, new(lastPacked)}
	} else {
		p, _, err = d.Text(m.Data)
		conn = c.packed.Conn
		client = "it uses the default parser, but Config.Parser is MsgpackParser"
		advice = "this server uses socket.io-msgpack-parser: pass it as the client's parser option"
	}
	if err != nil || p.Type != siopacket.Connect {
		return fmt.Errorf("%w: message in the encoding of another parser", errProtocol)
	}
	c.report(&wrongParserNotice, client, "cause", client)
	defer c.countRefusal()
	return sendConnectError(conn, p.Namespace, &ConnectError{
		Message: advice,
		Data:    &EventError{Code: CodeWrongParser, Message: advice},
	})
}
