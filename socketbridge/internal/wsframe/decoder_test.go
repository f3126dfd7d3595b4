package wsframe_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame encodes a frame as a client sends it.
func frame(fin bool, op wsframe.Opcode, payload string) string {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: fin, Op: op, Masked: true, Key: key, Length: uint64(len(payload))})
	masked := []byte(payload)
	wsframe.Mask(key, masked)
	return string(append(b, masked...))
}

// whole, begin, more and end encode a complete message or one of its fragments.
func whole(op wsframe.Opcode, payload string) string { return frame(true, op, payload) }
func begin(op wsframe.Opcode, payload string) string { return frame(false, op, payload) }
func more(payload string) string                     { return frame(false, wsframe.Continuation, payload) }
func end(payload string) string                      { return frame(true, wsframe.Continuation, payload) }

// bits sets additional bits in a frame's first byte.
func bits(b byte, frame string) string { return string(frame[0]|b) + frame[1:] }

const (
	text    = wsframe.Text
	bin     = wsframe.Binary
	ping    = wsframe.Ping
	pong    = wsframe.Pong
	closing = wsframe.Close
)

// cases are the rules of RFC 6455 for clients. got lists the decoded messages as opcode and
// payload; code is the close code of the final error, or 0. Package engineio tests all cases
// of the Autobahn suite against a server.
var cases = []struct {
	name string
	in   string
	got  string
	code uint16
}{
	{"empty text", whole(text, ""), "1:", 0},
	{"text of 125", whole(text, strings.Repeat("*", 125)), "1:" + strings.Repeat("*", 125), 0},
	{"text of 126", whole(text, strings.Repeat("*", 126)), "1:" + strings.Repeat("*", 126), 0},
	{"text of 65535", whole(text, strings.Repeat("*", 65535)), "1:" + strings.Repeat("*", 65535), 0},
	{"text of 65536", whole(text, strings.Repeat("*", 65536)), "1:" + strings.Repeat("*", 65536), 0},
	{"empty binary", whole(bin, ""), "2:", 0},
	{"binary of 126", whole(bin, strings.Repeat("\xfe", 126)), "2:" + strings.Repeat("\xfe", 126), 0},
	{"binary of 65536", whole(bin, strings.Repeat("\xfe", 65536)), "2:" + strings.Repeat("\xfe", 65536), 0},

	{"ping without payload", whole(ping, ""), "9:", 0},
	{"ping with text", whole(ping, "Hello"), "9:Hello", 0},
	{"ping with bytes", whole(ping, "\x00\xff\xfe"), "9:\x00\xff\xfe", 0},
	{"ping of 125", whole(ping, strings.Repeat("\xfe", 125)), "9:" + strings.Repeat("\xfe", 125), 0},
	{"ping of 126", whole(ping, strings.Repeat("\xfe", 126)), "", 1002},
	{"an unsolicited pong", whole(pong, "x"), "10:x", 0},
	{"three pings", strings.Repeat(whole(ping, "p"), 3), "9:p 9:p 9:p", 0},

	{"RSV1", bits(0x40, whole(text, "x")), "", 1002},
	{"RSV2", whole(text, "a") + bits(0x20, whole(text, "x")), "1:a", 1002},
	{"RSV1 and RSV2", bits(0x60, whole(text, "x")), "", 1002},
	{"RSV3", bits(0x10, whole(text, "x")), "", 1002},
	{"RSV3 on binary", bits(0x10, whole(bin, "x")), "", 1002},
	{"RSV on ping", bits(0x20, whole(ping, "x")), "", 1002},
	{"all RSV on close", bits(0x70, whole(closing, "")), "", 1002},

	{"opcode 3", whole(3, ""), "", 1002},
	{"opcode 4", whole(4, "x"), "", 1002},
	{"opcode 5 after text", whole(text, "a") + whole(5, ""), "1:a", 1002},
	{"opcode 7", whole(7, "x"), "", 1002},
	{"opcode 11", whole(11, ""), "", 1002},
	{"opcode 12", whole(12, "x"), "", 1002},
	{"opcode 15", whole(15, ""), "", 1002},

	{"ping in two fragments", begin(ping, "a") + end("b"), "", 1002},
	{"pong in two fragments", begin(pong, "a") + end("b"), "", 1002},
	{"text in two fragments", begin(text, "a") + end("b"), "1:ab", 0},
	{"a ping between fragments", begin(text, "a") + whole(ping, "p") + end("b"), "9:p 1:ab", 0},
	{"a continuation without a message", end("a"), "", 1002},
	{"a continuation without a message, with more to come", more("a"), "", 1002},
	{"a continuation after a whole message", whole(text, "a") + end("b"), "1:a", 1002},
	{"a continuation after a joined message", begin(text, "a") + end("b") + more("c"), "1:ab", 1002},
	{"text inside text", begin(text, "a") + whole(text, "b"), "", 1002},
	{"binary inside text", begin(text, "a") + begin(bin, "b"), "", 1002},
	{"many fragments and pings", begin(text, "1") + more("2") + whole(ping, "p") + more("3") + more("4") + whole(ping, "q") + end("5"), "9:p 9:q 1:12345", 0},
	{"empty fragments", begin(bin, "") + more("") + more("x") + end(""), "2:x", 0},

	{"empty text fragments", begin(text, "") + more("") + end(""), "1:", 0},
	{"UTF-8", whole(text, "Hello-µ@ßöäüàá-UTF-8!!"), "1:Hello-µ@ßöäüàá-UTF-8!!", 0},
	{"cut between characters", begin(text, "Hello-µ@ßöä") + end("üàá-UTF-8!!"), "1:Hello-µ@ßöäüàá-UTF-8!!", 0},
	{"every byte a fragment", bytewise("Hello-µ@ßöäüàá-€🙂!!"), "1:Hello-µ@ßöäüàá-€🙂!!", 0},
	{"not UTF-8", whole(text, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), "", 1007},
	{"not UTF-8, every byte a fragment", bytewise("\xce\xba\xed\xa0\x80edited"), "", 1007},
	{"noticed before the message ends", begin(text, "\xce\xba\xe1\xbd\xb9") + more("\xf4\x90\x80\x80"), "", 1007},
	{"noticed inside a character", begin(text, "\xf4") + more("\x90"), "", 1007},
	{"cut at the end", whole(text, "\xce"), "", 1007},
	{"cut at the end of the last fragment", begin(text, "a\xe2\x82") + end(""), "", 1007},
	{"U+FFFD itself", begin(text, "\xef") + more("\xbf") + end("\xbd"), "1:\uFFFD", 0},
	{"U+FFFF", whole(text, "\xef\xbf\xbf"), "1:\uFFFF", 0},
	{"overlong", whole(text, "\xc0\xaf"), "", 1007},
	{"overlong in fragments", begin(text, "\xe0") + more("\x80"), "", 1007},
	{"lone continuation bytes", whole(text, "\x80\xbf"), "", 1007},
	{"a first byte alone", begin(text, "\xc3") + end(" "), "", 1007},
	{"five bytes", whole(text, "\xf8\x88\x80\x80\x80"), "", 1007},
	{"a surrogate", whole(text, "\xed\xa0\x80"), "", 1007},
	{"the highest code point", whole(text, "\xf4\x8f\xbf\xbf"), "1:\U0010FFFF", 0},
	{"binary need not be UTF-8", begin(bin, "\xff") + end("\xfe"), "2:\xff\xfe", 0},

	{"close", whole(text, "a") + whole(closing, "\x03\xe8"), "1:a 8:\x03\xe8", 0},
	{"close without payload", whole(closing, ""), "8:", 0},
	{"close of 126", whole(closing, strings.Repeat("*", 126)), "", 1002},
	{"close in fragments", begin(closing, ""), "", 1002},

	{"a message over the limit", whole(text, strings.Repeat("*", limit+1)), "", 1009},
	{"a message at the limit", whole(bin, strings.Repeat("*", limit)), "2:" + strings.Repeat("*", limit), 0},
	{"the sum of fragments over the limit", begin(bin, strings.Repeat("*", limit)) + end("*"), "", 1009},
	{"the sum of fragments at the limit", begin(bin, strings.Repeat("*", limit-1)) + end("*"), "2:" + strings.Repeat("*", limit), 0},
	{"the limit is of each message", strings.Repeat(begin(bin, "a")+end("b"), 2), "2:ab 2:ab", 0},

	{"a frame without a mask", "\x81\x01a", "", 1002},
	{"a ping without a mask", "\x89\x00", "", 1002},
	{"a length with its top bit set", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "", 1002},
	{"a length of 2^63-1", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "", 1009},
	{"a length of 2^32", "\x82\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", "", 1009},
	{"a length in 16 bits that fits in 7", "\x82\xfe\x00\x7d\x00\x00\x00\x00" + strings.Repeat("a", 125), "", 1002},
	{"a length in 64 bits that fits in 16", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", "", 1002},
	{"empty fragments without end", begin(text, "") + strings.Repeat(more(""), 5000), "", 1008},
	{"one-byte fragments without end", begin(text, "a") + strings.Repeat(more("a"), 5000), "", 1008},
}

const limit = 100_000

func bytewise(s string) string {
	out := begin(text, s[:1])
	for i := 1; i < len(s)-1; i++ {
		out += more(s[i : i+1])
	}
	return out + end(s[len(s)-1:])
}

func TestDecoder(t *testing.T) {
	for _, tt := range cases {
		for _, chunk := range []int{len(tt.in), 1, 7} {
			if chunk != len(tt.in) && len(tt.in) > 20_000 {
				continue // too slow
			}
			t.Run(fmt.Sprintf("%s/in chunks of %d", tt.name, chunk), func(t *testing.T) {
				t.Parallel()
				got, err := decode(&wsframe.Decoder{MaxMessage: limit}, []byte(tt.in), chunk)
				if got != tt.got {
					t.Errorf("decoded %.200q, want %.200q", got, tt.got)
				}
				var code uint16
				if err != nil {
					code = wsframe.CodeOf(err)
				}
				if code != tt.code {
					t.Errorf("error is %v, want close code %d", err, tt.code)
				}
			})
		}
	}
}

// decode passes in to d in chunks, as they would arrive from a network.
func decode(d *wsframe.Decoder, in []byte, chunk int) (string, error) {
	var got []string
	var buf []byte
	for len(in) > 0 {
		n := min(chunk, len(in))
		buf = append(buf, in[:n]...)
		in = in[n:]
		for {
			m, n, err := d.Next(buf)
			if err != nil {
				return strings.Join(got, " "), err
			}
			if m.Op != wsframe.None {
				got = append(got, fmt.Sprintf("%d:%s", m.Op, m.Data))
			} else if n == 0 {
				break
			}
			buf = buf[n:]
		}
	}
	return strings.Join(got, " "), nil
}

// A frame is rejected by its header, without waiting for its payload.
func TestDecoder_JudgesTheHeaderAlone(t *testing.T) {
	tests := []struct {
		name string
		in   string
		code uint16
	}{
		{"too big", whole(bin, strings.Repeat("*", limit+1))[:14], 1009},
		{"too big in sum", begin(bin, "12345") + whole(wsframe.Continuation, strings.Repeat("*", limit-4))[:14], 1009},
		{"a reserved bit", "\xc1", 1002},
		{"a reserved opcode", "\x83", 1002},
		{"a fragmented ping", "\x09", 1002},
		{"a long ping", "\x89\xfe", 1002},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decode(&wsframe.Decoder{MaxMessage: limit}, []byte(tt.in), len(tt.in))
			if err == nil || wsframe.CodeOf(err) != tt.code {
				t.Errorf("error is %v, want close code %d", err, tt.code)
			}
		})
	}
}

func TestDecoder_WholeFramesAreNotCopied(t *testing.T) {
	in := []byte(strings.Repeat(whole(text, "42[\"echo\",1]"), 16))
	buf := make([]byte, len(in))
	var d wsframe.Decoder
	allocs := testing.AllocsPerRun(100, func() {
		copy(buf, in)
		for rest := buf; len(rest) > 0; {
			m, n, err := d.Next(rest)
			if err != nil || string(m.Data[:2]) != "42" {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for 16 frames", allocs)
	}
}

func TestParseClose(t *testing.T) {
	code := func(c uint16) []byte { return binary.BigEndian.AppendUint16(nil, c) }
	tests := []struct {
		name    string
		payload []byte
		want    uint16
		wrong   uint16
	}{
		{"nothing", nil, wsframe.NoStatus, 0},
		{"one byte", []byte{3}, 0, 1002},
		{"a code", code(1000), 1000, 0},
		{"a code and a reason", append(code(1000), "Hello World!"...), 1000, 0},
		{"a reason that is not UTF-8", append(code(1000), "\xce\xba\xed\xa0\x80"...), 0, 1007},
		{"1001", code(1001), 1001, 0},
		{"1007", code(1007), 1007, 0},
		{"1011", code(1011), 1011, 0},
		{"1014", code(1014), 1014, 0},
		{"3000", code(3000), 3000, 0},
		{"4999", code(4999), 4999, 0},
		{"0", code(0), 0, 1002},
		{"999", code(999), 0, 1002},
		{"1004", code(1004), 0, 1002},
		{"1005", code(1005), 0, 1002},
		{"1006", code(1006), 0, 1002},
		{"1015", code(1015), 0, 1002},
		{"1016", code(1016), 0, 1002},
		{"2000", code(2000), 0, 1002},
		{"2999", code(2999), 0, 1002},
		{"5000", code(5000), 0, 1002},
		{"65535", code(65535), 0, 1002},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wsframe.ParseClose(tt.payload)
			if got != tt.want || (err != nil) != (tt.wrong != 0) || err != nil && wsframe.CodeOf(err) != tt.wrong {
				t.Errorf("got %d, error %v", got, err)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"text", wsframe.Append(nil, text, []byte("Hello")), "\x81\x05Hello"},
		{"125 bytes", wsframe.Append(nil, bin, make([]byte, 125))[:2], "\x82\x7d"},
		{"126 bytes", wsframe.Append(nil, bin, make([]byte, 126))[:4], "\x82\x7e\x00\x7e"},
		{"65535 bytes", wsframe.Append(nil, bin, make([]byte, 65535))[:4], "\x82\x7e\xff\xff"},
		{"65536 bytes", wsframe.Append(nil, bin, make([]byte, 65536))[:10], "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
		{"after other bytes", wsframe.Append([]byte("x"), ping, nil), "x\x89\x00"},
		{"close", wsframe.AppendClose(nil, 1001), "\x88\x02\x03\xe9"},
		{"close without a code", wsframe.AppendClose(nil, wsframe.NoStatus), "\x88\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if string(tt.got) != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for n := range 100 { // covers all steps of the loop
		b := []byte(strings.Repeat("x", n))
		wsframe.Mask(key, b)
		for i, c := range b {
			if c != 'x'^key[i%4] {
				t.Fatalf("byte %d of %d is wrong", i, n)
			}
		}
	}
	// The example of RFC 6455, section 5.7.
	b := []byte("\x7f\x9f\x4d\x51\x58")
	wsframe.Mask(key, b)
	if string(b) != "Hello" {
		t.Errorf("the example of the RFC gives %q", b)
	}
}

func TestCodeOf(t *testing.T) {
	if c := wsframe.CodeOf(fmt.Errorf("read: %w", &wsframe.Error{Code: 1009})); c != 1009 {
		t.Errorf("CodeOf a wrapped error returned %d", c)
	}
	if c := wsframe.CodeOf(errors.New("other")); c != 1002 {
		t.Errorf("CodeOf another error returned %d", c)
	}
}

func FuzzFrame(f *testing.F) {
	for _, tt := range cases {
		if len(tt.in) < 1000 {
			f.Add([]byte(tt.in), 3)
		}
	}
	f.Add([]byte("\x03\xe8reason"), 1)
	f.Add([]byte("\x03\xed"), 1)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		if chunk < 1 || chunk > 1<<16 {
			return
		}
		const limit = 1000
		d := wsframe.Decoder{MaxMessage: limit}
		all, allErr := decode(&d, bytes.Clone(in), len(in)+1)
		d = wsframe.Decoder{MaxMessage: limit}
		some, someErr := decode(&d, bytes.Clone(in), chunk)
		if all != some || (allErr == nil) != (someErr == nil) {
			t.Fatalf("in one piece %q, error %v; in chunks of %d %q, error %v", all, allErr, chunk, some, someErr)
		}
		if allErr != nil && wsframe.CodeOf(allErr) != wsframe.CodeOf(someErr) {
			t.Fatalf("error in one piece %v, in chunks %v", allErr, someErr)
		}
		if code, err := wsframe.ParseClose(in); err == nil {
			answer := wsframe.AppendClose(nil, code)[2:] // what the server answers: the client's code without its reason
			if again, err := wsframe.ParseClose(answer); again != code || err != nil {
				t.Fatalf("close payload %x has code %d, its answer %d, %v", in, code, again, err)
			}
		}
		if h, n, err := wsframe.ParseHeader(in); err == nil && n > 0 {
			if again := wsframe.AppendHeader(nil, h); !bytes.Equal(again, in[:n]) {
				t.Fatalf("header %x was encoded again as %x", in[:n], again)
			}
		}
	})
}

func ExampleDecoder() {
	in := []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") // a masked "Hello"
	var d wsframe.Decoder
	m, n, err := d.Next(in)
	fmt.Println(m.Op == wsframe.Text, string(m.Data), n, err)
	// Output: true Hello 11 <nil>
}

func BenchmarkDecoder(b *testing.B) {
	in := []byte(strings.Repeat(whole(text, "42[\"echo\",1]"), 16))
	buf := make([]byte, len(in))
	var d wsframe.Decoder
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, in)
		for rest := buf; len(rest) > 0; {
			_, n, _ := d.Next(rest)
			rest = rest[n:]
		}
	}
}
