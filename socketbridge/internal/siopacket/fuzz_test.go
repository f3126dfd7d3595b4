package siopacket

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

var textSeeds = []string{
	`0`, `0/chat,{"token":"x"}`, `0/chat?q=1`, `1`, `1/chat,`, `4{"message":"no"}`, `4"no"`,
	`2["e"]`, `2/chat,12["e",1,"two",{"a":[null,true]}]`, "2[ \"\\u0065\\n\" , -1.5e+3 ]", `312["ok"]`, `30[]`,
	`51-["e",{"_placeholder":true,"num":0}]`, `62-/a,7[{"num":1,"_placeholder":true},[{"_placeholder":true,"num":0}]]`,
	`50-["e"]`, `511-["e"]`, `5-1-["e"]`, `51.5-["e"]`, `2["disconnect"]`, `2[["e"]]`, `2["e"`, `2["e"]]`,
	`2[1]`, `2[-1.5e-7,2]`, `2["",1]`, "2[\"\xff\"]", `2["\ud800"]`, strings.Repeat("[", 200), `2["e",` + strings.Repeat("[", 130) + strings.Repeat("]", 130) + `]`,
}

// FuzzDecodeText checks that nothing panics, that every accepted packet satisfies the
// documentation of Packet and Limits, and that it survives encoding and decoding.
func FuzzDecodeText(f *testing.F) {
	for _, s := range textSeeds {
		f.Add([]byte(s), []byte("attachment"))
	}
	f.Fuzz(func(t *testing.T, text, attachment []byte) {
		var d Decoder
		p, ok, err := d.Text(text)
		if err != nil && (ok || d.Pending() && !errors.Is(err, ErrLimit)) {
			t.Fatalf("error %v with ok %v, pending %v", err, ok, d.Pending())
		}
		if errors.Is(err, ErrLimit) {
			checkRefused(t, &d, p, err)
			return
		}
		for n := 0; d.Pending(); n++ {
			if n == 10 {
				t.Fatal("a packet with more than 10 attachments was accepted")
			}
			if p, ok, err = d.Binary(attachment); err != nil {
				if (n+1)*len(attachment) <= 1_000_000 {
					t.Fatalf("attachment %d: %v", n, err)
				}
				return
			}
		}
		if err != nil {
			return
		}
		if !ok {
			t.Fatal("no packet, no error, and nothing pending")
		}
		checkPacket(t, p)

		again := AppendRaw(nil, p.Header, elements(p)...)
		if len(p.Attachments) > 0 || p.Type != Event && p.Type != Ack {
			return
		}
		q, ok, err := d.Text(again)
		if err != nil || !ok || q.Header != p.Header || !bytes.Equal(q.Name, p.Name) {
			t.Fatalf("decoding %s again: %+v, ok %v, error %v", again, q, ok, err)
		}
		if !reflect.DeepEqual(elements(p), elements(q)) {
			t.Fatalf("the arguments of %s changed to those of %s", p.Data, q.Data)
		}
	})
}

// checkRefused checks a packet that was refused because of a limit: it can be answered, its
// attachments are skipped, and the decoder goes on.
func checkRefused(t *testing.T, d *Decoder, p Packet, err error) {
	t.Helper()
	if p.Type > ConnectError || !strings.HasPrefix(p.Namespace, "/") || len(p.Namespace) > 4096 || len(p.Name) > 256 || p.Data != nil || p.Attachments != nil {
		t.Fatalf("refused %+v", p)
	}
	if d.Limits.Explain(err) == "" {
		t.Fatalf("%v has no explanation", err)
	}
	for n := 0; d.Pending(); n++ {
		if _, ok, err := d.Binary([]byte("x")); ok || err != nil || n == 1000 {
			t.Fatalf("skipped attachment %d: ok %v, error %v", n, ok, err)
		}
	}
	if p, ok, err := d.Text([]byte(`2["next"]`)); !ok || err != nil || string(p.Name) != "next" {
		t.Fatalf("the next packet is %+v, ok %v, error %v", p, ok, err)
	}
}

// elements returns the elements of a packet's array, including the name of an event.
func elements(p Packet) []json.RawMessage {
	if p.Type == Event {
		p.Type = Ack
	}
	return p.AppendArgs(nil)
}

func checkPacket(t *testing.T, p Packet) {
	t.Helper()
	if p.Type > ConnectError || !strings.HasPrefix(p.Namespace, "/") || len(p.Namespace) > 256 || !utf8.ValidString(p.Namespace) {
		t.Fatalf("header %+v", p.Header)
	}
	if p.ID > 999_999_999_999_999 || p.HasID && p.Type != Event && p.Type != Ack {
		t.Fatalf("id of %+v", p.Header)
	}
	if p.Data == nil {
		if p.Type != Connect && p.Type != Disconnect {
			t.Fatalf("%+v has no payload", p.Header)
		}
		return
	}
	if !json.Valid(p.Data) || !utf8.Valid(p.Data) {
		t.Fatalf("payload %q", p.Data)
	}
	if p.Type != Event && p.Type != Ack {
		return
	}
	var want []json.RawMessage
	if err := json.Unmarshal(p.Data, &want); err != nil {
		t.Fatal(err)
	}
	if p.Type == Event {
		var name string
		number := want[0][0] != '"'
		if err := json.Unmarshal(want[0], &name); (err == nil) == number || !number && name != string(p.Name) || len(p.Name) > 256 || Reserved(string(p.Name)) {
			t.Fatalf("name %q of %s, %v", p.Name, p.Data, err)
		}
		want = want[1:]
	}
	got := p.AppendArgs(nil)
	if len(got) != len(want) || len(got) > 64 {
		t.Fatalf("%d arguments, want %d: %s", len(got), len(want), p.Data)
	}
	all := []any{}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("argument %d is %s, want %s", i, got[i], want[i])
		}
		var v any
		if err := Unmarshal(got[i], p.Attachments, &v); err == nil {
			all = append(all, v)
		} else if json.Unmarshal(got[i], &v) == nil {
			t.Fatalf("argument %s: %v", got[i], err)
		} else {
			return // a number that float64 cannot hold
		}
	}
	checkArrived(t, p.Data, all, len(p.Attachments))
}

// checkArrived checks that v, decoded from raw, contains n attachments. If a key
// occurs twice in an object, only the last value is kept. The decoded value then has
// fewer colons than raw, not counting the two of each placeholder.
func checkArrived(t *testing.T, raw []byte, v any, n int) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	dropped := bytes.Count(raw, []byte(":")) > bytes.Count(text, []byte(":"))+2*n
	if found := countBytes(v); found > n || found < n && !dropped {
		t.Fatalf("found %d of %d attachments of %s", found, n, raw)
	}
}

func countBytes(v any) (n int) {
	switch v := v.(type) {
	case []byte:
		return 1
	case []any:
		for _, e := range v {
			n += countBytes(e)
		}
	case map[string]any:
		for _, e := range v {
			n += countBytes(e)
		}
	}
	return n
}

// FuzzScan checks that the scanner accepts exactly what encoding/json accepts.
func FuzzScan(f *testing.F) {
	for _, s := range textSeeds {
		f.Add([]byte(strings.TrimLeft(s, "0123456789-/")))
	}
	for _, s := range []string{`1`, `-0.5E-07`, `01`, `-`, `1.`, `"\u00G0"`, `"\`, `{"a":}`, `{"a":1,"a":2}`, `[1,]`, `nul`, "\"\x00\"", ` [ ] `, `{"_placeholder":true,"num":0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for attachments := range 2 {
			s := scanner{data: data, maxDepth: 10_000, attachments: attachments}
			end, err := s.value(skipSpace(data, 0), 0)
			valid := err == nil && skipSpace(data, end) == len(data)
			if valid != json.Valid(data) && (attachments == 0 || valid) {
				t.Fatalf("%q: valid %v, encoding/json says %v", data, valid, !valid)
			}
			if !valid {
				continue
			}
			if from := skipSpace(data, 0); skipValue(data, from) != end {
				t.Fatalf("%q ends at %d, skipValue returned %d", data, end, skipValue(data, from))
			}
		}
		p := Packet{Header: Header{Type: Event}, Data: data}
		p.AppendArgs(nil) // must not panic on any bytes
	})
}

// FuzzRoundTrip encodes a generated value, decodes it and checks that unmarshaling
// returns the same value.
func FuzzRoundTrip(f *testing.F) {
	f.Add("event", "/", uint64(0), false, []byte{})
	f.Add("e", "/chat", uint64(7), true, []byte("\x05\x03\x00\x02hi\x04\x01k\x06\x03bin"))
	f.Add("ünïcode \x00\"\\", "/a-b", uint64(999_999_999_999_999), true, []byte{5, 9, 0, 1, 2, 3, 4, 4, 6, 6, 6})
	f.Add("e", "/", uint64(1), false, bytes.Repeat([]byte{6, 1}, 12))
	f.Fuzz(func(t *testing.T, event, namespace string, id uint64, ack bool, choices []byte) {
		if event == "" || len(event) > 256 || Reserved(event) || !utf8.ValidString(event) ||
			len(namespace) < 1 || len(namespace) > 256 || namespace[0] != '/' || strings.ContainsAny(namespace, ",?") || !utf8.ValidString(namespace) {
			return
		}
		h := Header{Type: Event, Namespace: namespace, ID: id % 1_000_000_000_000_000, HasID: ack}
		if !ack {
			h.ID = 0
		}
		g := chooser{left: choices}
		want := make([]any, 0, 8)
		for len(want) < 8 && len(g.left) > 0 {
			want = append(want, g.value(0))
		}
		text, attachments, err := Append(nil, h, append([]any{event}, want...)...)
		if err != nil {
			if g.binary > maxAttachments || g.lookalike {
				return
			}
			t.Fatalf("%#v: %v", want, err)
		}
		var d Decoder
		p, ok, err := d.Text(text)
		for _, a := range attachments {
			if ok || err != nil {
				t.Fatalf("%s: %v, %v", text, ok, err)
			}
			p, ok, err = d.Binary(a)
		}
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", text, ok, err)
		}
		if p.Header != h || string(p.Name) != event {
			t.Fatalf("%+v %q, want %+v %q", p.Header, p.Name, h, event)
		}
		got := make([]any, 0, 8)
		for _, arg := range p.AppendArgs(nil) {
			var v any
			if err := Unmarshal(arg, p.Attachments, &v); err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %#v\nwant %#v\nfrom %s", got, want, text)
		}
		// The same values as struct fields, which are encoded by reflection.
		type row struct {
			Values []any
			Bytes  []byte
		}
		text, attachments, err = Append(nil, h, event, row{want, []byte("b")})
		if err != nil {
			return // the packet may have reached the limit of attachments
		}
		if p, ok, err = d.Text(text); err != nil || ok {
			t.Fatalf("%s: %v, %v", text, ok, err)
		}
		for _, a := range attachments {
			p, _, err = d.Binary(a)
		}
		var back row
		if err != nil || Unmarshal(p.AppendArgs(nil)[0], p.Attachments, &back) != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(back.Bytes) != "b" || !reflect.DeepEqual(back.Values, want) {
			t.Fatalf("got  %#v\nwant %#v\nfrom %s", back, want, text)
		}
	})
}

// chooser generates values of the types that encoding/json stores in an any.
type chooser struct {
	left      []byte
	binary    int  // number of []byte generated
	lookalike bool // generated an object that looks like a placeholder
}

func (g *chooser) next() byte {
	if len(g.left) == 0 {
		return 0
	}
	b := g.left[0]
	g.left = g.left[1:]
	return b
}

func (g *chooser) text() string {
	n := min(int(g.next()), len(g.left))
	s := strings.ToValidUTF8(string(g.left[:n]), "?")
	g.left = g.left[n:]
	return s
}

func (g *chooser) value(depth int) any {
	switch kind := g.next() % 8; {
	case kind == 0:
		return nil
	case kind == 1:
		return g.next()%2 == 0
	case kind == 2:
		return g.text()
	case kind == 3:
		return float64(int8(g.next())) * math.Pow(10, float64(int8(g.next())))
	case kind == 4 && depth < 10:
		m := map[string]any{}
		for range g.next() % 4 {
			key := g.text()
			g.lookalike = g.lookalike || key == "_placeholder"
			m[key] = g.value(depth + 1)
		}
		return m
	case kind == 5 && depth < 10:
		s := []any{}
		for range g.next() % 4 {
			s = append(s, g.value(depth+1))
		}
		return s
	default:
		g.binary++
		return append([]byte{}, g.text()...)
	}
}

// FuzzUnmarshal checks, for any argument and type, that nothing panics, that no
// marker remains, and that without an error all attachments that fit are stored.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{ph0, ph1, `[` + ph0 + `,` + ph1 + `]`, `{"a":` + ph0 + `,"Any":[` + ph1 + `]}`, `{"name":` + ph0 + `}`,
		`{"list":[` + ph0 + `],"map":{"k":` + ph1 + `},"ptr":{"b":null}}`, `"x"`, `{"_placeholder":true,"num":2}`, `[` + ph0, `{"raw":` + ph0 + `}`} {
		f.Add([]byte(s), []byte("zero"), []byte{})
	}
	f.Fuzz(func(t *testing.T, raw, zero, one []byte) {
		attachments := [][]byte{zero, one}
		var v any
		if err := Unmarshal(raw, attachments, &v); err == nil {
			s := scanner{data: raw, maxDepth: math.MaxInt, attachments: 2}
			if _, err := s.value(skipSpace(raw, 0), 0); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			checkArrived(t, raw, v, len(s.found))
		}
		for _, into := range []any{new(bag), new([]byte), new(json.RawMessage), new([]json.RawMessage), new(map[string][]byte),
			new([]any), new([2]any), new(string), new([]string), new(*[]*inner), new(embedded), new(base64er)} {
			if err := Unmarshal(raw, attachments, into); err != nil {
				continue
			}
			// The result can be encoded again. A remaining marker would appear as a
			// string that is not in the input.
			text, _, err := Append(nil, Header{Type: Ack, HasID: true}, into)
			if err != nil {
				continue
			}
			if len(text) > 64*(len(raw)+len(zero)+len(one))+1024 {
				t.Fatalf("%s changed to %s", raw, text)
			}
		}
	})
}
