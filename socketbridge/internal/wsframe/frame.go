package wsframe

import (
	"encoding/binary"
	"fmt"
)

// Opcode is the kind of a frame (RFC 6455, section 5.2).
type Opcode byte

// The opcodes of RFC 6455. Others are reserved.
const (
	Continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10

	// None is not a valid opcode. It means that there is no frame.
	None Opcode = 0xFF
)

func (o Opcode) control() bool { return o >= Close }

// MaxHeader is the maximum size of the header of a masked frame, in bytes.
const MaxHeader = 14

// maxControl is the maximum payload of a control frame (section 5.5), in bytes.
const maxControl = 125

// Header is a decoded frame header.
type Header struct {
	Fin    bool
	Op     Opcode
	Masked bool
	Key    [4]byte
	Length uint64 // below 2^63
}

// IsContinuation reports whether the frame that b begins with continues a message. b must
// not be empty.
func IsContinuation(b []byte) bool { return Opcode(b[0]&0x0F) == Continuation }

// ParseHeader decodes a header and returns its size, or 0 if b does not hold all of
// it. Reserved bits, reserved opcodes, fragmented or too long control frames, and
// lengths of 2^63 or more are errors, reported as soon as the deciding byte is in b. So
// is a length that is not in its shortest form (section 5.2: "the minimal number of
// bytes MUST be used").
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	if b[0]&0x70 != 0 {
		return h, 0, protocolError("reserved bit is set")
	}
	h.Fin = b[0]&0x80 != 0
	h.Op = Opcode(b[0] & 0x0F)
	switch h.Op {
	case Continuation, Text, Binary:
	case Close, Ping, Pong:
		if !h.Fin {
			return h, 0, protocolError("control frame is fragmented")
		}
	default:
		return h, 0, protocolError("reserved opcode")
	}
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Masked = b[1]&0x80 != 0
	length := uint64(b[1] & 0x7F)
	if h.Op.control() && length > maxControl {
		return h, 0, protocolError("control frame is too long")
	}
	n = 2
	switch length {
	case 126:
		if len(b) < 4 {
			return h, 0, nil
		}
		length, n = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if length < 126 {
			return h, 0, protocolError("length is not in its shortest form")
		}
	case 127:
		if len(b) < 10 {
			return h, 0, nil
		}
		length, n = binary.BigEndian.Uint64(b[2:]), 10
		if length>>63 != 0 {
			return h, 0, protocolError("length has its top bit set")
		}
		if length <= 0xFFFF {
			return h, 0, protocolError("length is not in its shortest form")
		}
	}
	h.Length = length
	if h.Masked {
		if len(b) < n+4 {
			return h, 0, nil
		}
		h.Key = [4]byte(b[n:])
		n += 4
	}
	return h, n, nil
}

// AppendHeader appends h, with its length in the shortest form.
func AppendHeader(dst []byte, h Header) []byte {
	first := byte(h.Op)
	if h.Fin {
		first |= 0x80
	}
	var mask byte
	if h.Masked {
		mask = 0x80
	}
	switch {
	case h.Length <= 125:
		dst = append(dst, first, mask|byte(h.Length))
	case h.Length <= 0xFFFF:
		dst = append(dst, first, mask|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, first, mask|127)
		dst = binary.BigEndian.AppendUint64(dst, h.Length)
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// Append appends a frame as a server sends it: final and unmasked.
func Append(dst []byte, op Opcode, payload []byte) []byte {
	dst = AppendHeader(dst, Header{Fin: true, Op: op, Length: uint64(len(payload))})
	return append(dst, payload...)
}

// Mask masks or unmasks b, the beginning of a payload, with key (section 5.3).
func Mask(key [4]byte, b []byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for len(b) >= 32 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^k)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^k)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^k)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

func protocolError(text string) error { return &Error{Code: ProtocolError, Text: text} }

// Error is a violation of the protocol by the peer, with the close code to send.
type Error struct {
	Code uint16
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("wsframe: %s (close code %d)", e.Text, e.Code) }
