package eiopacket_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
)

// Packets of every type with their encodings, for the tests of both directions.
var wire = []struct {
	name   string
	text   string
	packet eiopacket.Packet
}{
	{"open", `0{"sid":"x"}`, eiopacket.Packet{Type: eiopacket.Open, Data: []byte(`{"sid":"x"}`)}},
	{"close", "1", eiopacket.Packet{Type: eiopacket.Close}},
	{"ping", "2", eiopacket.Packet{Type: eiopacket.Ping}},
	{"probe", "2probe", eiopacket.Packet{Type: eiopacket.Ping, Data: []byte("probe")}},
	{"pong", "3", eiopacket.Packet{Type: eiopacket.Pong}},
	{"message", "4hello", eiopacket.Packet{Type: eiopacket.Message, Data: []byte("hello")}},
	{"empty message", "4", eiopacket.Packet{Type: eiopacket.Message}},
	{"message in UTF-8", "4€ß🙂", eiopacket.Packet{Type: eiopacket.Message, Data: []byte("€ß🙂")}},
	{"upgrade", "5", eiopacket.Packet{Type: eiopacket.Upgrade}},
	{"noop", "6", eiopacket.Packet{Type: eiopacket.Noop}},
	{"binary", "bAQIDBA==", eiopacket.Packet{Type: eiopacket.Message, Binary: true, Data: []byte{1, 2, 3, 4}}},
	{"binary that needs no padding", "bAQID", eiopacket.Packet{Type: eiopacket.Message, Binary: true, Data: []byte{1, 2, 3}}},
	{"empty binary", "b", eiopacket.Packet{Type: eiopacket.Message, Binary: true}},
}

func TestDecode(t *testing.T) {
	for _, tt := range wire {
		t.Run(tt.name, func(t *testing.T) {
			got, err := eiopacket.Decode([]byte(tt.text))
			if err != nil || !equal(got, tt.packet) {
				t.Errorf("%q decodes to %+v, error %v", tt.text, got, err)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for _, tt := range wire {
		t.Run(tt.name, func(t *testing.T) {
			if got := eiopacket.Append([]byte("before "), tt.packet); string(got) != "before "+tt.text {
				t.Errorf("encodes to %q", got)
			}
		})
	}
}

func TestDecode_Refuses(t *testing.T) {
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"an unknown digit", "7"},
		{"a letter", "abc"},
		{"a type as a byte", "\x04hello"},
		{"base64 of another alphabet", "b_-_-"},
		{"base64 that is cut", "bAQIDB"},
		{"base64 without its padding", "bAQIDBA"},
		{"base64 with non-zero trailing bits", "bAQIDBB=="},
		{"base64 with a line break", "bAQID\nBAUG"},
		{"bytes after the base64", "bAQIDBA==x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if p, err := eiopacket.Decode([]byte(tt.text)); !errors.Is(err, eiopacket.ErrPacket) {
				t.Errorf("%q decodes to %+v, error %v", tt.text, p, err)
			}
		})
	}
}

func TestPayload(t *testing.T) {
	var body []byte
	for _, tt := range wire {
		body = eiopacket.AppendPayload(body, tt.packet)
	}
	if n := eiopacket.Count(body); n != len(wire) {
		t.Errorf("Count returned %d, want %d", n, len(wire))
	}
	i := 0
	for p, err := range eiopacket.Payload(body) {
		if err != nil || !equal(p, wire[i].packet) {
			t.Errorf("packet %d (%s) is %+v, error %v", i, wire[i].name, p, err)
		}
		i++
	}
	if i != len(wire) {
		t.Errorf("got %d packets, want %d", i, len(wire))
	}
}

func TestPayload_StopsAtTheFirstError(t *testing.T) {
	tests := []struct {
		name, body string
		before     int
	}{
		{"an empty body", "", 0},
		{"a separator alone", "\x1e", 0},
		{"a separator at the end", "4a\x1e", 1},
		{"two separators", "4a\x1e\x1e4b", 1},
		{"an unknown type between", "4a\x1e4b\x1ex\x1e4c", 2},
		{"broken base64", "4a\x1eb?", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good, bad := 0, 0
			for _, err := range eiopacket.Payload([]byte(tt.body)) {
				if err == nil && bad == 0 {
					good++
				} else {
					bad++
				}
			}
			if good != tt.before || bad != 1 {
				t.Errorf("got %d packets and %d errors, want %d and 1", good, bad, tt.before)
			}
		})
	}
}

// CVE-2026-32689: a body of eight million separators was split into as many strings.
func TestPayload_SeparatorsCostNothing(t *testing.T) {
	body := bytes.Repeat([]byte{eiopacket.Separator}, 1_000_000)
	messages := []byte(strings.Repeat("4\x1e", 500_000) + "4")
	allocs := testing.AllocsPerRun(3, func() {
		for range eiopacket.Payload(body) {
		}
		for _, err := range eiopacket.Payload(messages) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 100 { // the runtime allocates too
		t.Errorf("%v allocations for 1 MB of separators", allocs)
	}
}

// The binary packets of a body are decoded into the same memory, so that a body of
// 1 MB allocates only as much as its largest packet needs.
func TestPayload_BinaryUsesItsMemoryAgain(t *testing.T) {
	body := []byte(strings.Repeat("bAQIDBA==\x1e", 10_000) + "bAQIDBA==")
	allocs := testing.AllocsPerRun(3, func() {
		for _, err := range eiopacket.Payload(body) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 8 {
		t.Errorf("%v allocations for 10,001 small binary packets", allocs)
	}
}

func equal(a, b eiopacket.Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

func FuzzPacket(f *testing.F) {
	for _, tt := range wire {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte("b===="))
	f.Add([]byte("9"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := eiopacket.Decode(text)
		if err != nil {
			if !errors.Is(err, eiopacket.ErrPacket) {
				t.Fatalf("error does not wrap ErrPacket: %v", err)
			}
			return
		}
		if again := eiopacket.Append(nil, p); !bytes.Equal(again, text) {
			t.Fatalf("%q was encoded again as %q", text, again)
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("4hello\x1ebAQIDBA==\x1e2"))
	f.Add([]byte("\x1e\x1e\x1e"))
	f.Add([]byte(""))
	f.Add([]byte("4a\x1e"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var again []byte
		n, failed := 0, false
		for p, err := range eiopacket.Payload(body) {
			if failed {
				t.Fatal("got a packet after an error")
			}
			n++
			if failed = err != nil; !failed {
				again = eiopacket.AppendPayload(again, p)
			}
		}
		if n > eiopacket.Count(body) {
			t.Fatalf("got %d packets, Count returned %d", n, eiopacket.Count(body))
		}
		if !failed && !bytes.Equal(again, body) {
			t.Fatalf("%q was encoded again as %q", body, again)
		}
	})
}

func ExamplePayload() {
	for p, err := range eiopacket.Payload([]byte("4hello\x1ebAQID\x1e2")) {
		fmt.Printf("%c %v %v %v\n", p.Type, p.Binary, p.Data, err)
	}
	// Output:
	// 4 false [104 101 108 108 111] <nil>
	// 4 true [1 2 3] <nil>
	// 2 false [] <nil>
}

func BenchmarkPayload(b *testing.B) {
	body := []byte(strings.Repeat("42[\"echo\",1]\x1e", 15) + "42[\"echo\",1]")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		for range eiopacket.Payload(body) {
		}
	}
}
