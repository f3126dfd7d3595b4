package socketbridge

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// plainCodec translates between plain messages and the Socket.IO packets of one
// namespace. It is stateless. A broadcast is encoded once, as a Socket.IO packet, and only
// its header is replaced here.
type plainCodec struct {
	namespace string
	acks      bool // the client asked for acknowledgements
}

// rawEvent is the event name of a frame that is not an event array.
const rawEvent = "message"

var (
	rawPayload  = []byte(`["message",{"_placeholder":true,"num":0}]`)
	errorPrefix = []byte(`["connect_error",`)
)

// decode translates a frame into a packet. A frame that is not a valid event array, or
// exceeds the decoder's limits, becomes a rawEvent.
func (p plainCodec) decode(d *siopacket.Decoder, m transport.Message) siopacket.Packet {
	if !m.Binary {
		if text := p.packetText(bytes.Trim(m.Data, " \t\r\n")); text != nil {
			if packet, ok, err := d.Text(text); ok && err == nil {
				return packet
			}
		}
	}
	return siopacket.Packet{
		Header:      siopacket.Header{Type: siopacket.Event, Namespace: p.namespace},
		Name:        []byte(rawEvent),
		Data:        bytes.Clone(rawPayload),
		Attachments: [][]byte{bytes.Clone(m.Data)},
	}
}

// packetText returns the Socket.IO packet of a frame, or nil if the frame is no array that
// begins with an event's name.
func (p plainCodec) packetText(frame []byte) []byte {
	if len(frame) == 0 || frame[0] != '[' {
		return nil
	}
	t, id, rest := byte('2'), "", frame[1:]
	if p.acks {
		t, id, rest = splitAck(rest)
	}
	if t == '2' && !bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte{'"'}) {
		return nil // a list of numbers is data: only Socket.IO clients name events by numbers
	}
	text := make([]byte, 0, len(frame)+len(p.namespace)+2)
	text = append(text, t)
	if p.namespace != "/" {
		text = append(append(text, p.namespace...), ',')
	}
	text = append(append(text, id...), '[')
	return append(text, rest...)
}

// splitAck splits the ID off [n,"event",...] or [-n,...]. b begins after the bracket.
// Without a valid ID, and for [n], it returns b unchanged.
func splitAck(b []byte) (t byte, id string, rest []byte) {
	rest = bytes.TrimLeft(b, " \t\r\n")
	t = '2'
	if len(rest) > 0 && rest[0] == '-' {
		t, rest = '3', rest[1:]
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if n == 0 || n > 15 || rest[0] == '0' {
		return '2', "", b
	}
	id, rest = string(rest[:n]), bytes.TrimLeft(rest[n:], " \t\r\n")
	switch {
	case len(rest) > 0 && rest[0] == ',':
		return t, id, rest[1:]
	case t == '3' && len(rest) > 0 && rest[0] == ']':
		return t, id, rest
	}
	return '2', "", b
}

// encode translates one packet into a plain message. For a CONNECT or DISCONNECT packet,
// the message is empty and must not be sent.
func (p plainCodec) encode(msgs []transport.Message) (siopacket.Type, transport.Message, error) {
	t, id, payload := splitPacket(msgs[0].Data)
	var data []byte
	switch t {
	case siopacket.Event:
		if id != nil && !p.acks {
			return t, transport.Message{}, ErrNoAcks
		}
		if len(msgs) == 2 && id == nil && bytes.Equal(payload, rawPayload) {
			return t, msgs[1], nil
		}
		if data = payload; id != nil {
			data = append(append(append([]byte{'['}, id...), ','), payload[1:]...)
		}
	case siopacket.Ack:
		data = append([]byte{'[', '-'}, id...)
		if len(payload) > 2 {
			data = append(data, ',')
		}
		data = append(data, payload[1:]...)
	case siopacket.ConnectError:
		data = append(append(append(data, errorPrefix...), payload...), ']')
	default:
		return t, transport.Message{}, nil
	}
	for i, attachment := range msgs[1:] {
		data = bytes.Replace(data, placeholder(i), quoted(attachment.Data), 1)
	}
	return t, transport.Message{Data: data}, nil
}

// splitPacket reads the header of a packet that this package encoded.
func splitPacket(text []byte) (t siopacket.Type, id, payload []byte) {
	t, _, id, payload = cutHeader(text)
	return t, id, payload
}

// splitHeader is splitPacket for the whole header.
func splitHeader(text []byte) (h siopacket.Header, payload []byte) {
	t, namespace, id, payload := cutHeader(text)
	h = siopacket.Header{Type: t, Namespace: "/", HasID: id != nil}
	if namespace != nil {
		h.Namespace = string(namespace)
	}
	for _, c := range id {
		h.ID = h.ID*10 + uint64(c-'0')
	}
	return h, payload
}

func cutHeader(text []byte) (t siopacket.Type, namespace, id, payload []byte) {
	t, text = siopacket.Type(text[0]-'0'), text[1:]
	switch t {
	case siopacket.BinaryEvent:
		t = siopacket.Event
		text = text[bytes.IndexByte(text, '-')+1:]
	case siopacket.BinaryAck:
		t = siopacket.Ack
		text = text[bytes.IndexByte(text, '-')+1:]
	}
	if len(text) > 0 && text[0] == '/' {
		comma := bytes.IndexByte(text, ',')
		namespace, text = text[:comma], text[comma+1:]
	}
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	if n > 0 {
		id = text[:n:n]
	}
	return t, namespace, id, text[n:]
}

// placeholder returns the JSON that represents attachment i in a packet's text.
func placeholder(i int) []byte {
	return append(strconv.AppendInt([]byte(`{"_placeholder":true,"num":`), int64(i), 10), '}')
}

// quoted returns b as a base64 JSON string.
func quoted(b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode([]byte{'"'}, b), '"')
}
