package siopacket

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const ph0, ph1 = `{"_placeholder":true,"num":0}`, `{"num":1,"_placeholder":true}`

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	zero, one := []byte("zero"), []byte{}
	type target struct {
		A   []byte
		Any any
		Raw json.RawMessage
		Ptr *[]byte
		N   named
		M   map[string][]byte
		L   []inner
		embedded
	}
	for _, tt := range []struct {
		name, raw string
		into      any // a pointer; its type is the target's
		want      any
	}{
		{"bytes", ph0, new([]byte), zero},
		{"empty bytes", ph1, new([]byte), one},
		{"named bytes", ph0, new(named), named("zero")},
		{"any", ph0, new(any), any(zero)},
		{"raw", ` [` + ph0 + `,1] `, new(json.RawMessage), json.RawMessage(`[` + ph0 + `,1]`)},
		{"in any", `{"a":[` + ph1 + `,{"b":` + ph0 + `}],"c":"text"}`, new(any),
			any(map[string]any{"a": []any{one, map[string]any{"b": zero}}, "c": "text"})},
		{"in a map", `{"a":` + ph0 + `}`, new(map[string]any), map[string]any{"a": zero}},
		{"in a map of bytes", `{"a":` + ph0 + `,"b":"AQI="}`, new(map[string][]byte), map[string][]byte{"a": zero, "b": {1, 2}}},
		{"in a slice", `[` + ph1 + `,null,` + ph0 + `]`, new([][]byte), [][]byte{one, nil, zero}},
		{"in an array", `[` + ph0 + `]`, new([2][]byte), [2][]byte{zero}},
		{"in a field", `{"a":` + ph0 + `}`, new(target), target{A: zero}},
		{"in a field of any", `{"any":[` + ph0 + `]}`, new(target), target{Any: []any{zero}}},
		{"in a raw field", `{"raw":{"x":` + ph1 + `}}`, new(target), target{Raw: json.RawMessage(`{"x":{"_placeholder":true,"num":1}}`)}},
		{"behind a pointer", `{"ptr":` + ph0 + `}`, new(target), target{Ptr: &zero}},
		{"in a named field", `{"n":` + ph0 + `}`, new(target), target{N: named("zero")}},
		{"in a map field", `{"m":{"k":` + ph0 + `}}`, new(target), target{M: map[string][]byte{"k": zero}}},
		{"in a list of structs", `{"l":[{},{"b":` + ph0 + `}]}`, new(target), target{L: []inner{{}, {zero}}}},
		{"into a type with its own way of writing", `[` + ph0 + `]`, new([]writer), []writer{writer("zero")}},
		{"in an embedded struct", `{"E":` + ph0 + `}`, new(target), target{embedded: embedded{zero}}},
		{"beside an unknown field", `{"x":` + ph0 + `,"a":` + ph1 + `}`, new(target), target{A: one}},
		{"without placeholder", `{"a":"AQI="}`, new(target), target{A: []byte{1, 2}}},
		{"plain text", `"text"`, new(string), "text"},
		{"escaped key", `{"\u005fplaceholder":true,"num":0}`, new([]byte), zero},
		{"a longer key", `{"_placeholders":true,"num":0}`, new(any), any(map[string]any{"_placeholders": true, "num": 0.0})},
		{"another letter", `{"\u305fplaceholder":true,"num":0}`, new(any), any(map[string]any{"\u305fplaceholder": true, "num": 0.0})},
		{"another escape", `{"\nplaceholder":true,"num":0}`, new(any), any(map[string]any{"\nplaceholder": true, "num": 0.0})},
		{"not marked as one", `{"_placeholder":1,"num":0}`, new(any), any(map[string]any{"_placeholder": 1.0, "num": 0.0})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := Unmarshal([]byte(tt.raw), [][]byte{zero, one}, tt.into); err != nil {
				t.Fatal(err)
			}
			if got := reflect.ValueOf(tt.into).Elem().Interface(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
		})
	}
}

func TestUnmarshalRefused(t *testing.T) {
	t.Parallel()
	attachments := [][]byte{[]byte("zero")}
	for _, tt := range []struct {
		name, raw string
		into      any
		want      error // nil for any
	}{
		{"into a string", ph0, new(string), ErrUnsupported},
		{"into a field that is a string", `{"name":` + ph0 + `}`, new(bag), ErrUnsupported},
		{"into strings", `[` + ph0 + `]`, new([]string), ErrUnsupported},
		{"into a map of strings", `{"a":` + ph0 + `}`, new(map[string]string), ErrUnsupported},
		{"into a number", ph0, new(int), nil},
		{"into a struct", ph0, new(bag), nil},
		{"into nothing", ph0, nil, nil},
		{"into no pointer", ph0, []byte(nil), nil},
		{"into a nil pointer", ph0, (*[]byte)(nil), nil},
		{"number out of range", ph1, new([]byte), ErrSyntax},
		{"the same twice", `[` + ph0 + `,` + ph0 + `]`, new([][]byte), ErrSyntax},
		{"no JSON", `[` + ph0, new([][]byte), ErrSyntax},
		{"two values", ph0 + `1`, new([]byte), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := Unmarshal([]byte(tt.raw), attachments, tt.into); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// Without attachments, an object that looks like a placeholder is plain data.
func TestUnmarshalPlainPlaceholder(t *testing.T) {
	t.Parallel()
	var got any
	if err := Unmarshal([]byte(ph0), nil, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"_placeholder": true, "num": 0.0}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// Pointers in the target keep pointing to the same values.
func TestUnmarshalKeepsPointers(t *testing.T) {
	t.Parallel()
	in := &inner{}
	b := bag{Ptr: in, Bin: []byte("kept")}
	if err := Unmarshal([]byte(`{"ptr":{"b":`+ph0+`}}`), [][]byte{[]byte("zero")}, &b); err != nil {
		t.Fatal(err)
	}
	if b.Ptr != in || string(in.B) != "zero" || string(b.Bin) != "kept" {
		t.Errorf("got %+v, %+v", b, in)
	}
}

// A string from the peer is never mistaken for an attachment, because the random
// prefix of the markers is new in each call.
func TestMarkersAreUnguessable(t *testing.T) {
	t.Parallel()
	var seen seer
	for range 2 {
		if err := Unmarshal([]byte(`[`+ph0+`]`), [][]byte{{1}}, &seen); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 || seen[0] == seen[1] || len(seen[0]) != len(`[""]`)+markerChars {
		t.Fatalf("UnmarshalJSON received %q", seen)
	}
	var got []any
	raw := strings.TrimSuffix(seen[0], "]") + "," + ph0 + "]"
	if err := Unmarshal([]byte(raw), [][]byte{{1}}, &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got[0].(string); !ok {
		t.Errorf("a marker of an earlier call was replaced by %v", got[0])
	}
}

// seer records the JSON that encoding/json passes to it.
type seer []string

func (s *seer) UnmarshalJSON(text []byte) error {
	*s = append(*s, string(text))
	return nil
}
