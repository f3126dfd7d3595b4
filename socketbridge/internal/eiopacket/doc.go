// Package eiopacket encodes and decodes Engine.IO protocol 4: single packets, and the
// bodies of long-polling requests. It does no I/O and keeps no state.
//
//	for p, err := range eiopacket.Payload(body) {
//		if err != nil { … }              // the last iteration
//		handle(p.Type, p.Binary, p.Data) // Data is valid until the next iteration
//	}
//	body = eiopacket.AppendPayload(body, p)
//
// Decode and Append handle one packet, which is also a text frame of a WebSocket. A
// binary frame is a binary message and needs no codec. Payload and AppendPayload
// handle polling bodies: packets joined by the separator 0x1E. Payload decodes one
// packet at a time, so a body of a million separators allocates no memory.
//
// The contents of messages are Socket.IO packets: see package siopacket.
package eiopacket
