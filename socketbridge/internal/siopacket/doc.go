// Package siopacket is the codec of Socket.IO protocol 5: the packets inside the
// messages of an Engine.IO connection, in both directions. It does no I/O, starts
// nothing and knows no socket.
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
// Three ideas:
//
//   - Everything is checked when a packet arrives and nothing is decoded: grammar,
//     JSON, UTF-8, limits, placeholders, in one pass. Arguments stay raw until a
//     handler says of which Go type it wants them.
//   - A packet owns its memory: the one copy that is made of the payload is the one
//     that its way to a handler needs anyway.
//   - Binary is []byte: wherever one stands in an emitted value it leaves as an
//     attachment, and an attachment arrives in whichever []byte or any it is bound to.
//
// It is stricter than the JavaScript parser where being lenient has led to
// trouble: an event name is a string and not a number, an Ack has an id, events
// and answers have an array, nothing may stand behind the payload, each attachment
// has exactly one placeholder, and every length and count has a limit. The
// differential test lists all differences.
//
// It does not decide what to do with a packet: which namespaces exist, which acks
// are awaited, and how long half a packet may be waited for is the core's matter.
package siopacket
