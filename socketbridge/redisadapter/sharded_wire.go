package redisadapter

import (
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// socketIDLength is the length of a socket's ID on Node's servers. In the mode "dynamic",
// Node's adapter takes a room with a name of this length for a socket's own room, which
// has no channel.
const socketIDLength = 20

// shardedFormat is the format of createShardedAdapter: its channel names, and cluster
// messages in JSON or MessagePack.
type shardedFormat struct {
	key    string
	mode   Mode
	packed bool // MessagePack only, as for the requests of @socket.io/redis-streams-adapter
}

// mainChannel is the channel of a namespace that all nodes subscribe to.
func (s shardedFormat) mainChannel(namespace string) string { return s.key + "#" + namespace + "#" }

// subChannel is the channel of a room or of a node.
func (s shardedFormat) subChannel(namespace, name string) string {
	return s.mainChannel(namespace) + name + "#"
}

// roomHasChannel reports whether broadcasts to a room use its own channel.
func (s shardedFormat) roomHasChannel(private bool) bool {
	return s.mode == ShardedPrivate || s.mode == Sharded && !private
}

// encodeMessage encodes a message and returns the channel on which to publish it.
func (s shardedFormat) encodeMessage(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error) {
	channel = s.mainChannel(m.Namespace)
	if m.Kind == adapter.Broadcast && requestID == "" && len(m.Rooms) == 1 && s.roomHasChannel(len(m.Rooms[0]) == socketIDLength) {
		channel = s.subChannel(m.Namespace, m.Rooms[0])
	}
	kind, text, err := encodeClusterMessage(m, requestID)
	if err != nil {
		return "", nil, err
	}
	data, err = s.encode(envelope(uid, m.Namespace, kind, text), m.Payload.Attachments)
	return channel, data, err
}

// encodeReply encodes a reply of node uid to the request f.
func (s shardedFormat) encodeReply(f *frame, uid string, r *adapter.Reply) (channel string, data []byte, err error) {
	kind, text, attachments, err := encodeClusterReply(f, r)
	if err != nil {
		return "", nil, err
	}
	namespace := f.message.Namespace
	data, err = s.encode(envelope(uid, namespace, kind, text), attachments)
	return s.subChannel(namespace, f.uid), data, err
}

func (s shardedFormat) encode(text []byte, attachments [][]byte) ([]byte, error) {
	if s.packed {
		return msgpack.Append(nil, text, attachments)
	}
	return encode(text, attachments)
}

// decode decodes what arrived on any channel of a namespace.
func (s shardedFormat) decode(namespace string, data []byte) (*frame, error) {
	if s.packed && len(data) > 0 && data[0] == '{' {
		return nil, fmt.Errorf("%w: JSON, want MessagePack", errMalformed)
	}
	text, attachments, err := decode(data)
	if err != nil {
		return nil, err
	}
	var r clusterMessage
	if err := unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.NSP != "" && r.NSP != namespace {
		return nil, fmt.Errorf("%w: message of another namespace", errMalformed)
	}
	return r.Data.frame(string(r.UID), namespace, r.Type, attachments)
}

// envelope returns a cluster message as JSON.
func envelope(uid, namespace string, kind int, data []byte) []byte {
	text := appendText([]byte(`{"uid":`), uid)
	text = appendText(append(text, `,"nsp":`...), namespace)
	return append(append(fmt.Appendf(text, `,"type":%d,"data":`, kind), data...), '}')
}
