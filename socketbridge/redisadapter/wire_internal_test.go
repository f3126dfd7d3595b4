package redisadapter

import (
	"errors"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// pack returns JSON as MessagePack.
func pack(text string) string {
	data, err := msgpack.Append(nil, []byte(text), nil)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// decoders decode what can arrive on each kind of channel, for the namespace /a.
var decoders = map[string]func([]byte) (*frame, error){
	"broadcast": func(b []byte) (*frame, error) { return classicFormat{}.decodeBroadcast("/a", b) },
	"request":   func(b []byte) (*frame, error) { return classicFormat{}.decodeRequest("/a", b) },
	"reply":     func(b []byte) (*frame, error) { return classicFormat{}.decodeResponse(b) },
	"cluster":   func(b []byte) (*frame, error) { return shardedFormat{}.decode("/a", b) },
	"entry": func(b []byte) (*frame, error) {
		return (&streamEntry{namespace: "/a", kind: clusterBroadcast, data: b}).frame()
	},
}

// Malformed messages are refused. Above all, a message without an address must not be taken
// for one to all sockets.
func TestWireRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ wire, name, data string }{
		{"broadcast", "empty", ""},
		{"broadcast", "JSON", `["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[]}]`},
		{"broadcast", "not an array", pack(`{}`)},
		{"broadcast", "too short", pack(`["x",{"type":2,"data":["e"],"nsp":"/a"}]`)},
		{"broadcast", "no options", pack(`["x",{"type":2,"data":["e"],"nsp":"/a"},null]`)},
		{"broadcast", "rooms of another type", pack(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":"r"}]`)},
		{"broadcast", "a room that is an object", pack(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[{}]}]`)},
		{"broadcast", "no packet", pack(`["x",null,{"rooms":[]}]`)},
		{"broadcast", "wrong packet type", pack(`["x",{"type":1,"data":["e"],"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "no data", pack(`["x",{"type":2,"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "data that is not an array", pack(`["x",{"type":2,"data":{"0":"e"},"nsp":"/a"},{"rooms":[]}]`)},
		{"broadcast", "another namespace", pack(`["x",{"type":2,"data":["e"],"nsp":"/b"},{"rooms":[]}]`)},
		{"broadcast", "no namespace", pack(`["x",{"type":2,"data":["e"]},{"rooms":[]}]`)},
		{"broadcast", "truncated", pack(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[]}]`)[:20]},
		{"request", "empty", ""},
		{"request", "malformed JSON", `{"type":`},
		{"request", "no type", `{"uid":"x"}`},
		{"request", "unknown type", `{"type":10}`},
		{"request", "negative type", `{"type":-1}`},
		{"request", "type that is a string", `{"type":"2"}`},
		{"request", "join without an address", `{"type":2,"rooms":["r"]}`},
		{"request", "leave without an address", `{"type":3,"rooms":["r"]}`},
		{"request", "disconnect without an address", `{"type":4,"close":true}`},
		{"request", "options that are null", `{"type":4,"opts":null}`},
		{"request", "fetch without an address", `{"type":5,"requestId":"q"}`},
		{"request", "broadcast without an address", `{"type":7,"requestId":"q","packet":{"type":2,"data":["e"],"nsp":"/a"}}`},
		{"request", "broadcast without a packet", `{"type":7,"requestId":"q","opts":{"rooms":[]}}`},
		{"reply", "empty", ""},
		{"reply", "an array", pack(`[1]`)},
		{"cluster", "empty", ""},
		{"cluster", "no type", `{"uid":"x","nsp":"/a"}`},
		{"cluster", "a heartbeat", `{"uid":"x","nsp":"/a","type":2}`},
		{"cluster", "another namespace", `{"uid":"x","nsp":"/b","type":6,"data":{"opts":{"rooms":[]}}}`},
		{"cluster", "disconnect without an address", `{"uid":"x","nsp":"/a","type":6,"data":{"close":true}}`},
		{"cluster", "join without an address", `{"uid":"x","nsp":"/a","type":4,"data":{"rooms":["r"]}}`},
		{"cluster", "broadcast without an address", `{"uid":"x","nsp":"/a","type":3,"data":{"packet":{"type":2,"data":["e"],"nsp":"/a"}}}`},
		{"cluster", "broadcast without a packet", `{"uid":"x","nsp":"/a","type":3,"data":{"opts":{"rooms":[]}}}`},
		{"cluster", "fetch without an address", `{"uid":"x","nsp":"/a","type":7,"data":{"requestId":"q"}}`},
		{"entry", "empty", ""},
		{"entry", "not base64", "!"},
		{"entry", "base64 of malformed MessagePack", "wcHB"},
		{"entry", "broadcast without an address", `{"packet":{"type":2,"data":["e"],"nsp":"/a"}}`},
		{"entry", "another namespace", `{"packet":{"type":2,"data":["e"],"nsp":"/b"},"opts":{"rooms":[]}}`},
		{"cluster", "data of another type", `{"uid":"x","nsp":"/a","type":7,"data":[]}`},
	} {
		t.Run(tt.wire+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			if f, err := decoders[tt.wire]([]byte(tt.data)); !errors.Is(err, errMalformed) {
				t.Errorf("decoded as %+v, %v, want errMalformed", f, err)
			}
		})
	}
}

// Forms that Node's packages write and this one does not.
func TestWireOfOthers(t *testing.T) {
	t.Parallel()
	f, err := decoders["broadcast"]([]byte(pack(`["emitter",{"type":5,"data":["e"],"nsp":"/a"},{"rooms":[1,"b",2.5],"except":null,"flags":{"volatile":true,"compress":false,"timeout":1500,"local":null}}]`)))
	if err != nil || f.uid != "emitter" || strings.Join(f.message.Rooms, ",") != "1,b,2.5" || !f.message.Volatile || !f.message.NoCompress || f.message.Timeout.Milliseconds() != 1500 {
		t.Errorf("broadcast of an emitter: decoded as %+v, %v", f, err)
	}
	f, err = decoders["request"]([]byte(`{"type":0,"uid":"x","requestId":"q","rooms":["r"]}`))
	if err != nil || !f.idsOnly || f.message.Kind != adapter.Fetch || len(f.message.Rooms) != 1 {
		t.Errorf("request for socket IDs: decoded as %+v, %v", f, err)
	}
	_, data, err := classicFormat{}.encodeReply(f, &adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: "s"}}})
	if want := `{"requestId":"q","sockets":["s"]}`; err != nil || string(data) != want {
		t.Errorf("reply with socket IDs is %s, %v, want %s", data, err, want)
	}
	f, err = decoders["request"]([]byte(`{"type":2,"uid":"x","requestId":"q","sid":"s","room":"r"}`))
	if err != nil || f.sid != "s" || f.requestID != "q" || len(f.message.Rooms) != 1 || f.message.Rooms[0] != "s" || f.message.Targets[0] != "r" {
		t.Errorf("join request of an older version: decoded as %+v, %v", f, err)
	}
	for kind, text := range map[adapter.Kind]string{adapter.Fetch: `{"requestId":"q","sockets":{"no":"array"}}`, adapter.ListRooms: `{"requestId":"q"}`} {
		f, err = decoders["reply"]([]byte(text))
		if err != nil || f.replyTo(kind) == nil {
			t.Errorf("%s does not count as a reply: %v", text, err)
		}
	}
}

// FuzzWire passes arbitrary data to all decoders. None may panic, and accepted messages can
// be encoded again.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		pack(`["x",{"type":2,"data":["e",1],"nsp":"/a"},{"rooms":["r"],"except":[],"flags":{"volatile":true}}]`),
		pack(`{"type":9,"requestId":"q","packet":{"a":1}}`),
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
		for wire, read := range decoders {
			in, err := read(data)
			if err != nil {
				if !errors.Is(err, errMalformed) {
					t.Errorf("%s: error %v does not wrap errMalformed", wire, err)
				}
				continue
			}
			for kind := adapter.Broadcast; kind <= adapter.ServerSide; kind++ {
				in.replyTo(kind)
			}
			if in.message == nil {
				continue
			}
			_, _, _ = classicFormat{}.encodeMessage(in.message, "uid", in.requestID)
			_, _, _ = shardedFormat{}.encodeMessage(in.message, "uid", in.requestID)
			_, _, _ = classicFormat{}.encodeReply(in, answeredReply([]byte(`1`), nil))
			_, _, _ = shardedFormat{}.encodeReply(in, "uid", answeredReply(nil, nil))
		}
	})
}
