package siopacket

import (
	"encoding/json"
	"reflect"
	"testing"
)

// outerValue is a type as another package defines it on top of Value.
type outerValue Value

func (v outerValue) MarshalJSON() ([]byte, error)     { return Value(v).MarshalJSON() }
func (v *outerValue) UnmarshalJSON(text []byte) error { return (*Value)(v).UnmarshalJSON(text) }
func values(t *testing.T, messages ...any) []Value {
	t.Helper()
	var d Decoder
	p, ok, err := decode(&d, messages...)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	return p.AppendValues(nil)
}

// TestS2_ValuesKeepBytesAndOrder sends arguments on as they came, in all positions: the
// order of keys, the digits of numbers and the attachments stay.
func TestS2_ValuesKeepBytesAndOrder(t *testing.T) {
	t.Parallel()
	const object = `{ "z":1, "a":{"y":1.50,"b":12345678901234567890} ,"é":"\u00e9<&>"}`
	const binary = `{"z":{"num":1,"_placeholder":true},"a":[{"_placeholder":true,"num":0},2]}`
	in := values(t, `53-["e",`+object+`,`+binary+`,null,{"_placeholder":true,"num":2}]`, []byte("zero"), []byte("one"), []byte("two"))
	if len(in) != 4 {
		t.Fatalf("got %d values, want 4", len(in))
	}
	plain, both, null, whole := in[0], in[1], in[2], in[3]
	const sent = `{"z":{"_placeholder":true,"num":0},"a":[{"_placeholder":true,"num":1},2]}`
	compact := `{"z":1,"a":{"y":1.50,"b":12345678901234567890},"é":"\u00e9<&>"}`
	for _, tt := range []struct {
		name string
		args []any
		want string
		sent []string
	}{
		{"all", []any{plain, both, null, whole}, `[` + object + `,` + sent + `,null,{"_placeholder":true,"num":2}]`, []string{"one", "zero", "two"}},
		{"another order", []any{whole, both}, `[{"_placeholder":true,"num":0},{"z":{"_placeholder":true,"num":1},"a":[{"_placeholder":true,"num":2},2]}]`, []string{"two", "one", "zero"}},
		{"twice", []any{whole, whole}, `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, []string{"two", "two"}},
		{"with own binary", []any{[]byte("own"), whole}, `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, []string{"own", "two"}},
		{"in a list", []any{[]any{both}}, `[[` + sent + `]]`, []string{"one", "zero"}},
		{"in a map", []any{map[string]any{"v": plain, "b": whole}}, `[{"b":{"_placeholder":true,"num":0},"v":` + object + `}]`, []string{"two"}},
		{"in a struct", []any{struct {
			A Value
			B *outerValue
			C []byte
		}{plain, (*outerValue)(&both), []byte("own")}},
			`[{"A":` + compact + `,"B":` + sent + `,"C":{"_placeholder":true,"num":2}}]`, []string{"one", "zero", "own"}},
		{"in typed containers", []any{[]Value{whole}, map[string]outerValue{"v": outerValue(both)}},
			`[[{"_placeholder":true,"num":0}],{"v":{"z":{"_placeholder":true,"num":1},"a":[{"_placeholder":true,"num":2},2]}}]`, []string{"two", "one", "zero"}},
		{"of another type", []any{outerValue(both), &whole}, `[` + sent + `,{"_placeholder":true,"num":2}]`, []string{"one", "zero", "two"}},
		{"zero", []any{Value{}, outerValue{}, struct{ V Value }{}}, `[null,null,{"V":null}]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, attachments, err := Append(nil, Header{Type: Ack, ID: 1, HasID: true}, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range attachments {
				got = append(got, string(a))
			}
			_, payload := splitHeader(text)
			if payload != tt.want || !reflect.DeepEqual(got, tt.sent) {
				t.Errorf("got %s with %q\nwant %s with %q", payload, got, tt.want, tt.sent)
			}
			var d Decoder
			messages := []any{string(text)}
			for _, a := range attachments {
				messages = append(messages, a)
			}
			if _, ok, err := decode(&d, messages...); !ok || err != nil {
				t.Errorf("the packet cannot be decoded: ok %v, error %v", ok, err)
			}
		})
	}

	t.Run("outside of a packet", func(t *testing.T) {
		t.Parallel()
		text, err := json.Marshal(both)
		if want := `{"z":"b25l","a":["emVybw==",2]}`; err != nil || string(text) != want {
			t.Errorf("got %s, error %v, want %s", text, err, want)
		}
	})
	t.Run("unmarshal", func(t *testing.T) {
		t.Parallel()
		var v struct {
			Z []byte
			A Value
		}
		if err := both.Unmarshal(&v); err != nil || string(v.Z) != "one" {
			t.Fatalf("got %q, error %v", v.Z, err)
		}
		var a []any
		if err := v.A.Unmarshal(&a); err != nil || len(a) != 2 || string(a[0].([]byte)) != "zero" {
			t.Errorf("got %v, error %v", a, err)
		}
		text, attachments, err := Append(nil, Header{Type: Ack, HasID: true}, v.A)
		if err != nil || string(text) != `61-0[[{"_placeholder":true,"num":0},2]]` || string(attachments[0]) != "zero" {
			t.Errorf("sent on as %s with %q, error %v", text, attachments, err)
		}
		x := any("old")
		if err := (Value{}).Unmarshal(&x); err != nil || x != nil {
			t.Errorf("the zero value is %v, error %v", x, err)
		}
		var direct outerValue
		if err := Unmarshal([]byte(`{"b":1,"a":2}`), nil, &direct); err != nil {
			t.Fatal(err)
		}
		if text, _, err := Append(nil, Header{Type: Ack, HasID: true}, direct); err != nil || string(text) != `30[{"b":1,"a":2}]` {
			t.Errorf("sent on as %s, error %v", text, err)
		}
	})
}

// splitHeader splits a packet's text before its array.
func splitHeader(text []byte) (header, payload string) {
	for i, c := range text {
		if c == '[' {
			return string(text[:i]), string(text[i:])
		}
	}
	return string(text), ""
}

// A value without attachments of its own does not take a look-alike for a placeholder.
func TestS2_ValuesWithLookAlikes(t *testing.T) {
	t.Parallel()
	const text = `["e",{"_placeholder":true,"num":0}]`
	in := values(t, `2`+text)
	out, attachments, err := Append(nil, Header{Type: Event}, "e", in[0])
	if err != nil || string(out) != `2`+text || attachments != nil {
		t.Errorf("got %s with %q, error %v", out, attachments, err)
	}
	if out, _, err := Append(nil, Header{Type: Event}, "e", in[0], []byte("b")); err == nil {
		t.Errorf("beside an attachment, it was sent as %s", out)
	}
}

func TestAllocationsOfValues(t *testing.T) {
	in := values(t, `2["e",{"z":1,"a":[1,2,3]},"text"]`)
	out := make([]byte, 0, 256)
	args := []any{"e", in[0], in[1]}
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if out, _, err = Append(out[:0], Header{Type: Event}, args...); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
