package nodetest

import (
	"encoding/json"
	"testing"
)

// Parsed is the result of the reference parser for one sequence of messages.
type Parsed struct {
	// Error is the text of the parser's error, or "".
	Error string `json:"error"`
	// Pending is the packet whose attachments are incomplete, or nil.
	Pending *ParsedPacket `json:"pending"`
	// Packets are the complete packets before the error.
	Packets []ParsedPacket `json:"packets"`
}

// ParsedPacket is a packet. Attachments in its Data are Binary.
type ParsedPacket struct {
	Type      int             `json:"type"`
	Namespace string          `json:"nsp"`
	ID        *float64        `json:"id"`
	Data      json.RawMessage `json:"data"` // nil if there is none
	Name      string          `json:"name"` // the key of an event's listeners, or ""
}

// Parse passes each sequence of messages, strings as text and Binary as binary, to a new
// decoder of socket.io-parser.
func (n *Node) Parse(t testing.TB, sequences [][]any) []Parsed {
	t.Helper()
	var out []Parsed
	n.must(t, "parse", map[string]any{"sequences": sequences}, &out)
	return out
}

// RecordWire returns the output of record-wire.mjs.
func (n *Node) RecordWire(t testing.TB) json.RawMessage {
	t.Helper()
	var out json.RawMessage
	n.must(t, "recordWire", nil, &out)
	return out
}
