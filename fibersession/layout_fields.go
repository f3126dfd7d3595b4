package fibersession

import (
	"encoding/binary"
	"fmt"
)

// A sealed session has optional fields after its header, in ascending order of their tags:
// the tag in one byte, the length of the content in two bytes, and the content, which is
// not empty. A new field gets the next tag. Nodes that do not know it yet write it back
// unchanged, so that a rolling deploy loses nothing.
type fieldTag byte

const (
	fieldAddress   fieldTag = 1 // clientInfo.address
	fieldUserAgent fieldTag = 2 // clientInfo.userAgent
	fieldCookie    fieldTag = 3 // cookieFlags, in one byte
	fieldNotes     fieldTag = 4 // meta.notes
	fieldNewest             = fieldNotes
)

const fieldHeader = 3

// encodeFields encodes the optional fields of m.
func (m *meta) encodeFields() []byte {
	cookie := m.cookie.encode()
	size := len(m.client.address) + len(m.client.userAgent) + len(cookie) + len(m.notes) + len(m.newerFields)
	if size == 0 {
		return nil
	}
	b := make([]byte, 0, int(fieldNewest)*fieldHeader+size)
	b = appendField(b, fieldAddress, m.client.address)
	b = appendField(b, fieldUserAgent, m.client.userAgent)
	b = appendField(b, fieldCookie, cookie)
	b = appendField(b, fieldNotes, string(m.notes))
	return append(b, m.newerFields...)
}

func appendField(b []byte, tag fieldTag, content string) []byte {
	if content == "" {
		return b
	}
	b = append(b, byte(tag))
	b = binary.BigEndian.AppendUint16(b, uint16(len(content)))
	return append(b, content...)
}

// decodeFields decodes the optional fields into m.
func (m *meta) decodeFields(b []byte) error {
	all, last := b, fieldTag(0)
	for len(b) > 0 {
		tag := fieldTag(b[0])
		if len(b) <= fieldHeader || tag <= last {
			return fmt.Errorf("%w: bad field", errEnvelope)
		}
		size := int(binary.BigEndian.Uint16(b[1:]))
		if size == 0 || size > len(b)-fieldHeader {
			return fmt.Errorf("%w: bad length of field %d", errEnvelope, tag)
		}
		if tag <= fieldNewest {
			if !m.setField(tag, string(b[fieldHeader:fieldHeader+size])) {
				return fmt.Errorf("%w: bad content of field %d", errEnvelope, tag)
			}
			all = b[fieldHeader+size:]
		}
		last, b = tag, b[fieldHeader+size:]
	}
	m.newerFields = string(all)
	return nil
}

// setField stores the content of a field. It returns false if the content is invalid.
func (m *meta) setField(tag fieldTag, content string) bool {
	switch tag {
	case fieldAddress:
		m.client.address = content
		return len(content) <= maxAddress
	case fieldUserAgent:
		m.client.userAgent = content
		return len(content) <= maxUserAgent
	case fieldCookie:
		m.cookie = cookieFlags(content[0])
		return len(content) == 1
	case fieldNotes:
		m.notes = noteList(content)
		return len(content)%noteEntry == 0
	}
	return false
}
