// Package eiopacket is the wire form of Engine.IO protocol 4: packets, and the
// bodies of long-polling requests. It is pure: no I/O, no state, no copies.
//
//	for p, err := range eiopacket.Payload(body) {
//		if err != nil { … }              // and nothing follows
//		handle(p.Type, p.Binary, p.Data) // Data is valid during this turn only
//	}
//	body = eiopacket.AppendPayload(body, p)
//
// A text frame of a WebSocket is one packet (Decode, Append); a binary frame is a
// binary message and needs no codec. A polling body is packets joined by 0x1E; it
// is read packet by packet, so that a body of a million separators costs nothing.
//
// What the data of a message means is the business of others.
package eiopacket
