package socketbridge

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// TestS2_PayloadsWithOddNames decodes what a node of Socket.IO for Node sends for
// io.emit(1), io.emit("") and an event with more arguments than a client may send.
func TestS2_PayloadsWithOddNames(t *testing.T) {
	t.Parallel()
	many := `["e"`
	for range 100 {
		many += ",1"
	}
	for payload, want := range map[string]string{`[1,"x"]`: "1", `[""]`: "", many + "]": "e"} {
		msgs, p, err := decodePayload(adapter.Payload{JSON: []byte(payload)}, siopacket.Header{Type: siopacket.Event, Namespace: "/"})
		if err != nil || string(p.Name) != want || len(msgs) != 1 || string(msgs[0].Data) != "2"+payload {
			t.Errorf("%s: name %q, messages %v, error %v", payload, p.Name, msgs, err)
		}
	}
}
