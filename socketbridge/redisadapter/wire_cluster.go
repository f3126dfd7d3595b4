package redisadapter

import (
	"encoding/json"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// The types of socket.io-adapter's cluster messages, which the sharded and the streams
// modes use. Types 1, 2 and 13 belong to adapters that count nodes by heartbeats: see
// streams_heartbeat.go.
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
	clusterBroadcastAck    = 12
)

// encodeClusterMessage returns the type and the data of a message.
func encodeClusterMessage(m *adapter.Message, requestID string) (kind int, text []byte, err error) {
	appendRequestID := func() {
		if requestID != "" {
			text = appendText(append(text, `,"requestId":`...), requestID)
		}
	}
	switch m.Kind {
	case adapter.Broadcast:
		kind, text = clusterBroadcast, appendPacket([]byte(`{"packet":`), m)
		appendRequestID()
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
	case adapter.Fetch, adapter.ListRooms: // the format has no request for rooms: roomsOf derives them from the sockets
		kind, text = clusterFetch, appendOptions([]byte(`{"opts":`), m, true)
		appendRequestID()
	case adapter.ServerSide:
		kind, text = clusterServerSide, append([]byte(`{"packet":`), m.Payload.JSON...)
		appendRequestID()
	default:
		return 0, nil, fmt.Errorf("%w: kind %d", errMalformed, m.Kind)
	}
	return kind, append(appendTrace(text, m), '}'), nil
}

// encodeClusterReply returns the type and the data of a reply to the request f.
func encodeClusterReply(f *frame, r *adapter.Reply) (kind int, text []byte, attachments [][]byte, err error) {
	text = appendText([]byte(`{"requestId":`), f.requestID)
	switch {
	case r.Kind == adapter.Counted:
		kind, text = clusterBroadcastCount, fmt.Appendf(text, `,"clientCount":%d`, r.Clients)
	case r.Kind == adapter.Answered && f.message.Kind == adapter.Broadcast:
		kind = clusterBroadcastAck
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Answered:
		kind = clusterServerSideReply
		text, attachments = appendAnswer(text, "packet", r.Payload)
	case r.Kind == adapter.Fetched:
		kind, text = clusterFetchReply, appendSockets(append(text, `,"sockets":`...), r.Sockets)
	default:
		return 0, nil, nil, fmt.Errorf("%w: reply kind %d", errMalformed, r.Kind)
	}
	return kind, append(text, '}'), attachments, nil
}

// clusterMessage is a message or a reply on the wire.
type clusterMessage struct {
	UID  looseString `json:"uid"`
	NSP  string      `json:"nsp"`
	Type int         `json:"type"`
	Data clusterData `json:"data"`
}

// clusterData has the members of all messages and replies.
type clusterData struct {
	RequestID looseString     `json:"requestId"`
	Opts      *wireOptions    `json:"opts"`
	Packet    json.RawMessage `json:"packet"`
	Rooms     []looseString   `json:"rooms"`
	Close     any             `json:"close"`
	Sockets   []wireSocket    `json:"sockets"`
	Clients   int             `json:"clientCount"`
	Trace     wireTrace       `json:"traceparent"`
}

// frame decodes the data of a message or a reply of the given type.
func (d *clusterData) frame(uid, namespace string, kind int, attachments [][]byte) (*frame, error) {
	f := &frame{uid: uid, requestID: string(d.RequestID)}
	switch kind {
	case clusterFetchReply:
		f.reply = fetchedReply(d.Sockets)
		return f, nil
	case clusterServerSideReply, clusterBroadcastAck:
		f.reply = answeredReply(d.Packet, attachments)
		return f, nil
	case clusterBroadcastCount:
		f.reply = &adapter.Reply{Kind: adapter.Counted, Clients: max(d.Clients, 0)}
		return f, nil
	}
	m := &adapter.Message{Namespace: namespace, Trace: string(d.Trace)}
	f.message = m
	switch kind {
	case clusterBroadcast:
		m.Kind = adapter.Broadcast
		var p *wirePacket
		if err := unmarshalOptional(d.Packet, &p); err != nil {
			return nil, err
		}
		if p != nil && p.NSP == nil { // Node's adapters forward the packet before they set its namespace
			p.NSP = &namespace
		}
		if err := p.setPayload(m, attachments); err != nil {
			return nil, err
		}
	case clusterJoin:
		m.Kind, m.Targets = adapter.Join, toStrings(d.Rooms)
	case clusterLeave:
		m.Kind, m.Targets = adapter.Leave, toStrings(d.Rooms)
	case clusterDisconnect:
		m.Kind, m.Close = adapter.Disconnect, d.Close == true
	case clusterFetch:
		m.Kind = adapter.Fetch
	case clusterServerSide:
		m.Kind, m.Payload = adapter.ServerSide, adapter.Payload{JSON: d.Packet, Attachments: attachments}
		return f, nil
	default:
		return nil, fmt.Errorf("%w: message type %d", errMalformed, kind)
	}
	return f, d.Opts.apply(m)
}
