package contribws

import (
	"bytes"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// parser takes apart what a server writes: an HTTP answer, then frames.
type parser struct {
	answered bool
	rest     []byte
	op       wsframe.Opcode // of the message whose fragments are in joined
	joined   []byte
}

// written is a message or a control frame.
type written struct {
	op   wsframe.Opcode
	data []byte
}

// add returns what b completes. The data is new memory.
func (r *parser) add(b []byte) (all []written, err error) {
	r.rest = append(r.rest, b...)
	if !r.answered {
		end := bytes.Index(r.rest, []byte("\r\n\r\n"))
		if end < 0 {
			return nil, nil
		}
		r.rest, r.answered = r.rest[end+4:], true
	}
	for {
		h, n, err := wsframe.ParseHeader(r.rest)
		if err != nil || n == 0 || uint64(len(r.rest)-n) < h.Length {
			if len(r.rest) == 0 {
				r.rest = nil
			}
			return all, err
		}
		payload := bytes.Clone(r.rest[n : n+int(h.Length)])
		r.rest = r.rest[n+int(h.Length):]
		switch {
		case h.Op >= wsframe.Close:
			all = append(all, written{h.Op, payload})
		case h.Fin && h.Op != wsframe.Continuation:
			all = append(all, written{h.Op, payload})
		default:
			if h.Op != wsframe.Continuation {
				r.op, r.joined = h.Op, nil
			}
			if r.joined = append(r.joined, payload...); h.Fin {
				all = append(all, written{r.op, r.joined})
				r.joined = nil
			}
		}
	}
}
