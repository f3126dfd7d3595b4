package wsframe

import "unicode/utf8"

// maxFragments bounds the frames of one message. Empty fragments cost work without
// ever reaching the size limit (CVE-2026-48779).
const maxFragments = 4096

// Message is a whole text or binary message, or a control frame. If Op is None, it
// is not a message.
type Message struct {
	Op   Opcode // Text, Binary, Close, Ping or Pong; None if more bytes are needed
	Data []byte
}

// Decoder decodes messages and control frames from the bytes of one client. The zero
// value is ready to use and has no size limit. It is not safe for concurrent use, and
// must not be used after it has returned an error.
type Decoder struct {
	// MaxMessage is the maximum size of a message, the sum of its fragments, in
	// bytes. 0 means no limit.
	MaxMessage int

	partial *partial // the message whose fragments are being joined, or nil
}

// partial is a message of which the last fragment has not arrived.
type partial struct {
	op        Opcode
	joined    []byte
	fragments int
	text      utf8Check
}

// Next decodes the next message at the beginning of b and returns the number of bytes
// that it used. If b does not hold a whole frame, it returns 0 and Op None. It returns
// Op None with a positive number for a fragment that does not end its message.
//
// Next unmasks the frame in place. Data is part of b, except for a message that
// arrived in fragments, which is in new memory.
//
// Errors are of type *Error, with close code 1002 for violations of the protocol, 1007
// for text that is not UTF-8, 1008 for too many fragments, and 1009 for a message that
// exceeds MaxMessage, which Next reports as soon as b holds the header.
func (d *Decoder) Next(b []byte) (Message, int, error) {
	h, n, err := ParseHeader(b)
	if err != nil || n == 0 {
		return Message{Op: None}, 0, err
	}
	if err := d.checkHeader(h); err != nil {
		return Message{Op: None}, 0, err
	}
	if uint64(len(b)-n) < h.Length {
		return Message{Op: None}, 0, nil
	}
	end := n + int(h.Length)
	payload := b[n:end]
	Mask(h.Key, payload)
	if h.Op.control() {
		return Message{Op: h.Op, Data: payload}, end, nil
	}
	m, err := d.join(h, payload)
	return m, end, err
}

// Pending reports whether fragments of a message have arrived, but not the last.
func (d *Decoder) Pending() bool { return d.partial != nil }

// checkHeader checks a frame by its header alone. Next calls it again for the same
// frame if the payload was incomplete.
func (d *Decoder) checkHeader(h Header) error {
	if !h.Masked {
		return protocolError("frame is not masked")
	}
	if h.Op.control() {
		return nil
	}
	if first := h.Op != Continuation; first && d.partial != nil {
		return protocolError("message begins inside another message")
	} else if !first && d.partial == nil {
		return protocolError("continuation without a message")
	}
	joined := 0
	if d.partial != nil {
		if d.partial.fragments >= maxFragments {
			return &Error{Code: PolicyViolation, Text: "message has too many fragments"}
		}
		joined = len(d.partial.joined)
	}
	if d.MaxMessage > 0 && h.Length > uint64(d.MaxMessage-joined) {
		return &Error{Code: MessageTooBig, Text: "message is too big"}
	}
	return nil
}

// join adds a data frame to its message, and returns the message if it is complete.
func (d *Decoder) join(h Header, payload []byte) (Message, error) {
	if h.Fin && h.Op != Continuation { // not fragmented, the usual case
		if h.Op == Text && !utf8.Valid(payload) {
			return Message{Op: None}, errText
		}
		return Message{Op: h.Op, Data: payload}, nil
	}
	if h.Op != Continuation {
		d.partial = &partial{op: h.Op}
	}
	p := d.partial
	if p.op == Text && !p.text.add(payload, h.Fin) {
		return Message{Op: None}, errText
	}
	p.joined = append(p.joined, payload...)
	p.fragments++
	if !h.Fin {
		return Message{Op: None}, nil
	}
	d.partial = nil
	return Message{Op: p.op, Data: p.joined}, nil
}

var errText = &Error{Code: InvalidData, Text: "text message is not UTF-8"}

// utf8Check validates text that arrives in pieces, which may end inside a character.
// The zero value is ready to use.
type utf8Check struct {
	rune [utf8.UTFMax]byte // the first n bytes of an incomplete character
	n    int
}

// add reports whether the text so far is a prefix of valid UTF-8 or, if last is set,
// valid UTF-8.
func (u *utf8Check) add(p []byte, last bool) bool {
	for u.n > 0 && len(p) > 0 { // complete the pending character
		u.rune[u.n] = p[0]
		u.n++
		p = p[1:]
		if utf8.FullRune(u.rune[:u.n]) {
			if r, _ := utf8.DecodeRune(u.rune[:u.n]); r == utf8.RuneError && !isReplacement(u.rune[:u.n]) {
				return false
			}
			u.n = 0
		}
	}
	if u.n == 0 {
		cut := len(p)
		for back := 1; back <= utf8.UTFMax-1 && back <= len(p); back++ {
			if utf8.RuneStart(p[len(p)-back]) {
				if !utf8.FullRune(p[len(p)-back:]) {
					cut = len(p) - back
				}
				break
			}
		}
		if !utf8.Valid(p[:cut]) {
			return false
		}
		u.n = copy(u.rune[:], p[cut:])
	}
	return !last || u.n == 0
}

// isReplacement reports whether b encodes U+FFFD itself, and is not an invalid sequence
// that decodes to it.
func isReplacement(b []byte) bool { return string(b) == string(utf8.RuneError) }
