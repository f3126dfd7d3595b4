package wsframe

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Close codes of RFC 6455, section 7.4.1, that a server sends.
const (
	NormalClosure   uint16 = 1000
	GoingAway       uint16 = 1001
	ProtocolError   uint16 = 1002
	InvalidData     uint16 = 1007 // text that is not UTF-8
	PolicyViolation uint16 = 1008
	MessageTooBig   uint16 = 1009
	InternalError   uint16 = 1011
)

// NoStatus means that a close frame has no code. It is never sent.
const NoStatus uint16 = 1005

// CodeOf returns the close code of an error of this package, and ProtocolError for
// any other error.
func CodeOf(err error) uint16 {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ProtocolError
}

// AppendClose appends a close frame. With NoStatus the frame has no payload.
func AppendClose(dst []byte, code uint16) []byte {
	if code == NoStatus {
		return Append(dst, Close, nil)
	}
	return Append(dst, Close, binary.BigEndian.AppendUint16(nil, code))
}

// ParseClose returns the code in the payload of a close frame, or NoStatus if the
// payload is empty. It returns an error if the payload is one byte, if the code must
// not be sent, or if the reason is not UTF-8.
func ParseClose(payload []byte) (uint16, error) {
	switch {
	case len(payload) == 0:
		return NoStatus, nil
	case len(payload) == 1:
		return 0, protocolError("close payload of one byte")
	}
	code := binary.BigEndian.Uint16(payload)
	if !sendable(code) {
		return 0, protocolError("close code that must not be sent")
	}
	if !utf8.Valid(payload[2:]) {
		return 0, &Error{Code: InvalidData, Text: "close reason is not UTF-8"}
	}
	return code, nil
}

// sendable reports whether a peer may send code: see section 7.4 and IANA's registry.
func sendable(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	case code >= 3000 && code <= 4999: // for libraries and applications
		return true
	}
	return false
}
