package redisadapter

import (
	"encoding/json"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// maxTrace is the maximum number of bytes of adapter.Message.Trace. A longer one is not sent, and
// ignored when it arrives.
const maxTrace = 128

// The member "traceparent" is not in Node's formats. It is in an object of which Node's servers
// read the members that they know: the options of a classic broadcast, a classic request, and
// the data of a cluster message. A message without a trace context has no such member.

// appendTrace appends the trace context of a message as a further member of a JSON object.
func appendTrace(dst []byte, m *adapter.Message) []byte {
	if m.Trace == "" || len(m.Trace) > maxTrace {
		return dst
	}
	return appendText(append(dst, `,"traceparent":`...), m.Trace)
}

// wireTrace is the trace context of a message of another program. A value that cannot be one is
// ignored, because the message is valid without it.
type wireTrace string

func (t *wireTrace) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil && len(s) <= maxTrace {
		*t = wireTrace(s)
	}
	return nil
}
