package redisadapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// errMalformed is the error for data from Redis that does not follow the wire format.
var errMalformed = errors.New("redisadapter: malformed message")

// frame is one decoded wire value: a message or a reply.
type frame struct {
	uid       string // of the sending node; "emitter"; or "" if the format does not say
	requestID string // "" for a message without replies
	message   *adapter.Message
	reply     *adapter.Reply
	entry     bool // it arrived in a stream, so a reply goes there too

	// The fields below are used by the classic format only.
	idsOnly bool   // the request wants only the IDs of the sockets
	sid     string // the socket of an older server's request, which expects a confirmation
	raw     []byte // a response whose kind depends on its request
}

// decode returns a wire value as JSON, with its attachments beside it. All formats
// contain either JSON, which starts with a brace, or MessagePack, which never does.
func decode(data []byte) (text []byte, attachments [][]byte, err error) {
	if len(data) > 0 && data[0] == '{' {
		if !json.Valid(data) {
			return nil, nil, errMalformed
		}
		return data, nil, nil
	}
	text, attachments, err = msgpack.JSON(data, msgpack.Limits{})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return text, attachments, nil
}

// encode returns a wire value: JSON, or MessagePack if there are attachments.
func encode(text []byte, attachments [][]byte) ([]byte, error) {
	if len(attachments) == 0 {
		return text, nil
	}
	return msgpack.Append(nil, text, attachments)
}

// unmarshal decodes JSON of another program. Its errors wrap errMalformed.
func unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// unmarshalOptional is unmarshal for a JSON member that may be missing.
func unmarshalOptional(text json.RawMessage, v any) error {
	if len(text) == 0 {
		return nil
	}
	return unmarshal(text, v)
}

// looseString is a room or an ID. JavaScript programs may write it as a number.
type looseString string

func (n *looseString) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(n))
	}
	var num json.Number
	if err := json.Unmarshal(text, &num); err != nil {
		return err
	}
	*n = looseString(num)
	return nil
}

// toStrings converts names to strings. It keeps nil.
func toStrings(names []looseString) []string {
	if names == nil {
		return nil
	}
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return all
}

// wireOptions select the sockets that a message addresses. Missing options are nil and
// must be refused: they would address all sockets.
type wireOptions struct {
	Rooms  []looseString `json:"rooms"`
	Except []looseString `json:"except"`
	Flags  *struct {
		Volatile any `json:"volatile"`
		Compress any `json:"compress"`
		Timeout  any `json:"timeout"`
	} `json:"flags"`
	Trace wireTrace `json:"traceparent"` // of a classic broadcast
}

// apply sets the address and the flags of m.
func (o *wireOptions) apply(m *adapter.Message) error {
	if o == nil {
		return fmt.Errorf("%w: no options", errMalformed)
	}
	m.Rooms, m.Except = toStrings(o.Rooms), toStrings(o.Except)
	if o.Trace != "" {
		m.Trace = string(o.Trace)
	}
	if o.Flags == nil {
		return nil
	}
	m.Volatile = o.Flags.Volatile == true
	m.NoCompress = o.Flags.Compress == false
	if ms, ok := o.Flags.Timeout.(float64); ok && ms > 0 {
		m.Timeout = time.Duration(min(ms, 1e9)) * time.Millisecond
	}
	return nil
}

// appendOptions appends the address of a message and, with flags, its flags.
func appendOptions(dst []byte, m *adapter.Message, flags bool) []byte {
	dst = appendNames(append(dst, `{"rooms":`...), m.Rooms)
	dst = appendNames(append(dst, `,"except":`...), m.Except)
	if flags {
		dst = append(dst, `,"flags":{`...)
		n := len(dst)
		if m.Volatile {
			dst = append(dst, `"volatile":true,`...)
		}
		if m.NoCompress {
			dst = append(dst, `"compress":false,`...)
		}
		if m.Timeout > 0 {
			dst = fmt.Appendf(dst, `"timeout":%d,`, max(m.Timeout.Milliseconds(), 1))
		}
		if len(dst) > n {
			dst = dst[:len(dst)-1]
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendNames(dst []byte, names []string) []byte {
	dst = append(dst, '[')
	for i, n := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, n)
	}
	return append(dst, ']')
}

// appendText appends a JSON string.
func appendText(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // unreachable: every string can be encoded
	}
	return append(dst, text...)
}

// wirePacket is an event in the form in which Node's servers forward it.
type wirePacket struct {
	Type json.RawMessage `json:"type"`
	Data json.RawMessage `json:"data"`
	NSP  *string         `json:"nsp"`
}

// setPayload sets the payload of m. It accepts the packet types of an event (2) and of a
// binary event (5), which older emitters write.
func (p *wirePacket) setPayload(m *adapter.Message, attachments [][]byte) error {
	switch {
	case p == nil || string(p.Type) != "2" && string(p.Type) != "5" || len(p.Data) == 0 || p.Data[0] != '[':
		return fmt.Errorf("%w: packet is not an event", errMalformed)
	case p.NSP == nil && m.Namespace != "/", p.NSP != nil && *p.NSP != m.Namespace:
		return fmt.Errorf("%w: packet of another namespace", errMalformed)
	}
	m.Payload = adapter.Payload{JSON: p.Data, Attachments: attachments}
	return nil
}

func appendPacket(dst []byte, m *adapter.Message) []byte {
	dst = append(append(dst, `{"type":2,"data":`...), m.Payload.JSON...)
	return append(appendText(append(dst, `,"nsp":`...), m.Namespace), '}')
}

// appendSockets appends the descriptions of sockets.
func appendSockets(dst []byte, sockets []adapter.Socket) []byte {
	dst = append(dst, '[')
	for i, s := range sockets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"id":`...), s.ID)
		dst = append(append(dst, `,"handshake":`...), orEmptyObject(s.Handshake)...)
		dst = appendNames(append(dst, `,"rooms":`...), s.Rooms)
		dst = append(append(dst, `,"data":`...), orEmptyObject(s.Data)...)
		if s.User != "" {
			dst = appendText(append(dst, `,"user":`...), s.User) // not in Node's format, which ignores it
		}
		if s.Session != "" {
			dst = appendText(append(dst, `,"session":`...), s.Session)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// orEmptyObject returns text, or an empty JSON object if there is none.
func orEmptyObject(text []byte) []byte {
	if len(text) == 0 {
		return []byte("{}")
	}
	return text
}

// wireSocket is a server's description of one of its sockets.
type wireSocket struct {
	ID        looseString     `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     []looseString   `json:"rooms"`
	Data      json.RawMessage `json:"data"`
	User      any             `json:"user"` // a string, unless another program has a member of this name
	Session   any             `json:"session"`
}

// fetchedReply returns the reply to a Fetch.
func fetchedReply(sockets []wireSocket) *adapter.Reply {
	r := &adapter.Reply{Kind: adapter.Fetched}
	for _, s := range sockets {
		user, _ := s.User.(string)
		session, _ := s.Session.(string)
		r.Sockets = append(r.Sockets, adapter.Socket{ID: string(s.ID), Rooms: toStrings(s.Rooms), Handshake: s.Handshake, Data: s.Data, User: user, Session: session})
	}
	return r
}

// firstElement returns the first element of a payload's array, or nil if it is empty.
// Node's servers forward only the first argument of an answer.
func firstElement(p adapter.Payload) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(p.JSON))
	var v json.RawMessage
	if _, err := d.Token(); err != nil || !d.More() || d.Decode(&v) != nil {
		return nil
	}
	return v
}

// appendAnswer appends a JSON member with the first argument of an answer. It appends
// nothing if the answer has no arguments.
func appendAnswer(dst []byte, member string, p adapter.Payload) (text []byte, attachments [][]byte) {
	v := firstElement(p)
	if v == nil {
		return dst, nil
	}
	return append(append(append(append(dst, `,"`...), member...), `":`...), v...), p.Attachments
}

// answeredReply returns an answer with the argument v, or without arguments if v is
// missing.
func answeredReply(v json.RawMessage, attachments [][]byte) *adapter.Reply {
	p := adapter.Payload{JSON: []byte("[]")}
	if len(v) > 0 {
		p.JSON = append(append([]byte{'['}, v...), ']')
		p.Attachments = attachments
	}
	return &adapter.Reply{Kind: adapter.Answered, Payload: p}
}
