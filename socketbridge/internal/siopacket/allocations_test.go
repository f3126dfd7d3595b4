package siopacket

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// These tests measure the allocations of the whole process, so none of them is parallel.

// An echo allocates only the copy of the payload; the answer is appended to an
// existing buffer.
func TestAllocationsOfAnEcho(t *testing.T) {
	d := Decoder{}
	args := make([]json.RawMessage, 0, 4)
	out := make([]byte, 0, 256)
	for _, text := range []string{`212["echo","hello",{"a":[1,2,3]}]`, `2/chat,12["echo","hello",{"a":[1,2,3]}]`} {
		in := []byte(text)
		if n := testing.AllocsPerRun(100, func() {
			p, ok, err := d.Text(in)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			args = p.AppendArgs(args[:0])
			out = AppendRaw(out[:0], Header{Type: Ack, Namespace: p.Namespace, ID: p.ID, HasID: true}, args...)
		}); n != 1 {
			t.Errorf("%s: %v allocations, want 1", text, n)
		}
	}
}

func TestAllocationsOfAppend(t *testing.T) {
	out := make([]byte, 0, 256)
	args := []any{"e", 1, "text", true, nil, 2.0, json.RawMessage(`{"a":1}`), []any{int64(1)}}
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if out, _, err = Append(out[:0], Header{Type: Event, Namespace: "/a"}, args...); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := Append(nil, Header{Type: Event, Namespace: "/a"}, args...); err != nil {
			t.Fatal(err)
		}
	}); n != 1 {
		t.Errorf("%v allocations without a buffer, want 1", n)
	}
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// No input makes the decoder allocate more than three times its size. Each input is
// 1 MB, the maximum size of a message.
func TestAllocationIsBounded(t *testing.T) {
	const size = 1_000_000
	fill := func(begin, repeat, end string) string {
		return begin + strings.Repeat(repeat, (size-len(begin)-len(end))/len(repeat)) + end
	}
	const one = `51-["e",{"_placeholder":true,"num":0}`
	for _, tt := range []struct{ name, text string }{
		{"a string", fill(`2["e","`, "a", `"]`)},
		{"escapes", fill(`2["e","`, `\u0041`, `"]`)},
		{"objects", fill(`2["e",[`, `{},`, `{}]]`)},
		{"many arguments", fill(`2["e"`, `,1`, `]`)},
		{"keys", fill(`2["e",{`, `"":0,`, `"":0}]`)},
		{"keys that are nearly placeholders", fill(one+`,{`, `"\u005fplaceholder":1,`, `"":0}]`)},
		{"many placeholders", fill(one, `,{"_placeholder":true,"num":0}`, `]`)},
		{"an attachment's text", fill(one+`,"`, "a", `"]`)},
		{"digits (CVE-2020-36049)", fill(`2`, `1`, ``)},
		{"quotes (CVE-2020-36049)", fill(`2`, `"`, ``)},
		{"a count of attachments", fill(`5`, `1`, `-[]`)},
		{"a namespace", fill(`0/`, `n`, `,`)},
		{"an event name", fill(`2["`, `n`, `"]`)},
		{"an escaped event name", fill(`2["`, `\n`, `"]`)},
		{"a number", fill(`2["e",`, `1`, `]`)},
		{"brackets", fill(`2`, `[`, ``)},
		{"white space", fill(`2["e"`, ` `, `]`)},
		{"invalid UTF-8", fill("2[\"e\",\"", "\xff", `"]`)},
		{"no JSON", fill(`2["e",`, `}`, `]`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := []byte(tt.text)
			var d Decoder
			if n := allocated(func() { _, _, _ = d.Text(in) }); n > 3*size {
				t.Errorf("%d bytes allocated for %d bytes of input", n, len(in))
			}
		})
	}

	t.Run("attachments", func(t *testing.T) {
		var d Decoder
		if _, _, err := d.Text([]byte(`52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)); err != nil {
			t.Fatal(err)
		}
		half := bytes.Repeat([]byte{1}, size/2)
		if n := allocated(func() {
			for range 2 {
				if _, _, err := d.Binary(half); err != nil {
					t.Fatal(err)
				}
			}
		}); n > 3*size {
			t.Errorf("%d bytes allocated", n)
		}
	})

	t.Run("attachments without a packet", func(t *testing.T) {
		var d Decoder
		big := bytes.Repeat([]byte{1}, size)
		if n := allocated(func() {
			for range 1000 {
				_, _, _ = d.Binary(big)
			}
		}); n > 1000 {
			t.Errorf("%d bytes allocated", n)
		}
	})
}
