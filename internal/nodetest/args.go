package nodetest

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Binary is binary data on its way to Node or from it, anywhere inside an
// argument. A []byte that is an argument itself is sent as Binary too.
type Binary []byte

type binaryJSON struct {
	Base64 *[]byte `json:"$binary"`
}

// MarshalJSON writes the form that the driver understands.
func (b Binary) MarshalJSON() ([]byte, error) {
	data := []byte(b)
	if data == nil {
		data = []byte{}
	}
	return json.Marshal(binaryJSON{&data})
}

// UnmarshalJSON reads the form that the driver writes. Anything else is an error,
// so that binary data and a string are never taken for each other.
func (b *Binary) UnmarshalJSON(text []byte) error {
	var v binaryJSON
	if err := json.Unmarshal(text, &v); err != nil || v.Base64 == nil {
		return fmt.Errorf("nodetest: not binary data: %.80s", text)
	}
	*b = *v.Base64
	return nil
}

// Args are arguments that came from Node, each as JSON.
type Args []json.RawMessage

// Bind stores the arguments in what ptrs point to, in order, and ends the test
// when there are fewer or one does not fit. More are ignored.
func (a Args) Bind(t testing.TB, ptrs ...any) {
	t.Helper()
	if len(a) < len(ptrs) {
		t.Fatalf("nodetest: %d arguments, want %d: %s", len(a), len(ptrs), a)
	}
	for i, p := range ptrs {
		if err := json.Unmarshal(a[i], p); err != nil {
			t.Fatalf("nodetest: argument %d, %s: %v", i, a[i], err)
		}
	}
}

// String is the arguments as one JSON array, for comparing and for messages.
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

// outgoing prepares arguments for the driver.
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
