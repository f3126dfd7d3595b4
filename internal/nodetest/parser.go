package nodetest

import (
	"encoding/json"
	"testing"
)

// Parsed is what the reference parser made of one sequence of messages.
type Parsed struct {
	// Error is its error's text, at whichever message; "" for none.
	Error string `json:"error"`
	// Pending is the packet that waits for attachments, if one does.
	Pending *ParsedPacket `json:"pending"`
	// Packets are the packets that it gave before.
	Packets []ParsedPacket `json:"packets"`
}

// ParsedPacket is one packet, with Binary for each attachment in its Data.
type ParsedPacket struct {
	Type      int             `json:"type"`
	Namespace string          `json:"nsp"`
	ID        *float64        `json:"id"`
	Data      json.RawMessage `json:"data"` // nil when there is none
}

// Parse gives each sequence of messages, a string as text and Binary as binary,
// to a new decoder of socket.io-parser.
func (n *Node) Parse(t testing.TB, sequences [][]any) []Parsed {
	t.Helper()
	var out []Parsed
	n.must(t, "parse", map[string]any{"sequences": sequences}, &out)
	return out
}

// RecordWire returns what record-wire.mjs writes.
func (n *Node) RecordWire(t testing.TB) json.RawMessage {
	t.Helper()
	var out json.RawMessage
	n.must(t, "recordWire", nil, &out)
	return out
}
