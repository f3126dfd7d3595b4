package socketbridge

import (
	"errors"
	"sync"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// packetAck is the one answer to a packet.
type packetAck struct {
	mu     sync.Mutex
	given  bool  // Ack was called, or an error was sent
	failed error // the last answer could not be encoded
	done   bool  // the packet was handled: an answer is sent at once
	ready  bool  // the answer is encoded, and is held back until the session is saved
	binary [][]byte
	text   [1]transport.Message // the encoded answer; an array saves an allocation
}

// hold keeps an answer until finishAck. The caller holds mu.
func (a *packetAck) hold(text []byte, binary [][]byte) {
	a.text[0].Data, a.binary, a.ready = text, binary, true
}

// WantsAck reports whether the client requested an acknowledgement.
func (p *Packet) WantsAck() bool { return p.in.HasID }

// Ack answers the client. During the handler, the answer is held back until the session
// is saved, so that the client never hears of a change that was not stored. If saving
// fails, the client gets the error instead. After the handler, the answer is sent at
// once, and Ack may wait as Socket.Emit does.
//
// Ack does nothing if the client did not request an acknowledgement. It returns ErrAcked
// if the packet was already answered, and an error if args cannot be encoded. If no other
// answer follows during the handler, that error is reported like one that the handler
// returned, so the client gets CodeInternal.
func (p *Packet) Ack(args ...any) error {
	if !p.in.HasID {
		p.socket.server().notices.Report(&ackUnaskedNotice, "", "", (*loggedSocket)(p.socket))
		return nil
	}
	return p.respond(args...)
}

// respond encodes the answer. It sends it if the packet was handled, and stores it for
// finishAck otherwise.
func (p *Packet) respond(args ...any) error {
	send, text, binary, err := p.encodeAck(args)
	if err != nil || !send {
		return err
	}
	return p.sendAck(text, binary)
}

// encodeAck encodes the answer. send is false if finishAck sends it.
func (p *Packet) encodeAck(args []any) (send bool, text []byte, binary [][]byte, err error) {
	a := &p.ack
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.given {
		return false, nil, nil, ErrAcked
	}
	if text, binary, err = siopacket.Append(nil, p.ackHeader(), args...); err != nil {
		a.failed = encodeError("the answer to", p.event, err)
		return false, nil, nil, a.failed
	}
	a.given = true
	if !a.done {
		a.hold(text, binary)
	}
	return a.done, text, binary, nil
}

func (p *Packet) ackHeader() siopacket.Header {
	return siopacket.Header{Type: siopacket.Ack, Namespace: p.socket.ns.name, ID: p.in.ID, HasID: true}
}

// sendAck sends the answer of a handled packet, after it was recorded for repeats.
func (p *Packet) sendAck(text []byte, binary [][]byte) error {
	p.recordAck(text, binary)
	if len(binary) == 0 {
		p.ack.text[0].Data = text
		return p.socket.sendAndWait(p.ack.text[:])
	}
	return p.socket.sendAndWait(messages(text, binary))
}

// ackError returns the error of an answer that could not be encoded, unless another was
// given.
func (p *Packet) ackError() error {
	p.ack.mu.Lock()
	defer p.ack.mu.Unlock()
	if p.ack.given {
		return nil
	}
	return p.ack.failed
}

// finishAck sends the answer of a handled packet. If the session was not saved, or if no
// answer was given, it sends the client's view of err instead (see EventError).
func (p *Packet) finishAck(err error, saved bool) {
	a := &p.ack
	a.mu.Lock()
	a.done = true
	if !saved {
		a.given, a.ready = false, false
	}
	text, binary, ready := a.text[0].Data, a.binary, a.ready
	a.ready = false
	given := a.given
	a.mu.Unlock()
	if ready {
		_ = p.sendAck(text, binary) // fails only if the client has disconnected
		return
	}
	if err == nil && !given && p.in.HasID && !p.repeated {
		p.socket.server().notices.Report(&eventUnansweredNotice, "", "", (*loggedSocket)(p.socket), "event", notice.Text(p.event))
	}
	if err == nil || given || !p.in.HasID {
		p.recordUnanswered(err)
		return
	}
	internal := clientError(errPanic)
	e := clientError(err)
	if e == nil {
		if p.stage == inMiddlewares {
			p.recordUnanswered(err)
			return // as in Socket.IO, an error of Socket.Use stays on the server
		}
		e = internal
	}
	if tryAgain(e) {
		p.forgetClaim()
	}
	err = errPanic
	p.socket.guard("MarshalJSON of an EventError", func() { err = p.respond(map[string]any{"error": e}) })
	if err != nil && !errors.Is(err, ErrDisconnected) {
		p.socket.report(&answerDataNotice, p.socket.eventKey(p.event), "event", notice.Text(p.event), "error", err)
		_ = p.respond(map[string]any{"error": internal}) // this one has no data
	}
}
