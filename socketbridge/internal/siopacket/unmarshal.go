package siopacket

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Unmarshal stores one argument of a packet, as returned by AppendArgs, in the value
// that v points to, like json.Unmarshal. An attachment is stored where its
// placeholder is: in a []byte, including struct fields and elements, or as a []byte
// in an any. A Value keeps the text with its attachments. In a json.RawMessage the
// placeholder is kept. A type with its own
// UnmarshalJSON method receives a meaningless string in place of the placeholder.
//
// Attachments are not copied. If attachments is empty, objects that look like
// placeholders are plain data. Unmarshal returns an error that wraps ErrUnsupported
// if the Go type cannot hold an attachment, and one that wraps ErrSyntax if the
// placeholders do not match. Other errors are those of encoding/json. After an error
// v may be partly modified.
func Unmarshal(raw []byte, attachments [][]byte, v any) error {
	if len(attachments) == 0 {
		return json.Unmarshal(raw, v)
	}
	scan := scanner{data: raw, maxDepth: math.MaxInt, attachments: len(attachments)}
	if _, err := scan.value(skipSpace(raw, 0), 0); err != nil {
		return err
	}
	if len(scan.found) == 0 {
		return json.Unmarshal(raw, v)
	}
	// If the first placeholder ends where the argument ends, it is the whole argument.
	if b, ok := v.(*[]byte); ok && b != nil && scan.found[0].end == len(raw) {
		*b = attachments[scan.found[0].num]
		return nil
	}
	s := markers{bytes: attachments}
	err := json.Unmarshal(s.replacePlaceholders(raw, scan.found), v)
	if to := reflect.ValueOf(v); to.Kind() == reflect.Pointer && !to.IsNil() {
		w := rewriter{markers: &s, decoding: true}
		if w.value(to, 0); err == nil {
			err = w.err
		}
	}
	if err != nil {
		return fmt.Errorf("siopacket: argument with attachments: %w", err)
	}
	return nil
}
