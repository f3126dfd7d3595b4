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

// classicFormat is the format of createAdapter: its channel names, broadcasts, requests
// and responses.
type classicFormat struct {
	key             string
	sharedResponses bool // see Config.SharedResponses
}

func (c classicFormat) broadcastChannel(namespace string) string {
	return c.key + "#" + namespace + "#"
}

func (c classicFormat) requestChannel(namespace string) string {
	return c.key + "-request#" + namespace + "#"
}

func (c classicFormat) responseChannel(namespace string) string {
	return c.key + "-response#" + namespace + "#"
}

// nodeResponseChannel is the channel for responses to node uid alone.
func (c classicFormat) nodeResponseChannel(namespace, uid string) string {
	return c.responseChannel(namespace) + uid + "#"
}

// classicRequest has the members of all requests and responses.
type classicRequest struct {
	UID       looseString     `json:"uid"`
	RequestID looseString     `json:"requestId"`
	Type      *int            `json:"type"`
	Opts      *wireOptions    `json:"opts"`
	Rooms     json.RawMessage `json:"rooms"`
	Room      json.RawMessage `json:"room"`
	Sid       looseString     `json:"sid"`
	Close     any             `json:"close"`
	Data      json.RawMessage `json:"data"`
	Packet    json.RawMessage `json:"packet"`

	ClientCount int             `json:"clientCount"`
	Sockets     json.RawMessage `json:"sockets"`
	Trace       wireTrace       `json:"traceparent"`
}

// encodeMessage encodes a message and returns the channel on which to publish it.
func (c classicFormat) encodeMessage(m *adapter.Message, uid, requestID string) (channel string, data []byte, err error) {
	if m.Kind == adapter.Broadcast && requestID == "" {
		channel = c.broadcastChannel(m.Namespace)
		if len(m.Rooms) == 1 {
			channel += m.Rooms[0] + "#"
		}
		text := appendText([]byte{'['}, uid)
		text = appendPacket(append(text, ','), m)
		text = appendOptions(append(text, ','), m, true)
		text = append(appendTrace(text[:len(text)-1], m), "}]"...)
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
		text = append(appendTrace(appendOptions(append(text, `,"opts":`...), m, true), m), '}')
		data, err = msgpack.Append(nil, text, m.Payload.Attachments)
		return c.requestChannel(m.Namespace), data, err
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
		return "", nil, fmt.Errorf("%w: kind %d", errMalformed, m.Kind)
	}
	data, err = encode(append(appendTrace(text, m), '}'), m.Payload.Attachments)
	return c.requestChannel(m.Namespace), data, err
}

// encodeReply encodes a reply to the request f and returns the channel on which to publish
// it.
func (c classicFormat) encodeReply(f *frame, r *adapter.Reply) (channel string, data []byte, err error) {
	channel = c.responseChannel(f.message.Namespace)
	if !c.sharedResponses && f.uid != "" {
		channel = c.nodeResponseChannel(f.message.Namespace, f.uid)
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
	data, err = encode(append(text, '}'), attachments)
	return channel, data, err
}

// encodeConfirmation encodes the response to a request of an older server for one socket.
func (c classicFormat) encodeConfirmation(f *frame) (channel string, data []byte) {
	return c.responseChannel(f.message.Namespace), append(appendText([]byte(`{"requestId":`), f.requestID), '}')
}

// decodeBroadcast decodes what arrived on a broadcast channel.
func (c classicFormat) decodeBroadcast(namespace string, data []byte) (*frame, error) {
	text, attachments, err := msgpack.JSON(data, msgpack.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	var parts []json.RawMessage
	if err := unmarshal(text, &parts); err != nil {
		return nil, err
	}
	if len(parts) < 3 {
		return nil, fmt.Errorf("%w: broadcast has %d parts, want 3", errMalformed, len(parts))
	}
	var (
		uid  looseString
		p    *wirePacket
		opts *wireOptions
	)
	for i, v := range []any{&uid, &p, &opts} {
		if err := unmarshal(parts[i], v); err != nil {
			return nil, err
		}
	}
	f := &frame{uid: string(uid), message: &adapter.Message{Kind: adapter.Broadcast, Namespace: namespace}}
	if err := opts.apply(f.message); err != nil {
		return nil, err
	}
	return f, p.setPayload(f.message, attachments)
}

// decodeRequest decodes what arrived on a request channel.
func (c classicFormat) decodeRequest(namespace string, data []byte) (*frame, error) {
	text, attachments, err := decode(data)
	if err != nil {
		return nil, err
	}
	var r classicRequest
	if err := unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Type == nil {
		return nil, fmt.Errorf("%w: request has no type", errMalformed)
	}
	m := &adapter.Message{Namespace: namespace, Trace: string(r.Trace)}
	f := &frame{uid: string(r.UID), requestID: string(r.RequestID), message: m}
	switch *r.Type {
	case classicSockets:
		m.Kind, f.idsOnly = adapter.Fetch, true
		return f, unmarshalOptional(r.Rooms, &m.Rooms)
	case classicAllRooms:
		m.Kind = adapter.ListRooms
		return f, nil
	case classicJoin, classicLeave, classicDisconnect:
		m.Kind = map[int]adapter.Kind{classicJoin: adapter.Join, classicLeave: adapter.Leave, classicDisconnect: adapter.Disconnect}[*r.Type]
		m.Close = r.Close == true
		return f, r.setTarget(f)
	case classicFetch:
		m.Kind = adapter.Fetch
		return f, r.Opts.apply(m)
	case classicServerSide:
		m.Kind = adapter.ServerSide
		m.Payload = adapter.Payload{JSON: r.Data, Attachments: attachments}
		return f, nil
	case classicBroadcast:
		m.Kind = adapter.Broadcast
		if err := r.Opts.apply(m); err != nil {
			return nil, err
		}
		var p *wirePacket
		if err := unmarshalOptional(r.Packet, &p); err != nil {
			return nil, err
		}
		return f, p.setPayload(m, attachments)
	default:
		return nil, fmt.Errorf("%w: request has the unknown type %d", errMalformed, *r.Type)
	}
}

// setTarget sets the sockets that a Join, Leave or Disconnect addresses: those selected by
// options or, in older versions, one socket by its ID.
func (r *classicRequest) setTarget(f *frame) error {
	if r.Opts != nil {
		var rooms []looseString
		err := unmarshalOptional(r.Rooms, &rooms)
		f.message.Targets = toStrings(rooms)
		f.requestID = "" // the sender expects no reply
		if err != nil {
			return err
		}
		return r.Opts.apply(f.message)
	}
	if r.Sid == "" {
		return fmt.Errorf("%w: request without options and without a socket ID", errMalformed)
	}
	var room looseString
	if err := unmarshalOptional(r.Room, &room); err != nil {
		return err
	}
	f.sid, f.message.Rooms = string(r.Sid), []string{string(r.Sid)}
	if f.message.Kind != adapter.Disconnect {
		f.message.Targets = []string{string(room)}
	}
	return nil
}

// decodeResponse decodes what arrived on a response channel. Most responses do not contain
// their type: see replyTo.
func (c classicFormat) decodeResponse(data []byte) (*frame, error) {
	text, attachments, err := decode(data)
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
		f.reply = answeredReply(r.Packet, attachments)
	case *r.Type == classicServerSide:
		f.reply = answeredReply(r.Data, attachments)
	default:
		f.raw = text
	}
	return f, nil
}

// replyTo returns the reply to a request of kind k. If the response does not contain its
// type, it is decoded as a response to that kind. A response without usable content is
// still a reply, because its node is not going to send another one.
func (f *frame) replyTo(k adapter.Kind) *adapter.Reply {
	if f.reply != nil {
		return f.reply
	}
	switch k {
	case adapter.Fetch:
		var r struct {
			Sockets []wireSocket `json:"sockets"`
		}
		_ = json.Unmarshal(f.raw, &r)
		return fetchedReply(r.Sockets)
	case adapter.ListRooms:
		var r struct {
			Rooms []looseString `json:"rooms"`
		}
		_ = json.Unmarshal(f.raw, &r)
		return &adapter.Reply{Kind: adapter.Listed, Rooms: toStrings(r.Rooms)}
	default:
		return nil
	}
}
