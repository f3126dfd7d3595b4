package socketbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// encode encodes a packet as one text message and its attachments. They share no memory
// with args.
func encode(t siopacket.Type, namespace string, id uint64, hasID bool, args ...any) ([]transport.Message, error) {
	text, binary, err := siopacket.Append(nil, siopacket.Header{Type: t, Namespace: namespace, ID: id, HasID: hasID}, args...)
	if err != nil {
		return nil, err
	}
	for i, b := range binary {
		binary[i] = bytes.Clone(b)
	}
	return messages(text, binary), nil
}

// encodeEvent encodes an event. It returns ErrReservedEvent for a name that is reserved
// by the protocol.
func encodeEvent(namespace, event string, id uint64, hasID bool, args []any) ([]transport.Message, error) {
	if siopacket.Reserved(event) {
		return nil, ErrReservedEvent
	}
	all := make([]any, 0, len(args)+1)
	msgs, err := encode(siopacket.Event, namespace, id, hasID, append(append(all, event), args...)...)
	if err != nil {
		return nil, encodeError("event", event, err)
	}
	return msgs, nil
}

// encodeError names the event that cannot be sent or answered, and what to change.
func encodeError(what, event string, err error) error {
	return fmt.Errorf("socketbridge: %s %q was not sent: %w%s", what, event, err, encodeHint(err))
}

func encodeHint(err error) string {
	var (
		method *json.MarshalerError
		value  *json.UnsupportedValueError
		kind   *json.UnsupportedTypeError
	)
	switch {
	case errors.As(err, &method):
		return " (the method must return JSON for every value that is sent)"
	case errors.As(err, &value):
		return " (JSON has no NaN, infinity or cycle: send another value, such as nil)"
	case errors.As(err, &kind):
		return " (JSON has no channels, functions or complex numbers: send another type, or give it a MarshalJSON method)"
	}
	return ""
}

func messages(text []byte, binary [][]byte) []transport.Message {
	msgs := make([]transport.Message, 0, 1+len(binary))
	msgs = append(msgs, transport.Message{Data: text})
	for _, b := range binary {
		msgs = append(msgs, transport.Message{Binary: true, Data: b})
	}
	return msgs
}
