package socketbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// Packet is one event of a client, as middlewares and handlers see it. Only the
// goroutine that runs them may use it, except for Ack, which can be called from any
// goroutine, also after the handler has returned. Packets are not reused, so a handler
// can keep one.
type Packet struct {
	socket   *Socket
	received time.Time
	event    string
	in       siopacket.Packet
	size     int // that eventQuota counts
	args     []json.RawMessage
	oneArg   [1]json.RawMessage // behind args, if there is only one: saves an allocation
	locals   map[string]any
	ctx      context.Context // of SetContext; nil for the socket's
	handling *handling       // of the trace; nil without hooks

	session   *fibersession.Handle
	split     bool                   // args is filled
	loaded    bool                   // the session was loaded for this packet
	freshness fibersession.Freshness // with which it was loaded
	stage     stage

	chain chain // what Next runs
	next  int

	ack      packetAck
	claim    *claim // of an event that Idempotent lets through
	repeated bool   // Idempotent answered the event, or refused it

	nextRunning *Packet // in inbox.running, and guarded by its lock, as looks is
	looks       uint8   // of the handlerWatch
}

// stage is the part of its way that a packet has reached.
type stage uint8

const (
	inMiddlewares stage = iota // Socket.Use
	inListeners                // OnAny and On
)

// Socket returns the socket that received the event.
func (p *Packet) Socket() *Socket { return p.socket }

// Context is canceled when the server disconnects the socket, or when the client has
// disconnected and all events it sent before were handled. Socket.Done is closed as soon
// as the client disconnects.
func (p *Packet) Context() context.Context {
	if p.ctx != nil {
		return p.ctx
	}
	return p.socket.Context()
}

// SetContext replaces the context for the middlewares and handlers of this packet that follow,
// and for the save of its session, which does not end with it. Derive ctx from Context, so
// that it ends with the socket.
func (p *Packet) SetContext(ctx context.Context) { p.ctx = ctx }

// Received returns when the event arrived. It may have waited for handlers since.
func (p *Packet) Received() time.Time { return p.received }

// Event returns the event's name.
func (p *Packet) Event() string { return p.event }

// Values returns the arguments as they came, each as a Value, to send them on with their
// binary data: Emit(event, p.Values()...).
func (p *Packet) Values() []any { return valuesOf(p.Args(), p.in.Attachments) }

// Attachments returns the binary data of the arguments. The placeholders in Args have its
// indices. It is empty if there is none, and then an object that looks like a placeholder is
// plain data. The caller may keep it, and must not modify it.
func (p *Packet) Attachments() [][]byte { return p.in.Attachments }

// Args returns the arguments as raw JSON. Binary data is represented by a placeholder
// object with "_placeholder":true and the index in Attachments as "num"; Bind and Values
// resolve it. The caller may keep the slice, and must not modify its elements.
func (p *Packet) Args() []json.RawMessage {
	if !p.split {
		first := p.oneArg[:0]
		if p.oneArg[0] != nil { // SetArgs was called, and the caller may have kept the slice
			first = nil
		}
		p.args = p.in.AppendArgs(first)
		p.split = true
	}
	return p.args
}

// Bind decodes the arguments, in order, into the values that ptrs point to. A nil
// pointer skips an argument; arguments beyond ptrs are ignored. Binary arguments are
// decoded into a []byte. Its errors are *ArgumentError: a handler that returns one answers
// the client with CodeBadArguments and the argument's position.
func (p *Packet) Bind(ptrs ...any) error {
	args := p.Args()
	if len(args) < len(ptrs) {
		return &ArgumentError{Event: p.event, Position: len(args), Err: ErrMissingArg}
	}
	for i, ptr := range ptrs {
		if ptr == nil {
			continue
		}
		if err := siopacket.Unmarshal(args[i], p.in.Attachments, ptr); err != nil {
			if invalid := (*json.InvalidUnmarshalError)(nil); errors.As(err, &invalid) {
				return fmt.Errorf("socketbridge: Bind of %q: pointer %d: %w", p.event, i, err) // a fault of the handler
			}
			return &ArgumentError{Event: p.event, Position: i, Err: err}
		}
	}
	return nil
}

// SetArgs replaces the arguments for the middlewares and handlers that follow. It
// returns an error if args cannot be encoded.
func (p *Packet) SetArgs(args ...any) error {
	text, attachments, err := siopacket.Append(nil, siopacket.Header{Type: siopacket.Event}, append([]any{p.event}, args...)...)
	if err != nil {
		return err
	}
	p.in.Data, p.in.Attachments = text[bytes.IndexByte(text, '['):], attachments
	p.args, p.split = nil, false
	return nil
}

// Local returns the value that SetLocal stored under key, or nil.
func (p *Packet) Local(key string) any { return p.locals[key] }

// SetLocal stores a value for the middlewares and handlers of this packet that follow.
func (p *Packet) SetLocal(key string, value any) {
	if p.locals == nil {
		p.locals = make(map[string]any)
	}
	p.locals[key] = value
}

// Next runs the next middleware or handler and returns its error. In the last handler of
// a chain it does nothing.
func (p *Packet) Next() error {
	if p.next < len(p.chain) {
		h := p.chain[p.next]
		p.next++
		return h(p)
	}
	if p.stage == inMiddlewares {
		return p.runListeners()
	}
	return nil
}
