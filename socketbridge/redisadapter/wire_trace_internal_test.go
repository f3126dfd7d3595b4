package redisadapter

import (
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracedMessages returns a message of each kind, with a trace context. ask has those that are
// sent as requests.
func tracedMessages(trace string) (publish, ask []*adapter.Message) {
	event := adapter.Payload{JSON: []byte(`["e"]`)}
	binary := adapter.Payload{JSON: []byte(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}}
	publish = []*adapter.Message{
		{Kind: adapter.Broadcast, Namespace: "/a", Rooms: []string{"r"}, Volatile: true, Payload: event},
		{Kind: adapter.Broadcast, Namespace: "/a", Payload: binary},
		{Kind: adapter.Join, Namespace: "/a", Rooms: []string{"r"}, Targets: []string{"x"}},
		{Kind: adapter.Leave, Namespace: "/a", Rooms: []string{"r"}, Targets: []string{"x"}},
		{Kind: adapter.Disconnect, Namespace: "/a", Rooms: []string{"r"}, Close: true},
		{Kind: adapter.ServerSide, Namespace: "/a", Payload: event},
		{Kind: adapter.ServerSide, Namespace: "/a", Payload: binary},
	}
	ask = []*adapter.Message{
		{Kind: adapter.Broadcast, Namespace: "/a", Timeout: time.Second, Payload: binary},
		{Kind: adapter.Fetch, Namespace: "/a", Rooms: []string{"r"}},
		{Kind: adapter.ListRooms, Namespace: "/a"},
		{Kind: adapter.ServerSide, Namespace: "/a", Payload: event},
	}
	for _, m := range append(publish, ask...) {
		m.Trace = trace
	}
	return publish, ask
}

// encoders encode a message in each format, and decode what another node gets.
var encoders = map[string]struct {
	encode func(m *adapter.Message, requestID string) ([]byte, error)
	decode func(m *adapter.Message, requestID string, data []byte) (*frame, error)
}{
	"classic": {
		func(m *adapter.Message, requestID string) ([]byte, error) {
			_, data, err := classicFormat{}.encodeMessage(m, "node", requestID)
			return data, err
		},
		func(m *adapter.Message, requestID string, data []byte) (*frame, error) {
			if m.Kind == adapter.Broadcast && requestID == "" {
				return classicFormat{}.decodeBroadcast("/a", data)
			}
			return classicFormat{}.decodeRequest("/a", data)
		},
	},
	"sharded": {
		func(m *adapter.Message, requestID string) ([]byte, error) {
			_, data, err := shardedFormat{}.encodeMessage(m, "node", requestID)
			return data, err
		},
		func(_ *adapter.Message, _ string, data []byte) (*frame, error) {
			return shardedFormat{}.decode("/a", data)
		},
	},
	"packed": {
		func(m *adapter.Message, requestID string) ([]byte, error) {
			_, data, err := shardedFormat{packed: true}.encodeMessage(m, "node", requestID)
			return data, err
		},
		func(_ *adapter.Message, _ string, data []byte) (*frame, error) {
			return shardedFormat{packed: true}.decode("/a", data)
		},
	},
	"stream": {
		func(m *adapter.Message, requestID string) ([]byte, error) {
			_, text, err := encodeClusterMessage(m, requestID)
			if err != nil {
				return nil, err
			}
			return encodeBase64(text, m.Payload.Attachments)
		},
		func(m *adapter.Message, requestID string, data []byte) (*frame, error) {
			kind, _, err := encodeClusterMessage(m, requestID)
			if err != nil {
				return nil, err
			}
			return (&streamEntry{uid: "node", namespace: "/a", kind: kind, data: data}).frame()
		},
	},
}

// N9: each kind of message takes its trace context along in each format. Without one, or with one
// that is too long, the message has the bytes that it had before there were any.
func TestN9_WireTrace(t *testing.T) {
	t.Parallel()
	for name, format := range encoders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat("x", maxTrace+1)
			publish, ask := tracedMessages(traceparent)
			for i, m := range append(publish, ask...) {
				requestID := ""
				if i >= len(publish) {
					requestID = "q"
				}
				data, err := format.encode(m, requestID)
				if err != nil {
					t.Fatal(err)
				}
				f, err := format.decode(m, requestID, data)
				if err != nil || f.message.Trace != traceparent {
					t.Errorf("kind %d, request %q: error %v, got %+v, want its trace", m.Kind, requestID, err, f)
					continue
				}
				var without [2][]byte
				for j, trace := range []string{"", long} {
					m.Trace = trace
					if without[j], err = format.encode(m, requestID); err != nil {
						t.Fatal(err)
					}
				}
				m.Trace = traceparent
				if string(without[0]) != string(without[1]) {
					t.Errorf("kind %d: a trace of %d bytes is sent", m.Kind, len(long))
				}
				if text := asText(t, without[0]); strings.Contains(text, "traceparent") || strings.Replace(asText(t, data), `,"traceparent":"`+traceparent+`"`, "", 1) != text {
					t.Errorf("kind %d: a message without a trace differs in more than the member:\n%s\n%s", m.Kind, text, asText(t, data))
				}
			}
		})
	}
}

// asText returns a wire value as JSON.
func asText(t *testing.T, data []byte) string {
	t.Helper()
	if text, _, err := decodeBase64(string(data)); err == nil {
		return string(text)
	}
	if text, _, err := decode(data); err == nil {
		return string(text)
	}
	text, _, err := msgpack.JSON(data, msgpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// N9: a message whose trace context cannot be one is valid without it.
func TestN9_WireTraceMalformed(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`7`, `null`, `{"a":[]}`, `"` + strings.Repeat("x", maxTrace+1) + `"`} {
		for name, data := range map[string]string{
			"broadcast": pack(`["x",{"type":2,"data":["e"],"nsp":"/a"},{"rooms":[],"traceparent":` + value + `}]`),
			"request":   `{"type":5,"requestId":"q","opts":{"rooms":[]},"traceparent":` + value + `}`,
			"cluster":   `{"uid":"x","nsp":"/a","type":6,"data":{"opts":{"rooms":[]},"traceparent":` + value + `}}`,
			"entry":     `{"packet":{"type":2,"data":["e"],"nsp":"/a"},"opts":{"rooms":[]},"traceparent":` + value + `}`,
		} {
			f, err := decoders[name]([]byte(data))
			if err != nil || f.message.Trace != "" {
				t.Errorf("%s with the trace %.20s: got %+v and error %v, want a message without a trace", name, value, f, err)
			}
		}
	}
}
