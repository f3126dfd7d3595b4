package eiopacket

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Type is the first character of a packet.
type Type byte

// The packet types of Engine.IO protocol 4.
const (
	Open    Type = '0' // the server's answer to a handshake, as JSON
	Close   Type = '1'
	Ping    Type = '2' // from the server; from a client only to probe an upgrade
	Pong    Type = '3'
	Message Type = '4'
	Upgrade Type = '5' // the client switches to the transport that carries the packet
	Noop    Type = '6'
)

// Separator separates the packets of a polling body.
const Separator = 0x1E

// binary replaces the type of a binary message in base64.
const binary = 'b'

// ErrPacket is wrapped by all decoding errors.
var ErrPacket = errors.New("eiopacket: invalid packet")

// Packet is a decoded packet. Binary is set only for messages.
type Packet struct {
	Type   Type
	Binary bool
	Data   []byte
}

// Decode decodes one packet from text. The packet's data is part of text, except for
// a base64 message, which is decoded into new memory. Decode returns an error that
// wraps ErrPacket if the type is unknown or the base64 is invalid.
func Decode(text []byte) (Packet, error) {
	p, _, err := decode(text, nil)
	return p, err
}

// Append appends the text form of p to dst.
func Append(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, binary)
		return base64.StdEncoding.AppendEncode(dst, p.Data)
	}
	dst = append(dst, byte(p.Type))
	return append(dst, p.Data...)
}

// Payload iterates over the packets of a polling body. A packet's data is valid until
// the next iteration. An invalid packet yields an error that wraps ErrPacket and ends
// the iteration. An empty body is one empty packet, and so an error.
func Payload(body []byte) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		var scratch []byte
		for {
			text, rest, more := bytes.Cut(body, []byte{Separator})
			var p Packet
			var err error
			p, scratch, err = decode(text, scratch)
			if !yield(p, err) || err != nil || !more {
				return
			}
			body = rest
		}
	}
}

// Count returns the number of packets in a polling body by counting separators.
func Count(body []byte) int { return bytes.Count(body, []byte{Separator}) + 1 }

// AppendPayload appends p to a polling body, preceded by a separator if the body is
// not empty. The caller ensures that the data of a text message does not contain
// Separator.
func AppendPayload(body []byte, p Packet) []byte {
	if len(body) > 0 {
		body = append(body, Separator)
	}
	return Append(body, p)
}

// decode decodes base64 into scratch, growing it if needed, and returns it.
func decode(text, scratch []byte) (Packet, []byte, error) {
	if len(text) == 0 {
		return Packet{}, scratch, fmt.Errorf("%w: empty packet", ErrPacket)
	}
	switch t := text[0]; {
	case t >= byte(Open) && t <= byte(Noop):
		return Packet{Type: Type(t), Data: text[1:]}, scratch, nil
	case t == binary:
		data, err := decodeBase64(text[1:], scratch)
		if err != nil {
			return Packet{}, scratch, fmt.Errorf("%w: %w", ErrPacket, err)
		}
		return Packet{Type: Message, Binary: true, Data: data}, data, nil
	}
	return Packet{}, scratch, fmt.Errorf("%w: unknown type", ErrPacket)
}

var errNewline = errors.New("a line break in base64")

// decodeBase64 accepts the standard alphabet with padding, as clients send it. It
// rejects line breaks, which the standard library's decoder would skip.
func decodeBase64(text, scratch []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, errNewline
	}
	n := base64.StdEncoding.DecodedLen(len(text))
	scratch = slices.Grow(scratch[:0], n)[:n]
	n, err := base64.StdEncoding.Strict().Decode(scratch, text)
	return scratch[:n], err
}
