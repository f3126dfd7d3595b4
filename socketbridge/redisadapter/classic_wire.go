package redisadapter

import (
	"encoding/json"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// The request types of the classic format.
const (
	classicSockets = iota
	classicAllRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicServerSide
	classicBroadcast
	classicClientCount
	classicAck
)

// classic is the format of createAdapter, with the names of its channels.
type classic struct {
	key    string
	shared bool // replies go to the channel that all hear
}

func (c classic) broadcasts(namespace string) string { return c.key + "#" + namespace + "#" }
func (c classic) requests(namespace string) string   { return c.key + "-request#" + namespace + "#" }
func (c classic) replies(namespace string) string    { return c.key + "-response#" + namespace + "#" }

func (c classic) repliesTo(namespace, uid string) string { return c.replies(namespace) + uid + "#" }

// request is everything that a request or a reply may hold.
type classicRequest struct {
	UID       name            `json:"uid"`
	RequestID name            `json:"requestId"`
	Type      *int            `json:"type"`
	Opts      *options        `json:"opts"`
	Rooms     json.RawMessage `json:"rooms"`
	Room      json.RawMessage `json:"room"`
	Sid       name            `json:"sid"`
	Close     any             `json:"close"`
	Data      json.RawMessage `json:"data"`
	Packet    json.RawMessage `json:"packet"`

	ClientCount int             `json:"clientCount"`
	Sockets     json.RawMessage `json:"sockets"`
}

// message writes what m is on the wire.
func (c classic) message(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error) {
	if m.Kind == adapter.Broadcast && requestID == "" {
		channel = c.broadcasts(m.Namespace)
		if len(m.Rooms) == 1 {
			channel += m.Rooms[0] + "#"
		}
		text := appendText([]byte{'['}, uid)
		text = appendPacket(append(text, ','), m)
		text = append(appendOptions(append(text, ','), m, true), ']')
		data, err = msgpack.Append(nil, text, m.Payload.Attachments)
		return channel, data, err
	}
	text := appendText([]byte(`{"uid":`), uid)
	if requestID != "" {
		text = appendText(append(text, `,"requestId":`...), requestID)
	}
	text = append(text, `,"type":`...)
	switch m.Kind {
	case adapter.Broadcast:
		text = append(fmt.Appendf(text, `%d,"packet":`, classicBroadcast), appendPacket(nil, m)...)
		text = append(appendOptions(append(text, `,"opts":`...), m, true), '}')
		data, err = msgpack.Append(nil, text, m.Payload.Attachments)
		return c.requests(m.Namespace), data, err
	case adapter.Join:
		text = appendOptions(fmt.Appendf(text, `%d,"opts":`, classicJoin), m, false)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Leave:
		text = appendOptions(fmt.Appendf(text, `%d,"opts":`, classicLeave), m, false)
		text = appendNames(append(text, `,"rooms":`...), m.Targets)
	case adapter.Disconnect:
		text = appendOptions(fmt.Appendf(text, `%d,"opts":`, classicDisconnect), m, false)
		text = fmt.Appendf(text, `,"close":%t`, m.Close)
	case adapter.Fetch:
		text = appendOptions(fmt.Appendf(text, `%d,"opts":`, classicFetch), m, false)
	case adapter.ListRooms:
		text = fmt.Append(text, classicAllRooms)
	case adapter.ServerSide:
		text = append(fmt.Appendf(text, `%d,"data":`, classicServerSide), m.Payload.JSON...)
	default:
		return "", nil, fmt.Errorf("%w: kind %d", errWire, m.Kind)
	}
	data, err = pack(append(text, '}'), m.Payload.Attachments)
	return c.requests(m.Namespace), data, err
}

// reply writes a reply to the question f.
func (c classic) reply(f *frame, r *adapter.Reply) (channel string, data []byte, err error) {
	channel = c.replies(f.message.Namespace)
	if !c.shared && f.uid != "" {
		channel = c.repliesTo(f.message.Namespace, f.uid)
	}
	text := appendText([]byte(`{"requestId":`), f.requestID)
	var attachments [][]byte
	switch {
	case r.Kind == adapter.Counted:
		text = fmt.Appendf(text, `,"type":%d,"clientCount":%d`, classicClientCount, r.Clients)
	case r.Kind == adapter.Answered && f.message.Kind == adapter.Broadcast:
		text = fmt.Appendf(text, `,"type":%d`, classicAck)
		text, attachments = appendAnswer(text, "packet", r.Payload)
		data, err = msgpack.Append(nil, append(text, '}'), attachments)
		return channel, data, err
	case r.Kind == adapter.Answered:
		text = fmt.Appendf(text, `,"type":%d`, classicServerSide)
		text, attachments = appendAnswer(text, "data", r.Payload)
	case r.Kind == adapter.Fetched && f.idsOnly:
		ids := make([]string, len(r.Sockets))
		for i, s := range r.Sockets {
			ids[i] = s.ID
		}
		text = appendNames(append(text, `,"sockets":`...), ids)
	case r.Kind == adapter.Fetched:
		text = appendSockets(append(text, `,"sockets":`...), r.Sockets)
	case r.Kind == adapter.Listed:
		text = appendNames(append(text, `,"rooms":`...), r.Rooms)
	}
	data, err = pack(append(text, '}'), attachments)
	return channel, data, err
}

// done is the reply to a request of an older version for one socket.
func (c classic) done(f *frame) (channel string, data []byte) {
	return c.replies(f.message.Namespace), append(appendText([]byte(`{"requestId":`), f.requestID), '}')
}

// readBroadcast reads what came on a channel of broadcasts.
func (c classic) readBroadcast(namespace string, data []byte) (*frame, error) {
	text, attachments, err := msgpack.JSON(data, msgpack.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	var parts []json.RawMessage
	if err := unmarshal(text, &parts); err != nil {
		return nil, err
	}
	if len(parts) < 3 {
		return nil, fmt.Errorf("%w: broadcast of %d parts", errWire, len(parts))
	}
	var (
		uid  name
		p    *packet
		opts *options
	)
	for i, v := range []any{&uid, &p, &opts} {
		if err := unmarshal(parts[i], v); err != nil {
			return nil, err
		}
	}
	f := &frame{uid: string(uid), message: &adapter.Message{Kind: adapter.Broadcast, Namespace: namespace}}
	if err := opts.address(f.message); err != nil {
		return nil, err
	}
	return f, p.event(f.message, attachments)
}

// readRequest reads what came on a channel of requests.
func (c classic) readRequest(namespace string, data []byte) (*frame, error) {
	text, attachments, err := parse(data)
	if err != nil {
		return nil, err
	}
	var r classicRequest
	if err := unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Type == nil {
		return nil, fmt.Errorf("%w: request without type", errWire)
	}
	m := &adapter.Message{Namespace: namespace}
	f := &frame{uid: string(r.UID), requestID: string(r.RequestID), message: m}
	switch *r.Type {
	case classicSockets:
		m.Kind, f.idsOnly = adapter.Fetch, true
		return f, optional(r.Rooms, &m.Rooms)
	case classicAllRooms:
		m.Kind = adapter.ListRooms
		return f, nil
	case classicJoin, classicLeave, classicDisconnect:
		m.Kind = map[int]adapter.Kind{classicJoin: adapter.Join, classicLeave: adapter.Leave, classicDisconnect: adapter.Disconnect}[*r.Type]
		m.Close = r.Close == true
		return f, r.target(f)
	case classicFetch:
		m.Kind = adapter.Fetch
		return f, r.Opts.address(m)
	case classicServerSide:
		m.Kind = adapter.ServerSide
		m.Payload = adapter.Payload{JSON: r.Data, Attachments: attachments}
		return f, nil
	case classicBroadcast:
		m.Kind = adapter.Broadcast
		if err := r.Opts.address(m); err != nil {
			return nil, err
		}
		var p *packet
		if err := optional(r.Packet, &p); err != nil {
			return nil, err
		}
		return f, p.event(m, attachments)
	default:
		return nil, fmt.Errorf("%w: request type %d", errWire, *r.Type)
	}
}

// target reads whom a Join, Leave or Disconnect is for: sockets by an address or, in
// older versions, one by its ID.
func (r *classicRequest) target(f *frame) error {
	if r.Opts != nil {
		var rooms []name
		err := optional(r.Rooms, &rooms)
		f.message.Targets = texts(rooms)
		f.requestID = "" // nobody waits
		if err != nil {
			return err
		}
		return r.Opts.address(f.message)
	}
	if r.Sid == "" {
		return fmt.Errorf("%w: request for nobody", errWire)
	}
	var room name
	if err := optional(r.Room, &room); err != nil {
		return err
	}
	f.sid, f.message.Rooms = string(r.Sid), []string{string(r.Sid)}
	if f.message.Kind != adapter.Disconnect {
		f.message.Targets = []string{string(room)}
	}
	return nil
}

// optional reads a member that may be missing.
func optional(text json.RawMessage, v any) error {
	if len(text) == 0 {
		return nil
	}
	return unmarshal(text, v)
}

// readReply reads what came on a channel of replies. Most replies do not say what
// they are: see answerTo.
func (c classic) readReply(data []byte) (*frame, error) {
	text, attachments, err := parse(data)
	if err != nil {
		return nil, err
	}
	var r classicRequest
	if err := unmarshal(text, &r); err != nil {
		return nil, err
	}
	f := &frame{requestID: string(r.RequestID)}
	switch {
	case r.Type == nil:
		f.raw = text
	case *r.Type == classicClientCount:
		f.reply = &adapter.Reply{Kind: adapter.Counted, Clients: max(r.ClientCount, 0)}
	case *r.Type == classicAck:
		f.reply = answered(r.Packet, attachments)
	case *r.Type == classicServerSide:
		f.reply = answered(r.Data, attachments)
	default:
		f.raw = text
	}
	return f, nil
}

// answerTo reads a reply that does not say what it is, to a question of kind k. Where
// it holds nothing that can be used, the node has replied all the same.
func (f *frame) answerTo(k adapter.Kind) *adapter.Reply {
	if f.reply != nil {
		return f.reply
	}
	switch k {
	case adapter.Fetch:
		var r struct {
			Sockets []socket `json:"sockets"`
		}
		_ = json.Unmarshal(f.raw, &r)
		return described(r.Sockets)
	case adapter.ListRooms:
		var r struct {
			Rooms []name `json:"rooms"`
		}
		_ = json.Unmarshal(f.raw, &r)
		return &adapter.Reply{Kind: adapter.Listed, Rooms: texts(r.Rooms)}
	default:
		return nil
	}
}
