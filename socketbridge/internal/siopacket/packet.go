package siopacket

import (
	"encoding/json"
	"slices"
)

// Type is the kind of a packet: the first character of its text.
type Type uint8

// The types of Socket.IO protocol 5.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
	// BinaryEvent and BinaryAck are the forms that Event and Ack have on the wire
	// when they carry attachments. The Decoder gives Event and Ack for them, and
	// Append chooses them by itself.
	BinaryEvent
	BinaryAck
)

// Header is what stands before a packet's payload.
type Header struct {
	Type Type
	// Namespace begins with a slash. Empty means "/" to Append; the Decoder never
	// leaves it empty.
	Namespace string
	// ID is the acknowledgement id of an Event that wants an answer, and of every
	// Ack. It counts when HasID is set. At most 15 decimal digits, so that every
	// client can hold it exactly in a float64.
	ID    uint64
	HasID bool
}

// Packet is one whole packet as the Decoder gives it. It shares no memory with
// what the Decoder was given, so it may be kept and changed.
type Packet struct {
	Header
	// Name is the name of an Event, with JSON's escapes resolved; nil for the
	// other types. It may share memory with Data. It is bytes and not a string so
	// that looking up its handlers, m[string(p.Name)], allocates nothing.
	Name []byte
	// Data is the payload as it was sent, checked and not decoded: the array of an
	// Event or Ack (with placeholders for attachments), the object of a Connect or
	// nil, the object or string of a ConnectError, nil for a Disconnect.
	Data []byte
	// Attachments are the binary messages that followed, by placeholder number.
	Attachments [][]byte

	args int // how many arguments Data holds, to size AppendArgs
}

// AppendArgs appends the arguments of an Event (without its name) or an Ack to
// dst, each as raw JSON that shares memory with p.Data. Nothing is decoded. For
// another type it appends nothing.
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

// Reserved tells whether name is kept for the library itself, so that no
// application may emit it and no client may send it.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
