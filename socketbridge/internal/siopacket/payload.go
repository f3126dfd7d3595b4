package siopacket

import "strconv"

// AppendPayload appends the text of an Event or Ack whose payload is a JSON array
// that is encoded already, and which attachments binary messages will follow. It
// checks nothing: of a payload that somebody else made, give the text to a Decoder.
func AppendPayload(dst []byte, h Header, payload []byte, attachments int) []byte {
	dst = grow(dst, maxHeader+len(h.Namespace)+len(payload))
	if attachments == 0 {
		return append(appendHeader(dst, h), payload...)
	}
	dst = append(dst, '0'+byte(h.Type)+byte(BinaryEvent-Event))
	dst = append(strconv.AppendInt(dst, int64(attachments), 10), '-')
	return append(appendRest(dst, h), payload...)
}
