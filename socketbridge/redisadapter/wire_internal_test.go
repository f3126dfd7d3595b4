package redisadapter

import (
	"errors"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// pk is the MessagePack form of a JSON text.
func pk(text string) string {
	data, err := msgpack.Append(nil, []byte(text), nil)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// wires read what may come on each kind of channel, for the namespace /a.
var wires = map[string]func([]byte) (*frame, error){
	"broadcast": func(b []byte) (*frame, error) { return classic{}.readBroadcast("/a", b) },
	"request":   func(b []byte) (*frame, error) { return classic{}.readRequest("/a", b) },
	"reply":     func(b []byte) (*frame, error) { return classic{}.readReply(b) },
	"cluster":   func(b []byte) (*frame, error) { return cluster{}.read("/a", b) },
	"entry": func(b []byte) (*frame, error) {
		return (&entry{namespace: "/a", kind: clusterBroadcast, data: b}).frame()
	},
}

// Malformed messages are refused. Above all, what addresses nobody is never taken for
// everybody.
func TestWireRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ wire, name, data string }{
		{"broadcast", "nothing", ""},
		{"broadcast", "JSON", `["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[]}]`},
		{"broadcast", "no array", pk(`{}`)},
		{"broadcast", "too short", pk(`["x",{"type":2,"data":["e"],"nsp":"/a"}]`)},
		{"broadcast", "no options", pk(`["x",{"type":2,"data":["e"],"nsp":"/a"},null]`)},
		{"broadcast", "rooms of another type", pk(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":"r"}]`)},
		{"broadcast", "a room that is an object", pk(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[{}]}]`)},
		{"broadcast", "no packet", pk(`["x",null,{"rooms":[]}]`)},
		{"broadcast", "another packet type", pk(`["x",{"type":1,"data":["e"],"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "no data", pk(`["x",{"type":2,"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "data that is no array", pk(`["x",{"type":2,"data":{"0":"e"},"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "another namespace", pk(`["x",{"type":2,"data":["e"],"nsp":"/b"},{"rooms":[]}]`)},
		{"broadcast", "no namespace", pk(`["x",{"type":2,"data":["e"]},{"rooms":[]}]`)},
		{"broadcast", "half of it", pk(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[]}]`)[:20]},
		{"request", "nothing", ""},
		{"request", "no JSON", `{"type":`},
		{"request", "no type", `{"uid":"x"}`},
		{"request", "unknown type", `{"type":10}`},
		{"request", "negative type", `{"type":-1}`},
		{"request", "type that is a text", `{"type":"2"}`},
		{"request", "join of nobody", `{"type":2,"rooms":["r"]}`},
		{"request", "leave of nobody", `{"type":3,"rooms":["r"]}`},
		{"request", "disconnect of nobody", `{"type":4,"close":true}`},
		{"request", "options that are null", `{"type":4,"opts":null}`},
		{"request", "fetch of nobody", `{"type":5,"requestId":"q"}`},
		{"request", "broadcast to nobody", `{"type":7,"requestId":"q","packet":{"type":2,"data":["e"],"nsp":"/a"}}`},
		{"request", "broadcast of nothing", `{"type":7,"requestId":"q","opts":{"rooms":[]}}`},
		{"reply", "nothing", ""},
		{"reply", "an array", pk(`[1]`)},
		{"cluster", "nothing", ""},
		{"cluster", "no type", `{"uid":"x","nsp":"/a"}`},
		{"cluster", "a heartbeat", `{"uid":"x","nsp":"/a","type":2}`},
		{"cluster", "another namespace", `{"uid":"x","nsp":"/b","type":6,"data":{"opts":{"rooms":[]}}}`},
		{"cluster", "disconnect of nobody", `{"uid":"x","nsp":"/a","type":6,"data":{"close":true}}`},
		{"cluster", "join of nobody", `{"uid":"x","nsp":"/a","type":4,"data":{"rooms":["r"]}}`},
		{"cluster", "broadcast to nobody", `{"uid":"x","nsp":"/a","type":3,"data":{"packet":{"type":2,"data":["e"],"nsp":"/a"}}}`},
		{"cluster", "broadcast of nothing", `{"uid":"x","nsp":"/a","type":3,"data":{"opts":{"rooms":[]}}}`},
		{"cluster", "fetch of nobody", `{"uid":"x","nsp":"/a","type":7,"data":{"requestId":"q"}}`},
		{"entry", "nothing", ""},
		{"entry", "no base64", "!"},
		{"entry", "base64 of nothing good", "wcHB"},
		{"entry", "broadcast to nobody", `{"packet":{"type":2,"data":["e"],"nsp":"/a"}}`},
		{"entry", "another namespace", `{"packet":{"type":2,"data":["e"],"nsp":"/b"},"opts":{"rooms":[]}}`},
		{"cluster", "data of another type", `{"uid":"x","nsp":"/a","type":7,"data":[]}`},
	} {
		t.Run(tt.wire+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			if f, err := wires[tt.wire]([]byte(tt.data)); !errors.Is(err, errWire) {
				t.Errorf("got %+v, %v", f, err)
			}
		})
	}
}

// Forms that Node's packages write, and ours does not.
func TestWireOfOthers(t *testing.T) {
	t.Parallel()
	f, err := wires["broadcast"]([]byte(pk(`["emitter",{"type":5,"data":["e"],"nsp":"/a"},{"rooms":[1,"b",2.5],"except":null,"flags":{"volatile":true,"compress":false,"timeout":1500,"local":null}}]`)))
	if err != nil || f.uid != "emitter" || strings.Join(f.message.Rooms, ",") != "1,b,2.5" || !f.message.Volatile || !f.message.NoCompress || f.message.Timeout.Milliseconds() != 1500 {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = wires["request"]([]byte(`{"type":0,"uid":"x","requestId":"q","rooms":["r"]}`))
	if err != nil || !f.idsOnly || f.message.Kind != adapter.Fetch || len(f.message.Rooms) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	_, data, err := classic{}.reply(f, &adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: "s"}}})
	if want := `{"requestId":"q","sockets":["s"]}`; err != nil || string(data) != want {
		t.Errorf("%s, %v, want %s", data, err, want)
	}
	f, err = wires["request"]([]byte(`{"type":2,"uid":"x","requestId":"q","sid":"s","room":"r"}`))
	if err != nil || f.sid != "s" || f.requestID != "q" || len(f.message.Rooms) != 1 || f.message.Rooms[0] != "s" || f.message.Targets[0] != "r" {
		t.Errorf("%+v, %v", f, err)
	}
	for kind, text := range map[adapter.Kind]string{adapter.Fetch: `{"requestId":"q","sockets":{"no":"array"}}`, adapter.ListRooms: `{"requestId":"q"}`} {
		f, err = wires["reply"]([]byte(text))
		if err != nil || f.answerTo(kind) == nil {
			t.Errorf("a node that replied with %s did not reply: %v", text, err)
		}
	}
}

// Places and IDs of entries are the same, in the same order; what has no place is no ID
// of ours.
func TestPlaces(t *testing.T) {
	t.Parallel()
	last := uint64(0)
	for _, text := range []string{"0-1", "1-0", "1-1", "1700000000000-0", "1700000000000-4194303", "1700000000001-0", "4398046511103-4194303"} {
		at, ok := placeOf(text)
		if !ok || at <= last || idOf(at) != text {
			t.Errorf("%s is %d (%v), again %s, after %d", text, at, ok, idOf(at), last)
		}
		last = at
	}
	for _, text := range []string{"", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-4194304", "4398046511104-0", "1-1-1", "a-1", "1-a", " 1-1"} {
		if at, ok := placeOf(text); ok {
			t.Errorf("%q is %d", text, at)
		}
	}
}

// FuzzWire gives every format everything: nothing panics, and what is accepted
// addresses somebody on purpose and can be written again.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		pk(`["x",{"type":2,"data":["e",1],"nsp":"/a"},{"rooms":["r"],"except":[],"flags":{"volatile":true}}]`),
		pk(`{"type":9,"requestId":"q","packet":{"a":1}}`),
		`{"type":2,"uid":"x","opts":{"rooms":["r"],"except":[]},"rooms":["t"]}`,
		`{"type":4,"uid":"x","sid":"s","close":true}`,
		`{"type":6,"uid":"x","requestId":"q","data":["e",1]}`,
		`{"type":7,"uid":"x","requestId":"q","packet":{"type":2,"data":["e"],"nsp":"/a"},"opts":{"rooms":[],"except":["r"]}}`,
		`{"requestId":"q","sockets":[{"id":"s","handshake":{},"rooms":["s",1],"data":{"k":null}}]}`,
		`{"requestId":"q","type":8,"clientCount":3}`,
		`{"uid":"x","nsp":"/a","type":3,"data":{"packet":{"type":2,"data":["e"],"nsp":"/a"},"requestId":"q","opts":{"rooms":[],"except":[],"flags":{"timeout":5}}}}`,
		`{"uid":"x","nsp":"/a","type":8,"data":{"requestId":"q","sockets":[{"id":"s"}]}}`,
		`{"uid":"x","nsp":"/a","type":12,"data":{"requestId":"q","packet":[1,{"a":"b"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for wire, read := range wires {
			in, err := read(data)
			if err != nil {
				if !errors.Is(err, errWire) {
					t.Errorf("%s: %v", wire, err)
				}
				continue
			}
			for kind := adapter.Broadcast; kind <= adapter.ServerSide; kind++ {
				in.answerTo(kind)
			}
			if in.message == nil {
				continue
			}
			_, _, _ = classic{}.message(in.message, "uid", in.requestID)
			_, _, _ = cluster{}.message(in.message, "uid", in.requestID)
			_, _, _ = classic{}.reply(in, answered([]byte(`1`), nil))
			_, _, _ = cluster{}.reply(in, "uid", answered(nil, nil))
		}
	})
}
