package socketbridge

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// Repeats bounds what Idempotent remembers of the events that it handled.
type Repeats struct {
	// Window is how long the events of a session are remembered after its last one. A
	// session that was never stored, and a socket without a session, are remembered for 10
	// minutes at most; a socket that can be recovered, for Recovery.Window longer. At least 1
	// minute.
	//
	// Optional. Default: 24 * time.Hour
	Window time.Duration

	// Storage keeps the records. Nodes that share it recognise each other's events. The
	// server does not close it.
	//
	// Optional. Default: nil, the storage of Sessions, or without Sessions the memory of this node (at most 32 MiB)
	Storage storage.Storage
}

// Codes of the errors with which Idempotent answers an event. For all of them, the event
// was not handled by this attempt.
const (
	CodeOffsetInvalid = "offset_invalid" // the event has no offset, or one that is neither a string nor a number
	CodeOffsetReused  = "offset_reused"  // another event, or other arguments, had the same offset
	CodeOffsetExpired = "offset_expired" // the event was handled before, or may have been; its answer is not kept
)

// maxOffset limits the bytes of an offset that is a string.
const maxOffset = 128

// OffsetFunc returns the offset of an event as raw JSON. It returns nil for an event that
// has none; Idempotent then handles the event each time it arrives.
type OffsetFunc func(p *Packet) json.RawMessage

// OffsetField returns an OffsetFunc for events whose last argument is an object with the
// offset in one of its fields. Events without the field have no offset, so it suits
// Socket.Use.
func OffsetField(name string) OffsetFunc {
	return func(p *Packet) json.RawMessage {
		var object map[string]json.RawMessage
		if raw := lastArg(p); len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &object) != nil {
			return nil
		}
		return object[name]
	}
}

// lastArg returns the last argument of an event. It returns null if there is none.
func lastArg(p *Packet) json.RawMessage {
	args := p.Args()
	if len(args) == 0 {
		return json.RawMessage("null")
	}
	return args[len(args)-1]
}

// Idempotent returns a packet middleware for clients that repeat an event until it is
// answered, such as the official client with its options retries and ackTimeout. An event
// is handled once: a repeat gets the first one's answer, on the same connection, after a
// reconnect, and on every node that shares Config.Repeats.Storage. A repeat that arrives
// while the event is still being handled waits for it, up to Config.Timeouts.Ack.
//
//	io.On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error { … })
//
// Use it in a chain or with Socket.Use. Chains of the same event without it run for repeats
// too.
//
// The client names each event with an offset, which it must repeat. By default it is the
// event's last argument, and an event without one is refused. An OffsetFunc finds it
// elsewhere. An offset is one of:
//
//   - A string of 1 to 128 bytes that is unique in the session. It should end in a counter
//     that grows: `${socket.id}-${counter++}`. The text before the counter names a sequence.
//     128 sequences of a session are remembered, and the last 64 numbers of each; an event
//     that is older than those 64 is refused with CodeOffsetExpired.
//   - A whole number that grows with each event of the socket. It is only sufficient
//     together with Config.Recovery, which keeps the socket's identity across reconnects.
//
// Without a shared session, offsets of both kinds belong to the socket.
//
// The answer is recorded after the session was saved, and sent after that. Kept are the
// answers to the last 64 events of a session and the last 8 of a sequence, of up to 16 KiB
// each and 32 KiB together; a repeat of an event whose answer is no longer kept is refused
// with CodeOffsetExpired. A repeat with other arguments is refused with CodeOffsetReused.
// Errors are kept like other answers, except those that invite another attempt:
// CodeSessionUnavailable and CodeTooMany.
//
// If a node fails while it handles an event, it is not known how far it came. A minute
// later, repeats are answered with CodeUnknownOutcome. No event is handled twice.
func Idempotent(offset ...OffsetFunc) Handler {
	offsetOf := OffsetFunc(lastArg)
	if len(offset) > 0 {
		offsetOf = offset[0]
	}
	return func(p *Packet) error {
		switch {
		case p.repeated:
			return nil
		case p.claim != nil:
			return p.Next() // another Idempotent has claimed the event
		}
		raw := offsetOf(p)
		if raw == nil {
			return p.Next()
		}
		o, ok := parseOffset(raw)
		if !ok {
			return &EventError{Code: CodeOffsetInvalid, Message: "the event needs an offset: a string of 1 to 128 bytes, or a whole number"}
		}
		if run, err := p.claimEvent(o); err != nil || !run {
			return err
		}
		return p.Next()
	}
}

// offset is the position of an event in a sequence of its client.
type offset struct {
	sequence string // the string before the counter; "" for a number
	number   uint64
	isNumber bool // the offset belongs to the socket
}

// parseOffset decodes an offset. A string without a counter is a sequence of its own.
func parseOffset(raw json.RawMessage) (offset, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		n, ok := parseCounter(string(raw))
		return offset{number: n, isNumber: true}, ok
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || text == "" || len(text) > maxOffset {
		return offset{}, false
	}
	at := len(text)
	for at > 0 && isDigit(text[at-1]) {
		at--
	}
	// Without a separator, digits may be a part of a random name.
	if n, ok := parseCounter(text[at:]); ok && at > 1 && !isAlphanumeric(text[at-1]) {
		return offset{sequence: text[:at], number: n}, true
	}
	return offset{sequence: text + "\x00"}, true
}

// parseCounter decodes a decimal number that every client can hold exactly. A number has
// only one form: "07" is none.
func parseCounter(text string) (uint64, bool) {
	if text == "" || len(text) > 15 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for i := range len(text) {
		if !isDigit(text[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
