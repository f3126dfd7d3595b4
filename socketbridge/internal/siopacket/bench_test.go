package siopacket

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func BenchmarkText(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"echo", `212["echo","hello, it is a quarter past eight",{"a":[1,2,3]}]`},
		{"namespace", `2/chat,12["echo","hello, it is a quarter past eight",{"a":[1,2,3]}]`},
		{"text 1 KB", `212["echo","` + strings.Repeat("a", 1000) + `"]`},
		{"text 100 KB", `212["echo","` + strings.Repeat("a", 100_000) + `"]`},
		{"objects 1 KB", `212["echo",[` + strings.Repeat(`{"key":123,"k":"v"},`, 50) + `0]]`},
		{"objects 1 MB", `212["echo",[` + strings.Repeat(`{"key":123,"k":"v"},`, 50_000) + `0]]`},
		{"brackets 1 MB", `212["echo",[` + strings.Repeat(`{},`, 333_000) + `0]]`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			in := []byte(bb.text)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				if _, _, err := d.Text(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEcho measures all the work of this package for one echoed event.
func BenchmarkEcho(b *testing.B) {
	in := []byte(`212["echo","hello, it is a quarter past eight"]`)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		p, _, err := d.Text(in)
		if err != nil {
			b.Fatal(err)
		}
		var buf [4]json.RawMessage
		args := p.AppendArgs(buf[:0])
		_ = AppendRaw(make([]byte, 0, 64), Header{Type: Ack, ID: p.ID, HasID: true}, args...)
	}
}

func BenchmarkAppend(b *testing.B) {
	type user struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	for _, bb := range []struct {
		name string
		args []any
	}{
		{"basic types", []any{"e", 1, "text", true}},
		{"raw", []any{"e", json.RawMessage(`"hello, it is a quarter past eight"`)}},
		{"map", []any{"e", map[string]any{"name": "n", "age": 7}}},
		{"struct", []any{"e", user{"n", 7}}},
		{"binary", []any{"e", []byte("x")}},
		{"binary in a struct", []any{"e", inner{[]byte("x")}}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			out := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Append(out, Header{Type: Event}, bb.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprintf("%d attachments", n), func(b *testing.B) {
			raw, attachments := []byte(`{"b":null}`), [][]byte(nil)
			if n == 1 {
				raw, attachments = []byte(`{"b":`+ph0+`}`), [][]byte{{1}}
			}
			b.ReportAllocs()
			for b.Loop() {
				var v inner
				if err := Unmarshal(raw, attachments, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
