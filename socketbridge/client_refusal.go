package socketbridge

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// refusePacket answers a packet that exceeds one of the decoder's limits. The connection
// goes on: an event is answered with CodeBadArguments if the client wants an answer, a
// CONNECT with a connect_error, and EmitWithAck returns ErrBadAnswer for an answer.
func (c *client) refusePacket(p siopacket.Packet, limit error) error {
	why := c.decoder.Limits.Explain(limit)
	refusal := &EventError{Code: CodeBadArguments, Message: why}
	if p.Type == siopacket.Connect {
		c.reportRefused("CONNECT", why, p)
		return c.sendConnectError(p.Namespace, &ConnectError{Message: "Invalid namespace or auth", Data: refusal})
	}
	s, err := c.recipient(p)
	if s == nil {
		return err
	}
	switch p.Type {
	case siopacket.Event:
		if err := s.checkConnected(); err != nil {
			return err
		}
		c.reportRefused("event", why, p)
		if !p.HasID {
			return nil
		}
		msgs, err := encode(siopacket.Ack, p.Namespace, p.ID, true, map[string]any{"error": refusal})
		if err == nil {
			_ = s.send(0, msgs) // fails only if the client has disconnected
		}
		return err
	case siopacket.Ack:
		c.reportRefused("answer", why, p)
		s.acks.deliver(p.ID, ackResult{err: fmt.Errorf("%w: %s", ErrBadAnswer, why)})
		return nil
	default:
		return fmt.Errorf("%w: packet type %d from a client", errProtocol, p.Type)
	}
}

// reportRefused reports a packet that was refused. Each reason is logged on its own.
func (c *client) reportRefused(packet, why string, p siopacket.Packet) {
	c.report(&packetRefusedNotice, packet+" "+why, "packet", packet, "it_has", why,
		"namespace", notice.Text(p.Namespace), "event", notice.Text(p.Name))
}
