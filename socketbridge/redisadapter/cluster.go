package redisadapter

import (
	"encoding/json"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// The message types of socket.io-adapter's cluster messages, in which the sharded
// adapter speaks. Types 1, 2 and 13 are of adapters that count nodes by heartbeats.
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
	text := appendText([]byte(`{"uid":`), uid)
	text = appendText(append(text, `,"nsp":`...), m.Namespace)
	text = append(text, `,"type":`...)
	id := func() {
		if requestID != "" {
			text = appendText(append(text, `,"requestId":`...), requestID)
		}
	}
	switch m.Kind {
	case adapter.Broadcast:
		if requestID == "" && len(m.Rooms) == 1 && c.roomHasChannel(len(m.Rooms[0]) == nodesSocketID) {
			channel = c.sub(m.Namespace, m.Rooms[0])
		}
		text = appendPacket(fmt.Appendf(text, `%d,"data":{"packet":`, clusterBroadcast), m)
		id()
		text = appendOptions(append(text, `,"opts":`...), m, true)
	case adapter.Join:
		text = appendOptions(fmt.Appendf(text, `%d,"data":{"opts":`, clusterJoin), m, true)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Leave:
		text = appendOptions(fmt.Appendf(text, `%d,"data":{"opts":`, clusterLeave), m, true)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Disconnect:
		text = appendOptions(fmt.Appendf(text, `%d,"data":{"opts":`, clusterDisconnect), m, true)
		text = fmt.Appendf(text, `,"close":%t`, m.Close)
	case adapter.Fetch, adapter.ListRooms: // there is no message for rooms: they are read off the sockets
		text = appendOptions(fmt.Appendf(text, `%d,"data":{"opts":`, clusterFetch), m, true)
		id()
	case adapter.ServerSide:
		text = append(fmt.Appendf(text, `%d,"data":{"packet":`, clusterServerSide), m.Payload.JSON...)
		id()
	default:
		return "", nil, fmt.Errorf("%w: kind %d", errWire, m.Kind)
	}
	data, err = pack(append(text, `}}`...), m.Payload.Attachments)
	return channel, data, err
}

// reply writes a reply of node uid to the question f.
func (c cluster) reply(f *frame, uid string, r *adapter.Reply) (channel string, data []byte, err error) {
	namespace := f.message.Namespace
	text := appendText([]byte(`{"uid":`), uid)
	text = appendText(append(text, `,"nsp":`...), namespace)
	begin := func(kind int) {
		text = appendText(fmt.Appendf(text, `,"type":%d,"data":{"requestId":`, kind), f.requestID)
	}
	var attachments [][]byte
	switch {
	case r.Kind == adapter.Counted:
		begin(clusterBroadcastCount)
		text = fmt.Appendf(text, `,"clientCount":%d`, r.Clients)
	case r.Kind == adapter.Answered && f.message.Kind == adapter.Broadcast:
		begin(clusterBroadcastAnswer)
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Answered:
		begin(clusterServerSideReply)
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Fetched:
		begin(clusterFetchReply)
		text = appendSockets(append(text, `,"sockets":`...), r.Sockets)
	default:
		return "", nil, fmt.Errorf("%w: reply kind %d", errWire, r.Kind)
	}
	data, err = pack(append(text, `}}`...), attachments)
	return c.sub(namespace, f.uid), data, err
}

// clusterMessage is everything that a message or a reply may hold.
type clusterMessage struct {
	UID  name   `json:"uid"`
	NSP  string `json:"nsp"`
	Type int    `json:"type"`
	Data struct {
		RequestID name            `json:"requestId"`
		Opts      *options        `json:"opts"`
		Packet    json.RawMessage `json:"packet"`
		Rooms     []name          `json:"rooms"`
		Close     any             `json:"close"`
		Sockets   []socket        `json:"sockets"`
		Clients   int             `json:"clientCount"`
	} `json:"data"`
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
	d := &r.Data
	f := &frame{uid: string(r.UID), requestID: string(d.RequestID)}
	switch r.Type {
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
	switch r.Type {
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
		return nil, fmt.Errorf("%w: message type %d", errWire, r.Type)
	}
	return f, d.Opts.address(m)
}
