package contribws

import (
	"bytes"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// libraryParser parses what the library writes: an HTTP response, and then frames.
type libraryParser struct {
	responseRead bool
	rest         []byte         // an incomplete response or frame
	op           wsframe.Opcode // of the fragmented message in fragments
	fragments    []byte
}

// libraryMessage is a message or a control frame.
type libraryMessage struct {
	op   wsframe.Opcode
	data []byte
}

// add returns the messages that b completes. They share no memory with b.
func (p *libraryParser) add(b []byte) (all []libraryMessage, err error) {
	p.rest = append(p.rest, b...)
	if !p.responseRead {
		end := bytes.Index(p.rest, []byte("\r\n\r\n"))
		if end < 0 {
			return nil, nil
		}
		p.rest, p.responseRead = p.rest[end+4:], true
	}
	for {
		h, n, err := wsframe.ParseHeader(p.rest)
		if err != nil || n == 0 || uint64(len(p.rest)-n) < h.Length {
			if len(p.rest) == 0 {
				p.rest = nil
			}
			return all, err
		}
		payload := bytes.Clone(p.rest[n : n+int(h.Length)])
		p.rest = p.rest[n+int(h.Length):]
		switch {
		case h.Op >= wsframe.Close:
			all = append(all, libraryMessage{h.Op, payload})
		case h.Fin && h.Op != wsframe.Continuation:
			all = append(all, libraryMessage{h.Op, payload})
		default:
			if h.Op != wsframe.Continuation {
				p.op, p.fragments = h.Op, nil
			}
			if p.fragments = append(p.fragments, payload...); h.Fin {
				all = append(all, libraryMessage{p.op, p.fragments})
				p.fragments = nil
			}
		}
	}
}
