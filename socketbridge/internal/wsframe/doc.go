// Package wsframe implements the framing of WebSocket (RFC 6455) for a server:
// frames, masking, close codes, and the joining of fragments to messages. It does no
// I/O, starts no goroutines and reads no clock.
//
//	d := wsframe.Decoder{MaxMessage: 1_000_000}
//	for {
//		m, n, err := d.Next(buf)         // unmasks in place
//		if err != nil { closeWith(wsframe.CodeOf(err)) }
//		buf = buf[n:]
//		if m.Op == wsframe.None { … }    // read more into buf
//		handle(m)                        // m.Data is part of buf
//	}
//	out = wsframe.Append(out, wsframe.Text, data)
//
// Where to look: Decoder (decoder.go) reads messages, ParseHeader, Append and Mask
// (frame.go) handle single frames, and CodeOf, AppendClose and ParseClose (close.go)
// handle close codes.
//
// Design:
//
//   - Many frames are decoded from one buffer without copying.
//   - A frame's length is checked when its header arrives, before any of the payload
//     is buffered.
//   - Everything that the RFC forbids a client to send is an error, with the close
//     code that the RFC specifies.
//
// Extensions are not supported, so their reserved bits are errors. The opening
// handshake is in package engineio.
package wsframe
