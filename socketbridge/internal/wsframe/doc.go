// Package wsframe is the wire form of WebSocket (RFC 6455), seen from a server:
// frames, masking, close codes, and how frames join to messages. It is pure: no
// I/O, no goroutine, no clock.
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
// Three ideas: many frames are taken from one buffer without copying; a length is
// judged when its header is read, before a byte of it is kept; everything that
// the RFC forbids a client is an error with the close code that it names.
//
// Extensions are not spoken, so their bits are errors. The opening handshake is
// not here.
package wsframe
