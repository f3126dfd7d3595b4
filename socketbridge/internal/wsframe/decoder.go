package wsframe

import "unicode/utf8"

// maxFragments bounds the frames of one message: empty ones cost work and never
// reach a size limit (CVE-2026-48779).
const maxFragments = 4096

// Message is a whole text or binary message, or a control frame. Its zero value
// is not a message; Op None is.
type Message struct {
	Op   Opcode // Text, Binary, Close, Ping, Pong, or None when more bytes are needed
	Data []byte
}

// Decoder takes messages and control frames from the bytes of one client. The
// zero value has no size limit. It is not safe for concurrent use. After an error
// it must not be used again.
type Decoder struct {
	// MaxMessage bounds a message, the sum of its fragments, in bytes. 0: no limit.
	MaxMessage int

	begun *partial // the message that is being joined, or nil
}

// partial is a message that came in fragments so far.
type partial struct {
	op        Opcode
	joined    []byte
	fragments int
	text      utf8Check
}

// Next takes the next message from the beginning of b and returns how many bytes
// of b were used: 0 with Op None when b does not hold a whole frame. It may use
// bytes and still give None: a fragment that does not end its message.
//
// The frame is unmasked in place. Data is part of b, or new memory for
// a message that came in fragments.
//
// Errors are of type *Error: 1002 for what the protocol forbids, 1007 for text
// that is not UTF-8, 1009 for a message over the limit, which is noticed when its
// header is read.
func (d *Decoder) Next(b []byte) (Message, int, error) {
	h, n, err := ParseHeader(b)
	if err != nil || n == 0 {
		return Message{Op: None}, 0, err
	}
	if err := d.admit(h); err != nil {
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

// admit judges a frame by its header. It may be called again for the same frame,
// when the rest of it has come.
func (d *Decoder) admit(h Header) error {
	if !h.Masked {
		return protocolError("a frame is not masked")
	}
	if h.Op.control() {
		return nil
	}
	if first := h.Op != Continuation; first && d.begun != nil {
		return protocolError("a message begins inside another")
	} else if !first && d.begun == nil {
		return protocolError("a continuation of nothing")
	}
	joined := 0
	if d.begun != nil {
		if d.begun.fragments >= maxFragments {
			return &Error{Code: PolicyViolation, Text: "a message has too many fragments"}
		}
		joined = len(d.begun.joined)
	}
	if d.MaxMessage > 0 && h.Length > uint64(d.MaxMessage-joined) {
		return &Error{Code: MessageTooBig, Text: "a message is too big"}
	}
	return nil
}

// join adds a data frame to its message and returns the message when it is whole.
func (d *Decoder) join(h Header, payload []byte) (Message, error) {
	if h.Fin && h.Op != Continuation { // the usual case: nothing to join
		if h.Op == Text && !utf8.Valid(payload) {
			return Message{Op: None}, errText
		}
		return Message{Op: h.Op, Data: payload}, nil
	}
	if h.Op != Continuation {
		d.begun = &partial{op: h.Op}
	}
	p := d.begun
	if p.op == Text && !p.text.add(payload, h.Fin) {
		return Message{Op: None}, errText
	}
	p.joined = append(p.joined, payload...)
	p.fragments++
	if !h.Fin {
		return Message{Op: None}, nil
	}
	d.begun = nil
	return Message{Op: p.op, Data: p.joined}, nil
}

var errText = &Error{Code: InvalidData, Text: "a text message is not UTF-8"}

// utf8Check checks text that comes in pieces, which may end inside a character.
// The zero value is ready.
type utf8Check struct {
	part [utf8.UTFMax]byte // the beginning of a character that is not complete
	n    int
}

// add reports whether all text so far can still be, and with last is, UTF-8.
func (u *utf8Check) add(p []byte, last bool) bool {
	for u.n > 0 && len(p) > 0 { // complete the character that was cut
		u.part[u.n] = p[0]
		u.n++
		p = p[1:]
		if utf8.FullRune(u.part[:u.n]) {
			if r, _ := utf8.DecodeRune(u.part[:u.n]); r == utf8.RuneError && !isReplacement(u.part[:u.n]) {
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
		u.n = copy(u.part[:], p[cut:])
	}
	return !last || u.n == 0
}

// isReplacement tells U+FFFD, correctly encoded, from what decodes to it.
func isReplacement(b []byte) bool { return string(b) == string(utf8.RuneError) }
