package socketbridge

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// refusePacket answers a packet that exceeds one of the decoder's limits. The connection
// goes on: an event is answered with CodeBadArguments if the client wants an answer, a
// CONNECT with a connect_error, and EmitWithAck returns ErrBadAnswer for an answer.
func (c *client) refusePacket(p siopacket.Packet, limit error) error {
	why := c.decoder.Limits.Explain(limit)
	refusal := &EventError{Code: CodeBadArguments, Message: why}
	if p.Type == siopacket.Connect {
		c.logRefused("a client was refused: its CONNECT has "+why, why, p)
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
		c.logRefused("an event was refused: it has "+why, why, p)
		if !p.HasID {
			return nil
		}
		msgs, err := encode(siopacket.Ack, p.Namespace, p.ID, true, map[string]any{"error": refusal})
		if err == nil {
			_ = s.send(0, msgs) // fails only if the client has disconnected
		}
		return err
	case siopacket.Ack:
		c.logRefused("an answer was refused: it has "+why, why, p)
		s.acks.deliver(p.ID, ackResult{err: fmt.Errorf("%w: %s", ErrBadAnswer, why)})
		return nil
	default:
		return fmt.Errorf("%w: packet type %d from a client", errProtocol, p.Type)
	}
}

// logRefused logs each reason at most once per minute.
func (c *client) logRefused(msg, reason string, p siopacket.Packet) {
	suppressed, ok := c.server.refusedLog.Allow(reason)
	if !ok {
		return
	}
	c.warn(msg, "namespace", cut(p.Namespace), "event", cut(string(p.Name)), "suppressed", suppressed)
}

// cut shortens a text of a client for the log.
func cut(text string) string {
	const longest = 64
	if len(text) <= longest {
		return text
	}
	return text[:longest] + "…"
}
