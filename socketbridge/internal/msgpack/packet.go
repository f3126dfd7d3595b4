package msgpack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// DecodePacket decodes a packet of socket.io-msgpack-parser: a map with the keys type, nsp,
// and, if the packet has them, data and id. Other keys are ignored. The packet shares no
// memory with data. It is checked as d checks text, and its errors are those of
// siopacket.Decoder.Payload; data of more than maxText bytes as JSON is over a limit.
func DecodePacket(d *siopacket.Decoder, data []byte, maxText int) (siopacket.Packet, error) {
	r := reader{data: data, limits: Limits{MaxDepth: 1000, MaxAttachments: 1000, MaxText: maxText}}
	p, err := r.packet()
	if err != nil {
		return siopacket.Packet{}, fmt.Errorf("%w: %w", siopacket.ErrSyntax, err)
	}
	if p.tooLarge != nil && p.header.Type <= siopacket.ConnectError && strings.HasPrefix(p.header.Namespace, "/") {
		return siopacket.Packet{Header: p.header}, p.tooLarge
	}
	attachments := make([][]byte, len(p.attachments))
	for i, b := range p.attachments {
		attachments[i] = append([]byte{}, b...)
	}
	return d.Payload(p.header, p.payload, attachments)
}

// AppendPacket appends a packet in the form that socket.io-msgpack-parser reads. The payload
// is JSON, or empty if there is none, and the attachments are those of its placeholders.
func AppendPacket(dst []byte, h siopacket.Header, payload []byte, attachments [][]byte) ([]byte, error) {
	start, keys := len(dst), byte(2)
	out := append(dst, 0x80, 0xa4)
	out = append(append(out, "type"...), byte(h.Type), 0xa3)
	w := writer{out: append(out, "nsp"...)}
	namespace := h.Namespace
	if namespace == "" {
		namespace = "/"
	}
	w.header(len(namespace), 0xa0, 32, 0xd9)
	w.out = append(w.out, namespace...)
	if h.HasID {
		keys++
		w.out = append(append(w.out, 0xa2), "id"...)
		w.integer(int64(h.ID))
	}
	out = w.out
	if len(payload) > 0 {
		keys++
		var err error
		if out, err = Append(append(append(out, 0xa4), "data"...), payload, attachments); err != nil {
			return dst, err
		}
	}
	out[start] |= keys
	return out, nil
}

// packet is what a map of socket.io-msgpack-parser contains.
type packet struct {
	header      siopacket.Header
	payload     []byte
	attachments [][]byte
	tooLarge    error // instead of the payload
}

func (r *reader) packet() (p packet, err error) {
	n, err := r.mapLen()
	if err != nil {
		return p, err
	}
	p.header.Type = siopacket.BinaryAck + 1 // none
	for range n {
		key, err := r.key()
		if err != nil {
			return p, err
		}
		switch key {
		case "type":
			n, _, err := r.integer()
			if err != nil || n > uint64(siopacket.ConnectError) {
				return p, r.syntaxError("invalid packet type")
			}
			p.header.Type = siopacket.Type(n)
		case "nsp":
			text, err := r.key()
			if err != nil || !utf8.ValidString(text) {
				return p, r.syntaxError("invalid namespace")
			}
			p.header.Namespace, _, _ = strings.Cut(text, "?")
		case "id":
			if p.header.ID, p.header.HasID, err = r.integer(); err != nil {
				return p, err
			}
		case "data":
			if err := r.payload(&p); err != nil {
				return p, err
			}
		default:
			if err := r.skip(); err != nil {
				return p, err
			}
		}
	}
	if r.pos != len(r.data) {
		return p, r.syntaxError("bytes after the packet")
	}
	return p, nil
}

// payload reads the payload as JSON. One that is too large is skipped, so that the rest of
// the packet, which is needed to answer it, can be read.
func (r *reader) payload(p *packet) error {
	start := r.pos
	if r.absent() {
		p.payload, p.attachments, p.tooLarge = nil, nil, nil
		return nil
	}
	r.out, r.attachments = make([]byte, 0, len(r.data)+len(r.data)/4+16), nil
	err := r.value(0)
	p.payload, p.attachments, p.tooLarge = r.out, r.attachments, nil
	if !errors.Is(err, ErrLimit) {
		return err
	}
	p.payload, p.attachments = nil, nil
	switch err {
	case errDeep:
		p.tooLarge = siopacket.ErrDeep
	case errManyBinary:
		p.tooLarge = siopacket.ErrManyAttachments
	default:
		p.tooLarge = siopacket.ErrLargeText
	}
	r.pos = start
	return r.skip()
}

func (r *reader) mapLen() (uint64, error) {
	code, err := r.number(1)
	switch {
	case err != nil:
		return 0, err
	case code >= 0x80 && code < 0x90:
		return code & 0x0f, nil
	case code == 0xde:
		return r.number(2)
	case code == 0xdf:
		return r.number(4)
	}
	return 0, r.syntaxError("not a map")
}

// key reads a string of at most 64 KiB.
func (r *reader) key() (string, error) {
	code, err := r.number(1)
	if err != nil {
		return "", err
	}
	n := code & 0x1f
	switch {
	case code >= 0xa0 && code < 0xc0:
	case code == 0xd9:
		n, err = r.number(1)
	case code == 0xda:
		n, err = r.number(2)
	default:
		return "", r.syntaxError("not a string")
	}
	if err != nil {
		return "", err
	}
	b, err := r.next(n)
	return string(b), err
}

// absent skips null and undefined, and reports whether it did.
func (r *reader) absent() bool {
	rest := r.data[r.pos:]
	switch {
	case len(rest) > 0 && rest[0] == 0xc0:
		r.pos++
	case len(rest) > 2 && rest[0] == 0xd4 && rest[1] == 0: // of notepack.io 2
		r.pos += 3
	default:
		return false
	}
	return true
}

// integer reads an integer that is not negative. If there is none, ok is false.
func (r *reader) integer() (n uint64, ok bool, err error) {
	if r.absent() {
		return 0, false, nil
	}
	start := r.pos
	if err := r.skip(); err != nil {
		return 0, false, err
	}
	switch code := r.data[start]; {
	case code < 0x80, code >= 0xcc && code <= 0xcf, code >= 0xd0 && code <= 0xd3:
		number := reader{data: r.data[start:r.pos], limits: r.limits}
		if err := number.value(0); err != nil {
			return 0, false, err
		}
		if n, err = strconv.ParseUint(string(number.out), 10, 64); err == nil {
			return n, true, nil
		}
	}
	return 0, false, r.syntaxError("invalid number")
}

// skip reads a value, however deep, and drops it.
func (r *reader) skip() error {
	for open := uint64(1); open > 0; open-- {
		code, err := r.number(1)
		if err != nil {
			return err
		}
		size, children := uint64(0), uint64(0)
		switch {
		case code < 0x80, code >= 0xe0, code == 0xc0, code == 0xc2, code == 0xc3:
		case code < 0x90:
			children = 2 * (code & 0x0f)
		case code < 0xa0:
			children = code & 0x0f
		case code < 0xc0:
			size = code & 0x1f
		case code == 0xc1:
			return r.syntaxError("unknown type")
		default:
			n, err := r.number(sizes[code-0xc4])
			if err != nil {
				return err
			}
			switch {
			case code <= 0xc6, code >= 0xd9 && code <= 0xdb: // bin, str
				size = n
			case code <= 0xc9: // ext
				size = n + 1
			case code >= 0xd4 && code <= 0xd8: // fixext
				size = 1 + 1<<(code-0xd4)
			case code == 0xdc, code == 0xdd:
				children = n
			case code >= 0xde:
				children = 2 * n
			}
		}
		if _, err := r.next(size); err != nil {
			return err
		}
		if open += children; open-1 > uint64(len(r.data)-r.pos) {
			return r.syntaxError("unexpected end of input")
		}
	}
	return nil
}
