package siopacket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// decode passes the messages to d: strings as text, []byte as binary.
func decode(d *Decoder, messages ...any) (p Packet, ok bool, err error) {
	for _, m := range messages {
		switch m := m.(type) {
		case string:
			p, ok, err = d.Text([]byte(m))
		case []byte:
			p, ok, err = d.Binary(m)
		}
		if err != nil {
			return p, ok, err
		}
	}
	return p, ok, nil
}

func TestText(t *testing.T) {
	t.Parallel()
	head := func(t Type, ns string) Header { return Header{Type: t, Namespace: ns} }
	withID := func(h Header, id uint64) Header { h.ID, h.HasID = id, true; return h }
	for _, tt := range []struct {
		name, text string
		want       Header
		event      string
		data       string // "" for none
		args       []string
	}{
		{"connect", `0`, head(Connect, "/"), "", "", nil},
		{"connect to a namespace", `0/chat,`, head(Connect, "/chat"), "", "", nil},
		{"connect, no comma", `0/chat`, head(Connect, "/chat"), "", "", nil},
		{"connect to the root by name", `0/,{"a":1}`, head(Connect, "/"), "", `{"a":1}`, nil},
		{"connect, query part", `0/chat?token=a,{}`, head(Connect, "/chat"), "", `{}`, nil},
		{"connect with auth", `0{"token":"x"}`, head(Connect, "/"), "", `{"token":"x"}`, nil},
		{"disconnect", `1`, head(Disconnect, "/"), "", "", nil},
		{"disconnect from a namespace", `1/chat,`, head(Disconnect, "/chat"), "", "", nil},
		{"connect error", `4{"message":"no"}`, head(ConnectError, "/"), "", `{"message":"no"}`, nil},
		{"connect error, old form", `4"no"`, head(ConnectError, "/"), "", `"no"`, nil},
		{"event", `2["e"]`, head(Event, "/"), "e", `["e"]`, nil},
		{"event with arguments", `2["e",1,"a,b",{"c":[1,2]},[],null]`, head(Event, "/"), "e",
			`["e",1,"a,b",{"c":[1,2]},[],null]`, []string{`1`, `"a,b"`, `{"c":[1,2]}`, `[]`, `null`}},
		{"event with spaces", "2[ \"e\" ,\t1 , {\"a\" : 2 }\r\n]", head(Event, "/"), "e",
			"[ \"e\" ,\t1 , {\"a\" : 2 }\r\n]", []string{`1`, `{"a" : 2 }`}},
		{"event with id", `27["e"]`, withID(head(Event, "/"), 7), "e", `["e"]`, nil},
		{"event with id 0", `20["e"]`, withID(head(Event, "/"), 0), "e", `["e"]`, nil},
		{"event with the longest id", `2999999999999999["e"]`, withID(head(Event, "/"), 999999999999999), "e", `["e"]`, nil},
		{"event, namespace and id", `2/a/b,12["e","x"]`, withID(head(Event, "/a/b"), 12), "e", `["e","x"]`, []string{`"x"`}},
		{"event, name with escapes", `2["a\u0062\"\\",1]`, head(Event, "/"), `ab"\`, `["a\u0062\"\\",1]`, []string{`1`}},
		{"event, name in UTF-8", `2["héllo😀"]`, head(Event, "/"), "héllo😀", `["héllo😀"]`, nil},
		{"event, brackets in strings", `2["e","]}\"[{",{"]":"}"}]`, head(Event, "/"), "e",
			`["e","]}\"[{",{"]":"}"}]`, []string{`"]}\"[{"`, `{"]":"}"}`}},
		{"event, placeholder as plain data", `2["e",{"_placeholder":true,"num":5}]`, head(Event, "/"), "e",
			`["e",{"_placeholder":true,"num":5}]`, []string{`{"_placeholder":true,"num":5}`}},
		{"ack", `312["ok",2]`, withID(head(Ack, "/"), 12), "", `["ok",2]`, []string{`"ok"`, `2`}},
		{"empty ack", `3/a,0[]`, withID(head(Ack, "/a"), 0), "", `[]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Decoder
			in := []byte(tt.text)
			p, ok, err := d.Text(in)
			if err != nil || !ok || d.Pending() {
				t.Fatalf("ok %v, error %v, pending %v", ok, err, d.Pending())
			}
			for i := range in {
				in[i] = '!' // the packet owns its memory
			}
			if p.Header != tt.want {
				t.Errorf("header is %+v, want %+v", p.Header, tt.want)
			}
			if string(p.Name) != tt.event || string(p.Data) != tt.data || (p.Data == nil) != (tt.data == "") {
				t.Errorf("event name is %q, data is %q", p.Name, p.Data)
			}
			var args []string
			for _, arg := range p.AppendArgs(nil) {
				args = append(args, string(arg))
			}
			if !reflect.DeepEqual(args, tt.args) {
				t.Errorf("arguments are %q, want %q", args, tt.args)
			}
		})
	}
}

// Malformed packets and the class of the error for each. The CVEs are of other
// implementations that mishandled similar packets.
func TestTextRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ErrSyntax},
		{"unknown type", `7`, ErrSyntax},
		{"no digit", `x["e"]`, ErrSyntax},
		{"type in two digits", `22`, ErrSyntax},
		{"type in UTF-8", "\u0662[\"e\"]", ErrSyntax},

		{"connect with an array", `0[]`, ErrSyntax},
		{"connect with null", `0null`, ErrSyntax},
		{"connect with a string", `0"a"`, ErrSyntax},
		{"connect with an id", `012{}`, ErrSyntax},
		{"disconnect with a payload", `1{}`, ErrSyntax},
		{"disconnect with an id", `1/a,5`, ErrSyntax},
		{"connect error without payload", `4`, ErrSyntax},
		{"connect error with an array", `4[]`, ErrSyntax},
		{"connect error with a number", `45`, ErrSyntax},

		{"event without payload", `2`, ErrSyntax},
		{"event without payload, with id", `212`, ErrSyntax},
		{"event with an object", `2{}`, ErrSyntax},
		{"event with an empty array", `2[]`, ErrSyntax},
		{"CVE-2023-32695: name is an object", `2[{"toString":"a"}]`, ErrSyntax},
		{"CVE-2023-32695: name is an array", `2[["a"]]`, ErrSyntax},
		{"CVE-2023-32695: name is null", `2[null]`, ErrSyntax},
		{"CVE-2023-32695: name is true", `2[true]`, ErrSyntax},
		{"reserved name", `2["disconnect"]`, ErrSyntax},
		{"reserved name, escaped", `2["\u0063onnect_error"]`, ErrSyntax},
		{"ack without id", `3["a"]`, ErrSyntax},
		{"ack without payload", `312`, ErrSyntax},
		{"ack with an object", `312{}`, ErrSyntax},
		{"id of 16 digits", `21234567890123456["e"]`, ErrSyntax},
		{"negative id", `2-1["e"]`, ErrSyntax},

		{"trailing bytes", `2["e"]x`, ErrSyntax},
		{"trailing array", `2["e"]["f"]`, ErrSyntax},
		{"trailing space", `2["e"] `, ErrSyntax},
		{"leading space", `2 ["e"]`, ErrSyntax},
		{"open string", `2["e`, ErrSyntax},
		{"open array", `2["e"`, ErrSyntax},
		{"open object", `2["e",{"a":1]`, ErrSyntax},
		{"only a bracket", `2[`, ErrSyntax},
		{"comma at the end", `2["e",]`, ErrSyntax},
		{"comma at the beginning", `2[,"e"]`, ErrSyntax},
		{"no comma", `2["e" 1]`, ErrSyntax},
		{"key that is no string", `2["e",{1:2}]`, ErrSyntax},
		{"key without value", `2["e",{"a"}]`, ErrSyntax},
		{"comma in an object", `2["e",{"a":1,}]`, ErrSyntax},
		{"control character", "2[\"e\",\"\x1f\"]", ErrSyntax},
		{"unknown escape", `2["e","\x41"]`, ErrSyntax},
		{"short escape", `2["e","\u00e"]`, ErrSyntax},
		{"short escape at the end", `2["e","\u00`, ErrSyntax},
		{"backslash at the end", `2["e","\`, ErrSyntax},
		{"leading zero", `2["e",01]`, ErrSyntax},
		{"number without digits", `2["e",-]`, ErrSyntax},
		{"fraction without digits", `2["e",1.]`, ErrSyntax},
		{"exponent without digits", `2["e",1e+]`, ErrSyntax},
		{"plus", `2["e",+1]`, ErrSyntax},
		{"NaN", `2["e",NaN]`, ErrSyntax},
		{"half a word", `2["e",tru]`, ErrSyntax},
		{"comment", `2["e",/**/1]`, ErrSyntax},
		{"invalid UTF-8 in the payload", "2[\"e\",\"\xff\"]", ErrSyntax},
		{"invalid UTF-8 in the name", "2[\"\xc0\xaf\"]", ErrSyntax},
		{"invalid UTF-8 in the namespace", "0/\xff,", ErrSyntax},
		{"surrogate in UTF-8", "2[\"e\",\"\xed\xa0\x80\"]", ErrSyntax},

		{"CVE-2026-33151: many attachments", `511-["e"]`, ErrLimit},
		{"CVE-2026-33151: a billion attachments", `5999999999999-["e"]`, ErrSyntax},
		{"CVE-2026-33151: a count beyond 64 bits", `5` + strings.Repeat("9", 40) + `-["e"]`, ErrSyntax},
		{"CVE-2026-33151: more attachments than are skipped", `51001-["e"]`, ErrSyntax},
		{"CVE-2026-33151: fraction", `51.5-["e",{"_placeholder":true,"num":0}]`, ErrSyntax},
		{"CVE-2026-33151: negative", `5-1-["e"]`, ErrSyntax},
		{"CVE-2026-69185: no attachment", `50-["e"]`, ErrSyntax},
		{"CVE-2026-69185: no attachment of an ack", `60-1["e"]`, ErrSyntax},
		{"no count", `5-["e"]`, ErrSyntax},
		{"no dash", `51["e"]`, ErrSyntax},
		{"count and nothing else", `51`, ErrSyntax},
		{"leading zero of the count", `501-["e",{"_placeholder":true,"num":0}]`, ErrSyntax},
		{"CVE-2022-2421: num is negative", `51-["e",{"_placeholder":true,"num":-1}]`, ErrSyntax},
		{"CVE-2022-2421: num is a fraction", `51-["e",{"_placeholder":true,"num":0.5}]`, ErrSyntax},
		{"CVE-2022-2421: num is a string", `51-["e",{"_placeholder":true,"num":"0"}]`, ErrSyntax},
		{"CVE-2022-2421: num is an object", `51-["e",{"_placeholder":true,"num":{}}]`, ErrSyntax},
		{"CVE-2022-2421: num is null", `51-["e",{"_placeholder":true,"num":null}]`, ErrSyntax},
		{"CVE-2022-2421: num is the name of a method", `51-["e",{"_placeholder":true,"num":"splice"}]`, ErrSyntax},
		{"CVE-2022-2421: num is out of range", `51-["e",{"_placeholder":true,"num":1}]`, ErrSyntax},
		{"CVE-2022-2421: num is enormous", `51-["e",{"_placeholder":true,"num":18446744073709551616}]`, ErrSyntax},
		{"CVE-2022-2421: no num", `51-["e",{"_placeholder":true}]`, ErrSyntax},
		{"placeholder twice", `51-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, ErrSyntax},
		{"placeholder twice of two", `52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, ErrSyntax},
		{"placeholder missing", `52-["e",{"_placeholder":true,"num":0}]`, ErrSyntax},
		{"no placeholder", `51-["e"]`, ErrSyntax},
		{"placeholder is false", `51-["e",{"_placeholder":false,"num":0}]`, ErrSyntax},
		{"placeholder with another key", `51-["e",{"_placeholder":true,"num":0,"x":1}]`, ErrSyntax},
		{"placeholder with num twice", `51-["e",{"_placeholder":true,"num":0,"num":0}]`, ErrSyntax},
		{"placeholder, escaped and out of range", `51-["e",{"\u005fplaceholder":true,"num":1}]`, ErrSyntax},
		{"placeholder as the name", `51-[{"_placeholder":true,"num":0}]`, ErrSyntax},

		{"namespace over the limit", `0/` + strings.Repeat("n", 256) + `,`, ErrLimit},
		{"namespace over the limit, no comma", `0/` + strings.Repeat("n", 4095), ErrLimit},
		{"namespace too long to refuse", `0/` + strings.Repeat("n", 4096), ErrSyntax},
		{"namespace too long to refuse, with a comma", `0/` + strings.Repeat("n", 4096) + `,`, ErrSyntax},
		{"event name over the limit", `2["` + strings.Repeat("n", 257) + `"]`, ErrLimit},
		{"event name over the limit, escaped", `2["` + strings.Repeat(`\u0041`, 257) + `"]`, ErrLimit},
		{"event with too many arguments", `2["e"` + strings.Repeat(",1", 65) + `]`, ErrLimit},
		{"ack with too many arguments", `31[1` + strings.Repeat(",1", 64) + `]`, ErrLimit},
		{"event name is a long number", `2[` + strings.Repeat("1", 257) + `]`, ErrLimit},
		{"reserved name and too many arguments", `2["connect"` + strings.Repeat(",1", 65) + `]`, ErrSyntax},
		{"no name and too deep", `2` + nest("[", "]", 129), ErrSyntax},
		{"arrays too deep", `2["e",` + nest("[", "]", 128) + `]`, ErrLimit},
		{"objects too deep", `2["e",` + nest(`{"a":`, "", 128) + `1` + nest("", "}", 128) + `]`, ErrLimit},
		{"arrays very deep", `2["e",` + nest("[", "]", 100_000) + `]`, ErrLimit},
		{"auth too deep", `0{"a":` + nest("[", "]", 128) + `}`, ErrLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Decoder
			p, ok, err := d.Text([]byte(tt.text))
			refused := tt.want == ErrLimit
			if !errors.Is(err, tt.want) || ok || refused != !reflect.DeepEqual(p, Packet{}) || p.Data != nil || d.Pending() != strings.HasPrefix(tt.text, "511-") {
				t.Errorf("got %+v, ok %v, error %v, pending %v; want error %v", p, ok, err, d.Pending(), tt.want)
			}
			if err != nil && len(err.Error()) > 100 {
				t.Errorf("the error quotes its input: %v", err)
			}
		})
	}
}

// Each limit accepts a value that is equal to it and rejects the next one.
func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	small := Limits{MaxAttachments: 2, MaxAttachmentBytes: 10, MaxNamespace: 8, MaxEventName: 4, MaxArgs: 3, MaxDepth: 4}
	ph := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"_placeholder":true,"num":%d}`, i)
		}
		return b.String()
	}
	for _, tt := range []struct {
		name   string
		limits Limits
		at     int
		text   func(n int) string
	}{
		{"namespace", Limits{}, 256, func(n int) string { return "0/" + strings.Repeat("n", n-1) + "," }},
		{"namespace, small", small, 8, func(n int) string { return "0/" + strings.Repeat("n", n-1) + "," }},
		{"namespace without comma, small", small, 8, func(n int) string { return "0/" + strings.Repeat("n", n-1) }},
		{"event name", Limits{}, 256, func(n int) string { return `2["` + strings.Repeat("n", n) + `"]` }},
		{"event name, escaped", Limits{}, 256, func(n int) string { return `2["` + strings.Repeat(`\u0041`, n) + `"]` }},
		{"event name, small", small, 4, func(n int) string { return `2["` + strings.Repeat("n", n) + `"]` }},
		{"arguments of an event", Limits{}, 64, func(n int) string { return `2["e"` + strings.Repeat(",1", n) + `]` }},
		{"arguments of an event, small", small, 3, func(n int) string { return `2["e"` + strings.Repeat(",1", n) + `]` }},
		{"arguments of an ack, small", small, 3, func(n int) string { return `31[1` + strings.Repeat(",1", n-1) + `]` }},
		{"depth", Limits{}, 128, func(n int) string { return `2["e",` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `]` }},
		{"depth, small", small, 4, func(n int) string { return `2["e",` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `]` }},
		{"depth of objects, small", small, 4, func(n int) string {
			return `0` + strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1)
		}},
		{"attachments", Limits{}, 10, func(n int) string { return fmt.Sprintf(`5%d-["e"%s]`, n, ph(n)) }},
		{"attachments, small", small, 2, func(n int) string { return fmt.Sprintf(`5%d-["e"%s]`, n, ph(n)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for n := tt.at - 1; n <= tt.at+1; n++ {
				d := Decoder{Limits: tt.limits}
				_, ok, err := d.Text([]byte(tt.text(n)))
				if accepted := err == nil && (ok || d.Pending()); accepted != (n <= tt.at) || errors.Is(err, ErrLimit) != (n > tt.at) {
					t.Errorf("%d: accepted %v, error %v", n, accepted, err)
				}
			}
		})
	}

	t.Run("bytes of attachments", func(t *testing.T) {
		t.Parallel()
		for first, want := range map[int]bool{9: true, 10: true, 11: false} { // the second attachment adds its size
			d := Decoder{Limits: small}
			_, ok, err := decode(&d, `52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`,
				bytes.Repeat([]byte{1}, first-4), []byte("four"))
			if ok != want || errors.Is(err, ErrLimit) == want || d.Pending() {
				t.Errorf("%d bytes: ok %v, error %v", first, ok, err)
			}
		}
	})
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	var d Decoder
	first := []byte{1, 2}
	p, ok, err := decode(&d, `52-/a,3["e",{"_placeholder":true,"num":1},{"x":[{"num":0,"_placeholder":true}]}]`, first)
	if ok || err != nil || !d.Pending() || !reflect.DeepEqual(p, Packet{}) {
		t.Fatalf("after one of two attachments: %+v, ok %v, error %v", p, ok, err)
	}
	first[0] = 9 // the decoder made a copy
	p, ok, err = d.Binary(nil)
	if !ok || err != nil || d.Pending() {
		t.Fatalf("after both attachments: ok %v, error %v", ok, err)
	}
	if want := (Header{Type: Event, Namespace: "/a", ID: 3, HasID: true}); p.Header != want || string(p.Name) != "e" {
		t.Errorf("got %+v %q, want %+v", p.Header, p.Name, want)
	}
	if !reflect.DeepEqual(p.Attachments, [][]byte{{1, 2}, {}}) {
		t.Errorf("attachments are %v", p.Attachments)
	}
	// The next packet has no attachments.
	next, ok, err := d.Text([]byte(`2["f"]`))
	if !ok || err != nil || next.Attachments != nil {
		t.Errorf("next packet is %+v, ok %v, error %v", next, ok, err)
	}
	if p, ok, err := decode(&d, `61-7[{"_placeholder":true,"num":0}]`, []byte("x")); !ok || err != nil || p.Type != Ack || p.ID != 7 {
		t.Errorf("binary ack is %+v, ok %v, error %v", p, ok, err)
	}
}

func TestMessagesOutOfTurn(t *testing.T) {
	t.Parallel()
	const half = `52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	for _, tt := range []struct {
		name     string
		messages []any
	}{
		{"CVE-2026-69185: attachment without packet", []any{[]byte("x")}},
		{"attachment after a text packet", []any{`2["e"]`, []byte("x")}},
		{"attachment too many", []any{half, []byte("x"), []byte("x"), []byte("x")}},
		{"text before the first attachment", []any{half, `2["f"]`}},
		{"text in the middle of attachments", []any{half, []byte("x"), `2["f"]`}},
		{"binary packet in the middle of attachments", []any{half, []byte("x"), half}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Decoder
			if _, ok, err := decode(&d, tt.messages...); ok || !errors.Is(err, ErrSequence) || d.Pending() {
				t.Errorf("ok %v, error %v, pending %v", ok, err, d.Pending())
			}
		})
	}
}

// D19: a packet shares no memory with its text, which the caller reuses.
func TestD19_TextIsCopied(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`2/a,["name",{"a":1}]`, `2["\u006eame",2]`, `3/a,1["x"]`, `0/a,{"token":"x"}`} {
		data := []byte(text)
		var d Decoder
		p, ok, err := d.Text(data)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		before := fmt.Sprintf("%+v", p)
		for i := range data {
			data[i] = '!'
		}
		if after := fmt.Sprintf("%+v", p); after != before {
			t.Errorf("%s became %s", before, after)
		}
	}
}

func TestAppendArgs(t *testing.T) {
	t.Parallel()
	var d Decoder
	p, _, err := d.Text([]byte(`2["e",1,[2]]`))
	if err != nil {
		t.Fatal(err)
	}
	kept := []json.RawMessage{json.RawMessage("kept")}
	got := p.AppendArgs(kept)
	if len(got) != 3 || string(got[0]) != "kept" || string(got[1]) != "1" || string(got[2]) != "[2]" {
		t.Errorf("got %s", got)
	}
	_ = append(got[1], '!') // must not overwrite the next argument
	if string(p.Data) != `["e",1,[2]]` {
		t.Errorf("the payload changed to %s", p.Data)
	}
	for _, text := range []string{`0{"a":[1]}`, `1`, `4"x"`} {
		if p, _, err := d.Text([]byte(text)); err != nil || p.AppendArgs(nil) != nil {
			t.Errorf("%s has arguments, or error %v", text, err)
		}
	}
	// AppendArgs must not panic on a Packet that the Decoder did not validate.
	for _, data := range []string{"", "[", "x", `["a`, `["a"}`, `[[[`, "[1 2", "[,,", `["a",1`} {
		p := Packet{Header: Header{Type: Event}, Data: []byte(data)}
		p.AppendArgs(nil)
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		if !Reserved(name) {
			t.Errorf("%q is not reserved", name)
		}
	}
	for _, name := range []string{"", "error", "message", "Connect", "disconnected"} {
		if Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// A number is the name that JavaScript makes of it. differential_test.go compares more of
// them with the reference.
func TestS2_EventNamesOfTheReference(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`2[""]`: "", `2["","a"]`: "", `2["1"]`: "1",
		`2[1]`: "1", `2[ 1 , "a"]`: "1", `2[0]`: "0", `2[-0]`: "0", `2[0.0]`: "0", `2[-7]`: "-7", `2[1.50]`: "1.5", `2[1e3]`: "1000",
		`2[123456789012345]`: "123456789012345", `2[12345678901234567890]`: "12345678901234567000",
		`2[1e21]`: "1e+21", `2[1e-7]`: "1e-7", `2[0.000001]`: "0.000001", `2[1e999]`: "Infinity", `2[-1e999]`: "-Infinity",
	} {
		var d Decoder
		p, ok, err := d.Text([]byte(text))
		if !ok || err != nil || string(p.Name) != want || p.Name == nil || string(p.Data) != text[1:] {
			t.Errorf("%s: name %q, data %s, ok %v, error %v; want %q", text, p.Name, p.Data, ok, err, want)
		}
	}
}

// A packet over a limit is refused with what is needed to answer it. Its attachments are
// skipped, and the next packet is decoded.
func TestS2_DecoderGoesOnAfterALimit(t *testing.T) {
	t.Parallel()
	event := Header{Type: Event, Namespace: "/a", ID: 7, HasID: true}
	ack := Header{Type: Ack, Namespace: "/", ID: 7, HasID: true}
	for _, tt := range []struct {
		name     string
		messages []any
		skipped  int // of the messages, after the error
		header   Header
		event    string
		explain  string
	}{
		{"arguments", []any{`2/a,7["e"` + strings.Repeat(",1", 65) + `]`}, 0, event, "e", "more than 64 arguments"},
		{"arguments of a number", []any{`2/a,7[1` + strings.Repeat(",1", 65) + `]`}, 0, event, "1", "more than 64 arguments"},
		{"depth", []any{`2/a,7["\u0065",` + nest("[", "]", 128) + `]`}, 0, event, "e", "values nested deeper than 128"},
		{"long name", []any{`2/a,7["` + strings.Repeat("n", 300) + `"]`}, 0, event, strings.Repeat("n", 256), "an event name longer than 256 bytes"},
		{"answer", []any{`37[1` + strings.Repeat(",1", 64) + `]`}, 0, ack, "", "more than 64 arguments"},
		{"count of attachments", []any{`512-/a,7["e"]`, []byte("1"), []byte("2")}, 12, event, "e", "more than 10 binary attachments"},
		{"attachments and depth", []any{`52-/a,7["e",` + nest("[", "]", 128) + `]`}, 2, event, "e", "values nested deeper than 128"},
		{"size of attachments", []any{`53-/a,7["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`,
			[]byte("1"), make([]byte, 1_000_000)}, 1, event, "e", "more than 1000000 bytes of binary attachments"},
		{"size of the only attachment", []any{`51-/a,7["e",{"_placeholder":true,"num":0}]`, make([]byte, 1_000_001)}, 0, event, "e", "more than 1000000 bytes of binary attachments"},
		{"namespace", []any{`0/` + strings.Repeat("n", 300) + `,`}, 0, Header{Type: Connect, Namespace: "/" + strings.Repeat("n", 300)}, "", "a namespace longer than 256 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Decoder
			errs := 0
			send := func(m any) (p Packet, ok bool) {
				p, ok, err := decode(&d, m)
				if err != nil {
					errs++
					if !errors.Is(err, ErrLimit) || p.Header != tt.header || string(p.Name) != tt.event || p.Data != nil || p.Attachments != nil {
						t.Errorf("got %+v, error %v", p, err)
					}
					if why := d.Limits.Explain(err); why != tt.explain {
						t.Errorf("the reason is %q, want %q", why, tt.explain)
					}
				}
				return p, ok
			}
			for _, m := range tt.messages {
				if _, ok := send(m); ok {
					t.Fatal("the packet was accepted")
				}
			}
			skipped := tt.skipped
			if len(tt.messages) > 2 && tt.name == "count of attachments" {
				skipped -= 2
			}
			for range skipped {
				if !d.Pending() {
					t.Fatal("the attachments of the refused packet are not waited for")
				}
				send([]byte("more"))
			}
			if errs != 1 || d.Pending() {
				t.Errorf("%d errors, pending %v", errs, d.Pending())
			}
			if p, ok := send(`2["next"]`); !ok || string(p.Name) != "next" {
				t.Errorf("the next packet is %+v, ok %v", p, ok)
			}
		})
	}
	t.Run("text instead of an attachment", func(t *testing.T) {
		t.Parallel()
		var d Decoder
		if _, _, err := d.Text([]byte(`511-["e"]`)); !errors.Is(err, ErrLimit) {
			t.Fatal(err)
		}
		if _, _, err := d.Text([]byte(`2["e"]`)); !errors.Is(err, ErrSequence) {
			t.Errorf("error %v, want ErrSequence", err)
		}
	})
}

func nest(open, close string, n int) string {
	return strings.Repeat(open, n) + strings.Repeat(close, n)
}
