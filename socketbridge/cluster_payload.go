package socketbridge

import (
	"math"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// encodePayload returns the payload of an encoded packet, without the packet's header.
func encodePayload(msgs []transport.Message) adapter.Payload {
	_, _, payload := splitPacket(msgs[0].Data)
	p := adapter.Payload{JSON: payload}
	for _, m := range msgs[1:] {
		p.Attachments = append(p.Attachments, m.Data)
	}
	return p
}

// nodeLimits are the limits for packets of other nodes, which have checked what their
// clients sent against their own limits.
var nodeLimits = siopacket.Limits{
	MaxAttachmentBytes: math.MaxInt,
	MaxEventName:       math.MaxInt32,
	MaxArgs:            math.MaxInt32,
	MaxDepth:           1000,
}

// decodePayload makes a packet of another node's payload. It validates the whole
// payload: a client that receives a malformed packet closes its connection.
func decodePayload(p adapter.Payload, h siopacket.Header) ([]transport.Message, siopacket.Packet, error) {
	if len(p.JSON) == 0 || p.JSON[0] != '[' {
		return nil, siopacket.Packet{}, errProtocol // it could be read as part of the header
	}
	text := siopacket.AppendPayload(nil, h, p.JSON, len(p.Attachments))
	d := siopacket.Decoder{Limits: nodeLimits}
	packet, whole, err := d.Text(text)
	for _, b := range p.Attachments {
		if err == nil {
			packet, whole, err = d.Binary(b)
		}
	}
	if err == nil && !whole {
		err = errProtocol
	}
	return messages(text, p.Attachments), packet, err
}

// payload returns an answer in the form in which it travels between nodes.
func (a Answer) payload() adapter.Payload {
	text := siopacket.AppendRaw(nil, siopacket.Header{Type: siopacket.Ack}, a.args...)
	return adapter.Payload{JSON: text[1:], Attachments: a.attachments}
}

// decodeAnswer returns the answer of a payload that another node sent.
func decodeAnswer(p adapter.Payload) (Answer, error) {
	_, packet, err := decodePayload(p, siopacket.Header{Type: siopacket.Ack, HasID: true})
	return Answer{args: packet.AppendArgs(nil), attachments: packet.Attachments}, err
}
