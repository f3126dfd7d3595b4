package socketbridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// Packet is one event on its way through middlewares and handlers. It belongs to
// the goroutine that runs them; only Ack may be called from another one, also
// after the handler has returned. It is not reused: it may be kept.
type Packet struct {
	socket  *Socket
	came    time.Time
	event   string
	in      siopacket.Packet
	args    []json.RawMessage
	split   bool // args is filled
	session *fibersession.Handle
	fresh   bool // the session was reloaded for this packet
	how     fibersession.Freshness
	locals  map[string]any

	stage stage
	chain chain // what Next goes through at present
	next  int

	answer answer
}

// answer is what the client is told, once.
type answer struct {
	mu      sync.Mutex
	given   bool   // Ack was called, or an error was answered
	settled bool   // the packet has ended: what comes now is sent at once
	text    []byte // encoded, waiting for the session to be saved
	binary  [][]byte
}

// stage is where a packet is on its way.
type stage uint8

const (
	inMiddlewares stage = iota // Socket.Use
	inListeners                // an event chain
)

// Socket returns the socket that the event came from.
func (p *Packet) Socket() *Socket { return p.socket }

// Context ends when the server disconnects the socket, or when the client has gone
// and everything it sent before was handled. Socket.Done tells of the client's
// going at once.
func (p *Packet) Context() context.Context { return p.socket.Context() }

// Event returns the event's name.
func (p *Packet) Event() string { return p.event }

// Args returns the arguments as they came: raw JSON, in which {"_placeholder":true}
// stands for binary. They are the packet's own.
func (p *Packet) Args() []json.RawMessage {
	if !p.split {
		p.args = p.in.AppendArgs(nil)
		p.split = true
	}
	return p.args
}

// Bind decodes the arguments, in order, into what ptrs point to; nil skips one.
// Binary arguments go into a []byte. It returns ErrMissingArg when there are fewer
// arguments than ptrs, and ignores arguments beyond them.
func (p *Packet) Bind(ptrs ...any) error {
	args := p.Args()
	if len(args) < len(ptrs) {
		return fmt.Errorf("%w: %q has %d arguments, %d are wanted", ErrMissingArg, p.event, len(args), len(ptrs))
	}
	for i, ptr := range ptrs {
		if ptr == nil {
			continue
		}
		if err := siopacket.Unmarshal(args[i], p.in.Attachments, ptr); err != nil {
			return fmt.Errorf("socketbridge: argument %d of %q: %w", i, p.event, err)
		}
	}
	return nil
}

// SetArgs replaces the arguments for all that comes after: a middleware's way of
// changing them.
func (p *Packet) SetArgs(args ...any) error {
	text, attachments, err := siopacket.Append(nil, siopacket.Header{Type: siopacket.Event}, append([]any{p.event}, args...)...)
	if err != nil {
		return err
	}
	p.in.Data, p.in.Attachments = text[bytes.IndexByte(text, '['):], attachments
	p.args, p.split = nil, false
	return nil
}

// Local returns a value that a middleware has left with SetLocal, or nil.
func (p *Packet) Local(key string) any { return p.locals[key] }

// SetLocal leaves a value for what comes after in this packet.
func (p *Packet) SetLocal(key string, value any) {
	if p.locals == nil {
		p.locals = make(map[string]any)
	}
	p.locals[key] = value
}

// Next goes on: to the next middleware or handler, and returns its error. After the
// last one it does nothing.
func (p *Packet) Next() error {
	if p.next < len(p.chain) {
		h := p.chain[p.next]
		p.next++
		return h(p)
	}
	if p.stage == inMiddlewares {
		return p.listen()
	}
	return nil
}

// WantsAck tells whether the client asked for an answer.
func (p *Packet) WantsAck() bool { return p.in.HasID }

// Ack answers the client. While the handler runs the answer is kept until its
// session is saved: the client hears of no change that was not stored. When saving
// fails it is told the error instead. Afterwards the answer is sent at once.
//
// Ack does nothing when no answer was asked for. It returns ErrAcked when the
// packet was answered before, and an error when args cannot be encoded.
func (p *Packet) Ack(args ...any) error {
	if !p.in.HasID {
		return nil
	}
	return p.respond(args...)
}

// respond encodes the one answer of the packet and sends it when its time has come.
func (p *Packet) respond(args ...any) error {
	a := &p.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given {
		return ErrAcked
	}
	text, binary, err := siopacket.Append(nil, siopacket.Header{
		Type: siopacket.Ack, Namespace: p.socket.ns.name, ID: p.in.ID, HasID: true,
	}, args...)
	if err != nil {
		return err
	}
	a.given = true
	if !a.settled {
		a.text, a.binary = text, binary
		return nil
	}
	return p.socket.send(0, messages(text, binary))
}

// settle ends the packet's wait: the answer that was given is sent, or, when that
// must not be sent or none was given, what the client may know of err.
func (p *Packet) settle(err error, saved bool) {
	a := &p.answer
	a.mu.Lock()
	a.settled = true
	if !p.in.HasID {
		a.mu.Unlock()
		return
	}
	if !saved {
		a.given, a.text, a.binary = false, nil, nil
	}
	text, binary := a.text, a.binary
	a.text, a.binary = nil, nil
	given := a.given
	a.mu.Unlock()
	if text != nil {
		_ = p.socket.send(0, messages(text, binary)) // a client that has gone need not be answered
		return
	}
	if err == nil || given {
		return
	}
	internal := public(errPanic)
	e := public(err)
	if e == nil {
		if p.stage == inMiddlewares {
			return // as in Socket.IO, it is the server's business alone
		}
		e = internal
	}
	err = errPanic
	p.socket.guard("MarshalJSON of an EventError", func() { err = p.respond(map[string]any{"error": e}) })
	if err != nil && !errors.Is(err, ErrDisconnected) {
		p.socket.log().Error("socketbridge: an error's data cannot be encoded", "event", p.event, "error", err)
		_ = p.respond(map[string]any{"error": internal}) // it has none
	}
}
