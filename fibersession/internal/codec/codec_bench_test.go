package codec_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// BenchmarkTyped encodes and decodes the values of a session: those of a usual one, and with a
// struct that gob encodes.
func BenchmarkTyped(b *testing.B) {
	usual := map[string]any{"user": "ada", "visits": 17, "admin": false, "since": time.Unix(5, 0).UTC(), "items": []string{"hat", "coat"}, "flash": map[string]any{"text": "saved", "n": 1}}
	withStruct := map[string]any{"user": "ada", "profile": registered{Name: "Ada", Tags: map[string][]int{"x": {1}}}}
	for name, values := range map[string]map[string]any{"usual": usual, "struct": withStruct} {
		c := typedCodec()
		data, err := codec.Encode(c, values)
		must(b, err)
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(c, values); err != nil {
					b.Fatal(err)
				}
			}
		})
		decoded, err := codec.Decode(c, data)
		must(b, err)
		b.Run("encode-decoded/"+name, func(b *testing.B) { // as the next save of the session does
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(c, decoded); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Decode(c, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
