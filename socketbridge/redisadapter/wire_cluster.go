package redisadapter

import (
	"encoding/json"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// The message types of socket.io-adapter's cluster messages, in which the sharded
// and the streams adapter speak. Types 1, 2 and 13 are of adapters that count nodes by
// heartbeats: see entry.go.
const (
	clusterBroadcast       = 3
	clusterJoin            = 4
	clusterLeave           = 5
	clusterDisconnect      = 6
	clusterFetch           = 7
	clusterFetchReply      = 8
	clusterServerSide      = 9
	clusterServerSideReply = 10
	clusterBroadcastCount  = 11
	clusterBroadcastAnswer = 12
)

// nodesSocketID is the length of a room's name from which Node's adapter takes it for
// a socket's ID, which has no channel in the mode "dynamic".
const nodesSocketID = 20

// cluster is the format of createShardedAdapter, with the names of its channels.
type cluster struct {
	key  string
	mode Mode
}

func (c cluster) main(namespace string) string { return c.key + "#" + namespace + "#" }

// sub is the channel of a room, or of a node.
func (c cluster) sub(namespace, name string) string { return c.main(namespace) + name + "#" }

// roomHasChannel says whether the sockets in a room are reached by its own channel.
func (c cluster) roomHasChannel(private bool) bool {
	return c.mode == ShardedPrivate || c.mode == Sharded && !private
}

// message writes what m is on the wire.
func (c cluster) message(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error) {
	channel = c.main(m.Namespace)
	if m.Kind == adapter.Broadcast && requestID == "" && len(m.Rooms) == 1 && c.roomHasChannel(len(m.Rooms[0]) == nodesSocketID) {
		channel = c.sub(m.Namespace, m.Rooms[0])
	}
	kind, text, err := messageData(m, requestID)
	if err != nil {
		return "", nil, err
	}
	data, err = pack(envelope(uid, m.Namespace, kind, text), m.Payload.Attachments)
	return channel, data, err
}

// envelope says who sends data of a type to what namespace.
func envelope(uid, namespace string, kind int, data []byte) []byte {
	text := appendText([]byte(`{"uid":`), uid)
	text = appendText(append(text, `,"nsp":`...), namespace)
	return append(append(fmt.Appendf(text, `,"type":%d,"data":`, kind), data...), '}')
}

// messageData writes the type and the data of a message.
func messageData(m *adapter.Message, requestID string) (kind int, text []byte, err error) {
	id := func() {
		if requestID != "" {
			text = appendText(append(text, `,"requestId":`...), requestID)
		}
	}
	switch m.Kind {
	case adapter.Broadcast:
		kind, text = clusterBroadcast, appendPacket([]byte(`{"packet":`), m)
		id()
		text = appendOptions(append(text, `,"opts":`...), m, true)
	case adapter.Join:
		kind, text = clusterJoin, appendOptions([]byte(`{"opts":`), m, true)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Leave:
		kind, text = clusterLeave, appendOptions([]byte(`{"opts":`), m, true)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Disconnect:
		kind, text = clusterDisconnect, appendOptions([]byte(`{"opts":`), m, true)
		text = fmt.Appendf(text, `,"close":%t`, m.Close)
	case adapter.Fetch, adapter.ListRooms: // there is no message for rooms: they are read off the sockets
		kind, text = clusterFetch, appendOptions([]byte(`{"opts":`), m, true)
		id()
	case adapter.ServerSide:
		kind, text = clusterServerSide, append([]byte(`{"packet":`), m.Payload.JSON...)
		id()
	default:
		return 0, nil, fmt.Errorf("%w: kind %d", errWire, m.Kind)
	}
	return kind, append(text, '}'), nil
}

// reply writes a reply of node uid to the question f.
func (c cluster) reply(f *frame, uid string, r *adapter.Reply) (channel string, data []byte, err error) {
	kind, text, attachments, err := replyData(f, r)
	if err != nil {
		return "", nil, err
	}
	namespace := f.message.Namespace
	data, err = pack(envelope(uid, namespace, kind, text), attachments)
	return c.sub(namespace, f.uid), data, err
}

// replyData writes the type and the data of a reply to the question f.
func replyData(f *frame, r *adapter.Reply) (kind int, text []byte, attachments [][]byte, err error) {
	text = appendText([]byte(`{"requestId":`), f.requestID)
	switch {
	case r.Kind == adapter.Counted:
		kind, text = clusterBroadcastCount, fmt.Appendf(text, `,"clientCount":%d`, r.Clients)
	case r.Kind == adapter.Answered && f.message.Kind == adapter.Broadcast:
		kind = clusterBroadcastAnswer
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Answered:
		kind = clusterServerSideReply
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Fetched:
		kind, text = clusterFetchReply, appendSockets(append(text, `,"sockets":`...), r.Sockets)
	default:
		return 0, nil, nil, fmt.Errorf("%w: reply kind %d", errWire, r.Kind)
	}
	return kind, append(text, '}'), attachments, nil
}

// clusterMessage is a message or a reply.
type clusterMessage struct {
	UID  name        `json:"uid"`
	NSP  string      `json:"nsp"`
	Type int         `json:"type"`
	Data clusterData `json:"data"`
}

// clusterData is everything that a message or a reply may hold.
type clusterData struct {
	RequestID name            `json:"requestId"`
	Opts      *options        `json:"opts"`
	Packet    json.RawMessage `json:"packet"`
	Rooms     []name          `json:"rooms"`
	Close     any             `json:"close"`
	Sockets   []socket        `json:"sockets"`
	Clients   int             `json:"clientCount"`
}

// read reads what came on any channel of a namespace.
func (c cluster) read(namespace string, data []byte) (*frame, error) {
	text, attachments, err := parse(data)
	if err != nil {
		return nil, err
	}
	var r clusterMessage
	if err := unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.NSP != "" && r.NSP != namespace {
		return nil, fmt.Errorf("%w: message of another namespace", errWire)
	}
	return r.Data.frame(string(r.UID), namespace, r.Type, attachments)
}

// frame reads the data of a message or a reply of that type.
func (d *clusterData) frame(uid, namespace string, kind int, attachments [][]byte) (*frame, error) {
	f := &frame{uid: uid, requestID: string(d.RequestID)}
	switch kind {
	case clusterFetchReply:
		f.reply = described(d.Sockets)
		return f, nil
	case clusterServerSideReply, clusterBroadcastAnswer:
		f.reply = answered(d.Packet, attachments)
		return f, nil
	case clusterBroadcastCount:
		f.reply = &adapter.Reply{Kind: adapter.Counted, Clients: max(d.Clients, 0)}
		return f, nil
	}
	m := &adapter.Message{Namespace: namespace}
	f.message = m
	switch kind {
	case clusterBroadcast:
		m.Kind = adapter.Broadcast
		var p *packet
		if err := optional(d.Packet, &p); err != nil {
			return nil, err
		}
		if err := p.event(m, attachments); err != nil {
			return nil, err
		}
	case clusterJoin:
		m.Kind, m.Targets = adapter.Join, texts(d.Rooms)
	case clusterLeave:
		m.Kind, m.Targets = adapter.Leave, texts(d.Rooms)
	case clusterDisconnect:
		m.Kind, m.Close = adapter.Disconnect, d.Close == true
	case clusterFetch:
		m.Kind = adapter.Fetch
	case clusterServerSide:
		m.Kind, m.Payload = adapter.ServerSide, adapter.Payload{JSON: d.Packet, Attachments: attachments}
		return f, nil
	default:
		return nil, fmt.Errorf("%w: message type %d", errWire, kind)
	}
	return f, d.Opts.address(m)
}
