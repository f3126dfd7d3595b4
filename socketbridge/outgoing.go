package socketbridge

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// OutgoingEvent is an event on its way to a client, as Socket.OnAnyOutgoing sees it.
type OutgoingEvent struct {
	name        string
	args        []json.RawMessage
	attachments [][]byte
}

// Event returns the event's name.
func (e *OutgoingEvent) Event() string { return e.name }

// Args returns the arguments as raw JSON. See Packet.Args.
func (e *OutgoingEvent) Args() []json.RawMessage { return e.args }

// Bind decodes the arguments as Packet.Bind does.
func (e *OutgoingEvent) Bind(ptrs ...any) error {
	return Answer{args: e.args, attachments: e.attachments}.Bind(ptrs...)
}

// outgoingListener is what one call of OnAnyOutgoing adds. Its address identifies it.
type outgoingListener struct{ fn func(*OutgoingEvent) }

// OnAnyOutgoing adds a listener for the events that are sent to the client: by Emit, by
// EmitWithAck and by broadcasts of this and other nodes. It does not see answers, nor the
// events that a recovered socket missed (Config.Recovery). It runs after the event was
// queued, on the goroutine that sent it, which can be that of a broadcast to many sockets: it
// must not block. It can run several times at once. OnAnyOutgoing returns a function that
// removes the listener.
func (s *Socket) OnAnyOutgoing(fn func(e *OutgoingEvent)) (off func()) {
	needFunc("Socket.OnAnyOutgoing", fn != nil)
	l := &outgoingListener{fn}
	s.updateOutgoing(func(all []*outgoingListener) []*outgoingListener { return with(all, l) })
	return func() { s.offAnyOutgoing(l) }
}

// PrependAnyOutgoing is OnAnyOutgoing for a listener that runs before the others.
func (s *Socket) PrependAnyOutgoing(fn func(e *OutgoingEvent)) (off func()) {
	needFunc("Socket.PrependAnyOutgoing", fn != nil)
	l := &outgoingListener{fn}
	s.updateOutgoing(func(all []*outgoingListener) []*outgoingListener { return with([]*outgoingListener{l}, all...) })
	return func() { s.offAnyOutgoing(l) }
}

// OffAnyOutgoing removes all listeners of OnAnyOutgoing and PrependAnyOutgoing. The functions
// that these return remove one.
func (s *Socket) OffAnyOutgoing() {
	s.updateOutgoing(func([]*outgoingListener) []*outgoingListener { return nil })
}

func (s *Socket) offAnyOutgoing(l *outgoingListener) {
	s.updateOutgoing(func(all []*outgoingListener) []*outgoingListener {
		return slices.DeleteFunc(slices.Clone(all), func(other *outgoingListener) bool { return other == l })
	})
}

func (s *Socket) updateOutgoing(change func(all []*outgoingListener) []*outgoingListener) {
	s.updateHooks(func(h *hooks) {
		h.outgoing = change(h.outgoing)
		s.observed.Store(len(h.outgoing) > 0)
	})
}

// sendEvent is send for an event, of which the listeners of OnAnyOutgoing are told.
func (s *Socket) sendEvent(f transport.Flags, msgs []transport.Message) error {
	err := s.send(f, msgs)
	if err == nil && s.observed.Load() {
		s.notifyOutgoing(msgs)
	}
	return err
}

// sendEventAndWait is sendAndWait for an event.
func (s *Socket) sendEventAndWait(msgs []transport.Message) error {
	if err := s.sendEvent(transport.Paced, msgs); err != nil {
		return err
	}
	return s.waitUntilDrained(context.Background())
}

// notifyOutgoing calls the listeners of OnAnyOutgoing with an event that was queued to the
// client. No lock may be held.
func (s *Socket) notifyOutgoing(msgs []transport.Message) {
	listeners := s.hooks.Load().outgoing
	if len(listeners) == 0 {
		return
	}
	_, _, payload := splitPacket(msgs[0].Data)
	p := siopacket.Packet{Header: siopacket.Header{Type: siopacket.Event}, Data: payload}
	e := &OutgoingEvent{args: p.AppendArgs(nil)}
	var all []json.RawMessage
	if json.Unmarshal(payload, &all) == nil && len(all) > 0 {
		_ = json.Unmarshal(all[0], &e.name) // this package has encoded it
	}
	for _, m := range msgs[1:] {
		e.attachments = append(e.attachments, m.Data)
	}
	for _, l := range listeners {
		s.guard("OnAnyOutgoing", func() { l.fn(e) })
	}
}

// notifyOutgoingTo calls the listeners of those sockets that have some.
func notifyOutgoingTo(observers []*Socket, msgs []transport.Message) {
	for _, s := range observers {
		s.notifyOutgoing(msgs)
	}
}
