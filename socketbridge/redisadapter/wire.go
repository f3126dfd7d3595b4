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

// errWire says that bytes from Redis are no message of the format.
var errWire = errors.New("redisadapter: malformed message")

// frame is one thing on the wire: a message, or a reply.
type frame struct {
	uid       string // of the node that sent it; "emitter", or "" when it says nothing
	requestID string // "" for a message that nobody answers
	message   *adapter.Message
	reply     *adapter.Reply

	// What only the classic format has.
	idsOnly bool   // of a question: only the IDs of the sockets are wanted
	sid     string // of an older request for one socket, which wants a plain "done"
	raw     []byte // a reply whose kind depends on the question
}

// parse returns a wire value as JSON, with its attachments beside it. Both formats
// write JSON, which begins with a brace, or MessagePack, which never does.
func parse(data []byte) (text []byte, attachments [][]byte, err error) {
	if len(data) > 0 && data[0] == '{' {
		if !json.Valid(data) {
			return nil, nil, errWire
		}
		return data, nil, nil
	}
	text, attachments, err = msgpack.JSON(data, msgpack.Limits{})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errWire, err)
	}
	return text, attachments, nil
}

// unmarshal reads JSON whose form another program decides.
func unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %w", errWire, err)
	}
	return nil
}

// pack writes JSON as it is, or as MessagePack when it has attachments.
func pack(text []byte, attachments [][]byte) ([]byte, error) {
	if len(attachments) == 0 {
		return text, nil
	}
	return msgpack.Append(nil, text, attachments)
}

// name is a room or an ID, for which JavaScript takes numbers too.
type name string

func (n *name) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(n))
	}
	var num json.Number
	if err := json.Unmarshal(text, &num); err != nil {
		return err
	}
	*n = name(num)
	return nil
}

func texts(names []name) []string {
	if names == nil {
		return nil
	}
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return all
}

// options address sockets. They are nil when they are missing, which must not be
// taken for everybody.
type options struct {
	Rooms  []name `json:"rooms"`
	Except []name `json:"except"`
	Flags  *struct {
		Volatile any `json:"volatile"`
		Compress any `json:"compress"`
		Timeout  any `json:"timeout"`
	} `json:"flags"`
}

func (o *options) address(m *adapter.Message) error {
	if o == nil {
		return fmt.Errorf("%w: no options", errWire)
	}
	m.Rooms, m.Except = texts(o.Rooms), texts(o.Except)
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

// appendOptions writes the address and flags of a message.
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

// appendText writes a JSON string.
func appendText(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(dst, `""`...) // a string can always be encoded
	}
	return append(dst, text...)
}

// packet is an event as Node's servers pass it on.
type packet struct {
	Type json.RawMessage `json:"type"`
	Data json.RawMessage `json:"data"`
	NSP  *string         `json:"nsp"`
}

// event takes the packet's payload into m. The types are those of an event and of a
// binary event, which older emitters write.
func (p *packet) event(m *adapter.Message, attachments [][]byte) error {
	switch {
	case p == nil || string(p.Type) != "2" && string(p.Type) != "5" || len(p.Data) == 0 || p.Data[0] != '[':
		return fmt.Errorf("%w: packet that is no event", errWire)
	case p.NSP == nil && m.Namespace != "/", p.NSP != nil && *p.NSP != m.Namespace:
		return fmt.Errorf("%w: packet of another namespace", errWire)
	}
	m.Payload = adapter.Payload{JSON: p.Data, Attachments: attachments}
	return nil
}

func appendPacket(dst []byte, m *adapter.Message) []byte {
	dst = append(append(dst, `{"type":2,"data":`...), m.Payload.JSON...)
	return append(appendText(append(dst, `,"nsp":`...), m.Namespace), '}')
}

// appendSockets writes descriptions of sockets.
func appendSockets(dst []byte, sockets []adapter.Socket) []byte {
	dst = append(dst, '[')
	for i, s := range sockets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"id":`...), s.ID)
		dst = append(append(dst, `,"handshake":`...), object(s.Handshake)...)
		dst = appendNames(append(dst, `,"rooms":`...), s.Rooms)
		dst = append(append(append(dst, `,"data":`...), object(s.Data)...), '}')
	}
	return append(dst, ']')
}

func object(text []byte) []byte {
	if len(text) == 0 {
		return []byte("{}")
	}
	return text
}

// socket is what Node's servers say of theirs.
type socket struct {
	ID        name            `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     []name          `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

func described(sockets []socket) *adapter.Reply {
	r := &adapter.Reply{Kind: adapter.Fetched}
	for _, s := range sockets {
		r.Sockets = append(r.Sockets, adapter.Socket{ID: string(s.ID), Rooms: texts(s.Rooms), Handshake: s.Handshake, Data: s.Data})
	}
	return r
}

// first is the first element of a payload's array, or nil. Node's servers pass on one
// argument of an answer.
func first(p adapter.Payload) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(p.JSON))
	var v json.RawMessage
	if _, err := d.Token(); err != nil || !d.More() || d.Decode(&v) != nil {
		return nil
	}
	return v
}

// appendAnswer writes a member of that name with the first argument, unless there is
// none.
func appendAnswer(dst []byte, member string, p adapter.Payload) (text []byte, attachments [][]byte) {
	v := first(p)
	if v == nil {
		return dst, nil
	}
	return append(append(append(append(dst, `,"`...), member...), `":`...), v...), p.Attachments
}

// answered is an answer of one argument or, when that is missing, of none.
func answered(v json.RawMessage, attachments [][]byte) *adapter.Reply {
	p := adapter.Payload{JSON: []byte("[]")}
	if len(v) > 0 {
		p.JSON = append(append([]byte{'['}, v...), ']')
		p.Attachments = attachments
	}
	return &adapter.Reply{Kind: adapter.Answered, Payload: p}
}
