package siopacket

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	B []byte `json:"b"`
}

type embedded struct{ E []byte }

type Exported struct{ X []byte }

type bag struct {
	Name   string `json:"name"`
	Bin    []byte `json:"bin,omitempty"`
	Hidden []byte `json:"-"`
	own    []byte
	Ptr    *inner            `json:"ptr,omitempty"`
	Map    map[string][]byte `json:"map,omitempty"`
	List   [][]byte          `json:"list,omitempty"`
	Array  [2]inner          `json:"array"`
	Any    any               `json:"any,omitempty"`
	When   time.Time         `json:"when,omitzero"`
	Raw    json.RawMessage   `json:"raw,omitempty"`
	embedded
	*Exported
}

type named []byte

type base64er []byte

func (b base64er) MarshalText() ([]byte, error) { return []byte("own:" + string(b)), nil }

// sealed implements json.Marshaler.
type sealed struct{ B []byte }

func (s sealed) MarshalJSON() ([]byte, error) { return AppendString(nil, "sealed:"+string(s.B)), nil }

// reader customizes only its decoding, writer only its encoding.
type (
	reader struct{ B []byte }
	writer []byte
)

func (*reader) UnmarshalJSON([]byte) error    { return nil }
func (w writer) MarshalText() ([]byte, error) { return w, nil }

// child and its parent form a cycle that encoding/json does not follow.
type child struct {
	Parent *child `json:"-"`
	Child  *child
	B      []byte
}

func TestAppend(t *testing.T) {
	family := &child{Child: &child{B: []byte("x")}}
	family.Child.Parent = family
	t.Parallel()
	event := Header{Type: Event, Namespace: "/"}
	var nilBytes []byte
	var nilMap map[string]any
	var nilSlice []any
	for _, tt := range []struct {
		name        string
		header      Header
		args        []any
		text        string
		attachments []string
	}{
		{"connect", Header{Type: Connect}, nil, `0`, nil},
		{"connect to a namespace", Header{Type: Connect, Namespace: "/a"}, []any{map[string]string{"sid": "x"}}, `0/a,{"sid":"x"}`, nil},
		{"connect error", Header{Type: ConnectError, Namespace: "/"}, []any{struct {
			Message string `json:"message"`
		}{"no"}}, `4{"message":"no"}`, nil},
		{"disconnect", Header{Type: Disconnect, Namespace: "/a"}, nil, `1/a,`, nil},
		{"event", event, []any{"e"}, `2["e"]`, nil},
		{"ack", Header{Type: Ack, Namespace: "/a", ID: 7, HasID: true}, []any{1, "x"}, `3/a,7[1,"x"]`, nil},
		{"empty ack", Header{Type: Ack, ID: 0, HasID: true}, nil, `30[]`, nil},
		{"an id that does not count", Header{Type: Event, ID: 5}, []any{"e"}, `2["e"]`, nil},

		{"numbers", event, []any{"e", 1, int64(-2), uint64(math.MaxUint64), int8(3), 1.5, 2.0, math.Copysign(0, -1), 1e15, 1e300, float32(0.5)},
			`2["e",1,-2,18446744073709551615,3,1.5,2,0,1000000000000000,1e+300,0.5]`, nil},
		{"words", event, []any{"e", true, false, nil}, `2["e",true,false,null]`, nil},
		{"strings are not HTML", event, []any{"e", "<a href='x'>&</a>", struct{ S string }{"<&>"}}, `2["e","<a href='x'>&</a>",{"S":"<&>"}]`, nil},
		{"escapes", event, []any{"e", "\"\\\n\r\t\x00\x1f\x7f\u2028"}, `2["e","\"\\\n\r\t\u0000\u001f` + "\x7f\u2028" + `"]`, nil},
		{"invalid UTF-8", event, []any{"e", "a\xffb\xf0\x9f\x98"}, `2["e","a` + "\ufffdb\ufffd\ufffd\ufffd" + `"]`, nil},
		{"keys in order", event, []any{"e", map[string]any{"b": 1, "a": []any{}, "c<": nil}}, `2["e",{"a":[],"b":1,"c<":null}]`, nil},
		{"raw", event, []any{"e", json.RawMessage(` {"a" : 1}`), json.RawMessage(nil)}, `2["e", {"a" : 1},null]`, nil},
		{"nothing in containers", event, []any{"e", nilBytes, nilMap, nilSlice, (*inner)(nil)}, `2["e",null,null,null,null]`, nil},
		{"other types", event, []any{"e", []string{"a"}, [2]int{1, 2}, map[int]bool{3: true}, time.Unix(0, 0).UTC()},
			`2["e",["a"],[1,2],{"3":true},"1970-01-01T00:00:00Z"]`, nil},
		{"placeholder as plain data", event, []any{"e", json.RawMessage(`{"_placeholder":true,"num":3}`)},
			`2["e",{"_placeholder":true,"num":3}]`, nil},

		{"binary", event, []any{"e", []byte("x")}, `51-["e",{"_placeholder":true,"num":0}]`, []string{"x"}},
		{"binary ack", Header{Type: Ack, Namespace: "/a", ID: 12, HasID: true}, []any{[]byte("x")},
			`61-/a,12[{"_placeholder":true,"num":0}]`, []string{"x"}},
		{"header with a binary type", Header{Type: BinaryEvent}, []any{"e", []byte("x")}, `51-["e",{"_placeholder":true,"num":0}]`, []string{"x"}},
		{"binary type without attachments", Header{Type: BinaryAck, ID: 1, HasID: true}, []any{"x"}, `31["x"]`, nil},
		{"empty binary", event, []any{"e", []byte{}}, `51-["e",{"_placeholder":true,"num":0}]`, []string{""}},
		{"binary in any and map", event, []any{"e", []any{[]byte("x"), map[string]any{"a": []byte("y")}}},
			`52-["e",[{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]]`, []string{"x", "y"}},
		{"named slice of bytes", event, []any{"e", named("x")}, `51-["e",{"_placeholder":true,"num":0}]`, []string{"x"}},
		{"a type with its own JSON", event, []any{"e", sealed{[]byte("x")}, []any{&sealed{[]byte("y")}}}, `2["e","sealed:x",["sealed:y"]]`, nil},
		{"a type with its own way of reading", event, []any{"e", reader{[]byte("x")}},
			`51-["e",{"B":{"_placeholder":true,"num":0}}]`, []string{"x"}},
		{"a cycle that JSON does not follow", event, []any{"e", family},
			`51-["e",{"Child":{"Child":null,"B":{"_placeholder":true,"num":0}},"B":null}]`, []string{"x"}},
		{"a type with its own text", event, []any{"e", base64er("x")}, `2["e","own:x"]`, nil},
		{"structs", event, []any{"e", bag{Name: "n", Bin: []byte("1"), Hidden: []byte("no"), own: []byte("no"), Ptr: &inner{[]byte("2")},
			Map: map[string][]byte{"k": []byte("3")}, List: [][]byte{[]byte("4"), nil}, Array: [2]inner{{[]byte("5")}, {}},
			Any: &inner{[]byte("6")}, Raw: json.RawMessage(`[7]`), embedded: embedded{[]byte("8")}, Exported: &Exported{[]byte("9")}}},
			`58-["e",{"name":"n","bin":{"_placeholder":true,"num":0},"ptr":{"b":{"_placeholder":true,"num":1}},` +
				`"map":{"k":{"_placeholder":true,"num":2}},"list":[{"_placeholder":true,"num":3},null],` +
				`"array":[{"b":{"_placeholder":true,"num":4}},{"b":null}],"any":{"b":{"_placeholder":true,"num":5}},"raw":[7],` +
				`"E":{"_placeholder":true,"num":6},"X":{"_placeholder":true,"num":7}}]`,
			[]string{"1", "2", "3", "4", "5", "6", "8", "9"}},
		{"empty and omitted", event, []any{"e", bag{Bin: []byte{}}}, `2["e",{"name":"","array":[{"b":null},{"b":null}],"E":null}]`, nil},
		{"bytes of a struct that are empty", event, []any{"e", inner{[]byte{}}}, `51-["e",{"b":{"_placeholder":true,"num":0}}]`, []string{""}},
		{"arrays of bytes are numbers", event, []any{"e", [2]byte{1, 2}}, `2["e",[1,2]]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := snapshot(t, tt.args)
			text, attachments, err := Append([]byte("kept:"), tt.header, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if string(text) != "kept:"+tt.text {
				t.Errorf("got  %s\nwant kept:%s", text, tt.text)
			}
			var got []string
			for _, a := range attachments {
				got = append(got, string(a))
			}
			if !reflect.DeepEqual(got, tt.attachments) {
				t.Errorf("attachments %q, want %q", got, tt.attachments)
			}
			if after := snapshot(t, tt.args); after != before {
				t.Errorf("the arguments were changed: %s, was %s", after, before)
			}
		})
	}
}

func snapshot(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type circle struct {
	Next *circle
	B    []byte
}

func TestAppendRefused(t *testing.T) {
	t.Parallel()
	loop := []any{nil}
	loop[0] = loop
	ring := &circle{B: []byte("x")}
	ring.Next = ring
	many := make([]any, 11)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	event := Header{Type: Event}
	for _, tt := range []struct {
		name   string
		header Header
		args   []any
		want   error
	}{
		{"channel", event, []any{"e", make(chan int)}, ErrUnsupported},
		{"function in a map", event, []any{"e", map[string]any{"f": func() {}}}, ErrUnsupported},
		{"not a number", event, []any{"e", math.NaN()}, ErrUnsupported},
		{"infinity", event, []any{"e", math.Inf(-1)}, ErrUnsupported},
		{"raw that is no JSON", event, []any{"e", json.RawMessage(`{"a"`)}, ErrUnsupported},
		{"raw of two values", event, []any{"e", json.RawMessage(`1,"injected"`)}, ErrUnsupported},
		{"raw that is empty", event, []any{"e", json.RawMessage{}}, ErrUnsupported},
		{"raw in invalid UTF-8", event, []any{"e", json.RawMessage("\"\xff\"")}, ErrUnsupported},
		{"slice in itself", event, []any{"e", loop}, ErrLimit},
		{"pointer to itself", event, []any{"e", ring}, ErrLimit},
		{"eleven attachments", event, append([]any{"e"}, many...), ErrLimit},
		{"placeholder of another beside an attachment", event,
			[]any{"e", json.RawMessage(`{"_placeholder":true,"num":9}`), []byte("x")}, ErrUnsupported},
		{"placeholder of the same number beside an attachment", event,
			[]any{"e", map[string]any{"_placeholder": true, "num": 0}, []byte("x")}, ErrUnsupported},
		{"connect with two payloads", Header{Type: Connect}, []any{1, 2}, ErrUnsupported},
		{"connect with binary", Header{Type: Connect}, []any{map[string]any{"a": []byte("x")}}, ErrUnsupported},
		{"disconnect with a payload", Header{Type: Disconnect}, []any{1}, ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, attachments, err := Append([]byte("kept"), tt.header, tt.args...)
			if !errors.Is(err, tt.want) || string(text) != "kept" || attachments != nil {
				t.Errorf("%s, %d attachments, %v; want %v", text, len(attachments), err, tt.want)
			}
		})
	}
}

func TestAppendRaw(t *testing.T) {
	t.Parallel()
	h := Header{Type: Ack, Namespace: "/a", ID: 7, HasID: true}
	for want, args := range map[string][]json.RawMessage{
		`x3/a,7[]`:            nil,
		`x3/a,7[1]`:           {json.RawMessage(`1`)},
		`x3/a,7["a",{"b":2}]`: {json.RawMessage(`"a"`), json.RawMessage(`{"b":2}`)},
	} {
		if got := AppendRaw([]byte("x"), h, args...); string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// encoding/json decodes the literals of AppendString to the original strings.
func TestAppendString(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := rune(0); r < 0x3000; r++ {
		all.WriteRune(r)
	}
	for _, s := range []string{"", all.String(), "\U0010ffff", "😀"} {
		var got string
		if err := json.Unmarshal(AppendString(nil, s), &got); err != nil || got != s {
			t.Errorf("%.20q became %.20q, %v", s, got, err)
		}
	}
}
