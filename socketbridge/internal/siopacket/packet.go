package siopacket

import (
	"encoding/json"
	"slices"
)

// Type is the kind of a packet, encoded as the first character of its text.
type Type uint8

// The types of Socket.IO protocol 5.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
	// BinaryEvent and BinaryAck are the wire types of an Event and an Ack that
	// carry attachments. The Decoder returns Event and Ack instead, and Append
	// chooses the wire type from the arguments.
	BinaryEvent
	BinaryAck
)

// Header is the part of a packet before its payload.
type Header struct {
	Type Type
	// Namespace begins with a slash. Append treats "" as "/"; the Decoder never
	// returns "".
	Namespace string
	// ID is the acknowledgement ID of an Ack, or of an Event that requests one. It
	// is valid only if HasID is set. The Decoder accepts at most 15 decimal digits,
	// so that every client can hold the ID exactly in a float64.
	ID    uint64
	HasID bool
}

// Packet is a complete packet, as returned by the Decoder. It shares no memory with
// the Decoder's input, so callers may keep and modify it.
type Packet struct {
	Header
	// Name is the name of an Event with JSON escapes resolved, and nil for other
	// types. It may share memory with Data. It is a []byte because the handler
	// lookup m[string(p.Name)] then does not allocate.
	Name []byte
	// Data is the validated, undecoded payload: the array of an Event or Ack (with
	// placeholders for attachments), the object of a Connect or nil, the object or
	// string of a ConnectError, and nil for a Disconnect.
	Data []byte
	// Attachments are the binary messages of the packet, indexed by placeholder number.
	Attachments [][]byte

	args int // number of arguments in Data; sizes the slice in AppendArgs
}

// AppendArgs appends the arguments of an Event (without its name) or of an Ack to
// dst, each as raw JSON that shares memory with p.Data. It appends nothing for
// packets of other types.
func (p *Packet) AppendArgs(dst []json.RawMessage) []json.RawMessage {
	if p.Type != Event && p.Type != Ack {
		return dst
	}
	dst = slices.Grow(dst, p.args)
	skip := p.Type == Event
	for i := 1; ; {
		i = skipSpace(p.Data, i)
		if i >= len(p.Data) || p.Data[i] == ']' {
			return dst
		}
		end := skipValue(p.Data, i)
		if !skip {
			dst = append(dst, json.RawMessage(p.Data[i:end:end]))
		}
		skip = false
		if i = skipSpace(p.Data, end); i < len(p.Data) && p.Data[i] == ',' {
			i++
		}
	}
}

// Reserved reports whether the protocol reserves the event name. Applications must
// not emit reserved names, and clients must not send them.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
