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
	Open    Type = '0' // the server's answer to a handshake, with JSON
	Close   Type = '1'
	Ping    Type = '2' // from the server; from a client only as the probe of an upgrade
	Pong    Type = '3'
	Message Type = '4'
	Upgrade Type = '5' // the client moves to the transport that it was sent on
	Noop    Type = '6'
)

// Separator stands between the packets of a polling body.
const Separator = 0x1E

// binary stands before a binary message in base64, in place of a type.
const binary = 'b'

// ErrPacket says that a packet cannot be understood.
var ErrPacket = errors.New("eiopacket: invalid packet")

// Packet is one packet. Binary is true only for messages.
type Packet struct {
	Type   Type
	Binary bool
	Data   []byte
}

// Decode reads one packet from text. The packet's data is part of text, or for a
// base64 message new memory. It returns an error that wraps ErrPacket for
// anything else than a known type and correct base64.
func Decode(text []byte) (Packet, error) {
	p, _, err := decode(text, nil)
	return p, err
}

// Append appends p in text form.
func Append(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = append(dst, binary)
		return base64.StdEncoding.AppendEncode(dst, p.Data)
	}
	dst = append(dst, byte(p.Type))
	return append(dst, p.Data...)
}

// Payload iterates over the packets of a polling body. A packet's data is valid
// until the next turn. A packet that cannot be understood yields an error that
// wraps ErrPacket, and is the last turn. An empty body is one empty packet, which
// is an error.
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

// Count returns the number of packets in a polling body, as separators tell it.
func Count(body []byte) int { return bytes.Count(body, []byte{Separator}) + 1 }

// AppendPayload appends p to a polling body, after a separator when the body is
// not empty. The data of a text message must not contain Separator; the caller
// sees to it.
func AppendPayload(body []byte, p Packet) []byte {
	if len(body) > 0 {
		body = append(body, Separator)
	}
	return Append(body, p)
}

// decode reads base64 into scratch, and returns it.
func decode(text, scratch []byte) (Packet, []byte, error) {
	if len(text) == 0 {
		return Packet{}, scratch, fmt.Errorf("%w: it is empty", ErrPacket)
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

// decodeBase64 takes the standard alphabet with padding, as clients send it. The
// decoder of the standard library would skip line breaks, which nobody sends.
func decodeBase64(text, scratch []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, errNewline
	}
	n := base64.StdEncoding.DecodedLen(len(text))
	scratch = slices.Grow(scratch[:0], n)[:n]
	n, err := base64.StdEncoding.Strict().Decode(scratch, text)
	return scratch[:n], err
}
