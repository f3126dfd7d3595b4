package nodetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Binary is binary data that is exchanged with Node, at any depth inside an argument. A
// []byte that is itself an argument is sent as Binary too.
type Binary []byte

// Date is an argument that a client sends as a Date.
type Date time.Time

// MarshalJSON encodes the date for the process.
func (d Date) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"$date": time.Time(d).Format(time.RFC3339Nano)})
}

type binaryJSON struct {
	Base64 *[]byte `json:"$binary"`
}

// MarshalJSON encodes b in the form that the driver expects.
func (b Binary) MarshalJSON() ([]byte, error) {
	data := []byte(b)
	if data == nil {
		data = []byte{}
	}
	return json.Marshal(binaryJSON{&data})
}

// UnmarshalJSON decodes the form that the driver writes. Anything else is an error, so
// that binary data and strings cannot be confused.
func (b *Binary) UnmarshalJSON(text []byte) error {
	var v binaryJSON
	if err := json.Unmarshal(text, &v); err != nil || v.Base64 == nil {
		return fmt.Errorf("nodetest: not binary data: %.80s", text)
	}
	*b = *v.Base64
	return nil
}

// Args are arguments received from Node, each as JSON.
type Args []json.RawMessage

// Bind stores the arguments in the values that ptrs point to, in order. It ends the test
// if there are too few arguments, or if one does not fit. It ignores additional arguments.
func (a Args) Bind(t testing.TB, ptrs ...any) {
	t.Helper()
	if len(a) < len(ptrs) {
		t.Fatalf("nodetest: got %d arguments, want at least %d: %s", len(a), len(ptrs), a)
	}
	for i, p := range ptrs {
		if err := json.Unmarshal(a[i], p); err != nil {
			t.Fatalf("nodetest: argument %d, %s: %v", i, a[i], err)
		}
	}
}

// String returns the arguments as one JSON array, for comparisons and messages.
func (a Args) String() string {
	if a == nil {
		return "[]"
	}
	text, err := json.Marshal([]json.RawMessage(a))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// outgoing converts arguments to the form that the driver expects.
func outgoing(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		if b, ok := arg.([]byte); ok && b != nil {
			arg = Binary(b)
		}
		out[i] = arg
	}
	return out
}
