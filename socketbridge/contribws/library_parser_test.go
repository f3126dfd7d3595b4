package contribws

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// TestLibraryParser: the messages do not depend on how the writes are split.
func TestLibraryParser(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 70_000)
	stream := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
	add := func(fin bool, op wsframe.Opcode, data string) {
		stream = wsframe.AppendHeader(stream, wsframe.Header{Fin: fin, Op: op, Length: uint64(len(data))})
		stream = append(stream, data...)
	}
	add(true, wsframe.Pong, "")
	add(true, wsframe.Text, "one")
	add(false, wsframe.Text, "frag")
	add(true, wsframe.Pong, "between")
	add(false, wsframe.Continuation, "men")
	add(true, wsframe.Continuation, "ted")
	add(true, wsframe.Text, "")
	add(true, wsframe.Binary, large)
	add(true, wsframe.Close, "\x03\xe8")
	want := []string{"pong ", "text one", "pong between", "text fragmented", "text ", "binary " + large, "close \x03\xe8"}

	for _, size := range []int{1, 2, 3, 5, 8, 13, 100, 4096, len(stream)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			var p libraryParser
			var got []string
			for chunk := range slices.Chunk(stream, size) {
				b := bytes.Clone(chunk)
				all, err := p.add(b)
				if err != nil {
					t.Fatal(err)
				}
				clear(b) // the messages must be copies
				for _, m := range all {
					got = append(got, map[wsframe.Opcode]string{
						wsframe.Text: "text ", wsframe.Binary: "binary ", wsframe.Pong: "pong ", wsframe.Close: "close ",
					}[m.op]+string(m.data))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d messages, want %d", len(got), len(want))
			}
			if len(p.rest) != 0 || p.fragments != nil {
				t.Errorf("%d bytes are left in the parser", len(p.rest))
			}
		})
	}

	var p libraryParser
	_, err := p.add([]byte("HTTP/1.1 101\r\n\r\n\xf1\x00"))
	if bad := (*wsframe.Error)(nil); !errors.As(err, &bad) {
		t.Errorf("reserved bits: %v", err)
	}
}
