package siopacket

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// Unmarshal stores one argument of a packet, as AppendArgs gives it, in what v
// points to, as json.Unmarshal does. An attachment arrives where its placeholder
// stands: in a []byte, also as a field or an element, or as a []byte in an any. In
// a json.RawMessage the placeholder stays, and a type with its own UnmarshalJSON
// sees a string of no meaning.
//
// The attachments are not copied. With none, what looks like a placeholder is
// plain data. An attachment where the Go type takes none is an error that wraps
// ErrUnsupported, and placeholders that do not match are ErrSyntax; other errors
// are encoding/json's. After an error v may have been changed in part.
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
	// A value that ends with its first placeholder is that placeholder.
	if b, ok := v.(*[]byte); ok && b != nil && scan.found[0].end == len(raw) {
		*b = attachments[scan.found[0].num]
		return nil
	}
	s := standIns{bytes: attachments}
	err := json.Unmarshal(s.replacePlaceholders(raw, scan.found), v)
	if to := reflect.ValueOf(v); to.Kind() == reflect.Pointer && !to.IsNil() {
		w := rewriter{leaf: s.putIn, decoding: true}
		if w.value(to, 0); err == nil {
			err = w.err
		}
	}
	if err != nil {
		return fmt.Errorf("siopacket: argument with attachments: %w", err)
	}
	return nil
}
