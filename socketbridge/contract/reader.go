package contract

import (
	"bytes"
	"encoding/json"
)

// reader reads JSON that was validated when its packet arrived. After the end of the text it
// returns zero bytes.
type reader struct {
	text        []byte
	at          int
	attachments [][]byte
}

func (r *reader) skipSpace() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token.
func (r *reader) peek() byte {
	r.skipSpace()
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// take reports whether the next token begins with c, and skips c if so.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

// null reports whether the next value is null, and skips it if so.
func (r *reader) null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.at += len("null")
	return true
}

// isBinary reports whether an object with the key name, whose value follows, is not an object but
// the placeholder of an attachment. Packets without attachments have none, and siopacket.Decoder
// has refused what is neither.
func (r *reader) isBinary(name []byte) bool {
	return len(r.attachments) > 0 && string(name) == "_placeholder" && r.peek() == 't'
}

// str skips a string and returns its text between the quotes, and whether it has escapes. The
// next token is a string.
func (r *reader) str() (text []byte, escaped bool) {
	r.skipSpace()
	start := r.at + 1
	i := start
	for i < len(r.text) && r.text[i] != '"' {
		if r.text[i] == '\\' {
			escaped = true
			i++
		}
		i++
	}
	r.at = min(i+1, len(r.text))
	return r.text[start:min(i, len(r.text))], escaped
}

// raw skips a value and returns its text.
func (r *reader) raw() []byte {
	r.skipSpace()
	start := r.at
	for depth := 0; r.at < len(r.text); {
		switch c := r.text[r.at]; {
		case depth == 0 && (c == ',' || c == '}' || c == ']'):
			return bytes.TrimRight(r.text[start:r.at], " \t\r\n")
		case c == '"':
			r.str()
			continue
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		r.at++
	}
	return bytes.TrimRight(r.text[start:r.at], " \t\r\n")
}

// number returns the text of a number, or nil if the next value is none.
func (r *reader) number() []byte {
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return nil
	}
	start := r.at
	for r.at < len(r.text) && partOfNumber(r.text[r.at]) {
		r.at++
	}
	return r.text[start:r.at]
}

// unquote returns the string with the text between quotes.
func unquote(text []byte, escaped bool) string {
	if !escaped {
		return string(text)
	}
	var s string
	quoted := append(append([]byte{'"'}, text...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return string(text)
	}
	return s
}

func partOfNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}
