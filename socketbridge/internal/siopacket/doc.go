// Package siopacket encodes and decodes Socket.IO protocol 5 packets: the contents
// of the messages of an Engine.IO connection. It does no I/O, starts no goroutines
// and knows nothing about sockets.
//
//	var d siopacket.Decoder // one per connection
//	p, ok, err := d.Text([]byte(`2/chat,7["say","hello"]`))
//	// p.Namespace "/chat", p.ID 7, string(p.Name) "say"
//	for _, arg := range p.AppendArgs(nil) {
//		var s string
//		err = siopacket.Unmarshal(arg, p.Attachments, &s)
//	}
//	answer := siopacket.Header{Type: siopacket.Ack, Namespace: p.Namespace, ID: p.ID, HasID: true}
//	text, attachments, err := siopacket.Append(nil, answer, "said")
//	// text `3/chat,7["said"]`
//
// Where to look:
//
//   - Decoder.Text (decode.go) decodes the text of a packet.
//   - Decoder.Binary (decode.go) joins the binary messages that follow, the
//     attachments, to their packet.
//   - Decoder.Payload makes a packet of a payload that arrived in another encoding.
//   - Unmarshal (unmarshal.go) stores one argument, with its attachments, in a Go value.
//   - Value (value.go) is an argument that is sent on as it came.
//   - Append, AppendRaw and AppendPayload (encode.go) encode a packet.
//   - attachment_markers.go and attachment_rewrite.go carry attachments through
//     encoding/json, in both directions.
//   - json_scan.go validates JSON and finds the placeholders of attachments.
//
// Design:
//
//   - A packet is validated in full when it arrives: grammar, JSON, UTF-8, limits
//     and placeholders, in one pass. Its arguments stay raw JSON until a handler
//     asks for them as a Go type.
//   - A packet owns its memory. The payload is copied once, which a handler that
//     runs on another goroutine needs in any case.
//   - Binary data is []byte. Every []byte in an emitted value is sent as an
//     attachment, and a received attachment is stored in the []byte or any that
//     the argument is unmarshaled into.
//
// The decoder is stricter than the JavaScript parser where that parser's leniency
// has caused security bugs: an Ack must have an ID, events and acks must have an array, no
// bytes may follow the payload, each attachment must have exactly one placeholder, and
// every length and count has a limit. differential_test.go lists all differences.
//
// Malformed packets end the decoding. A packet over a limit is refused alone: the boundaries
// of messages are known, so the next packet can be decoded.
//
// The package does not decide how to handle a packet. The socketbridge package
// knows which namespaces exist and which acks are pending, and times out packets
// whose attachments do not arrive.
package siopacket
