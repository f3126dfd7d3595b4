package socketbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/serial"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// maxServerEvents is how many server-side events may wait for their handlers in one
// namespace.
const maxServerEvents = 1024

// serverSide queues the server-side events of one namespace for their handlers.
type serverSide struct{ queue serial.Queue[func()] }

func (s *serverSide) start(n *Namespace) {
	s.queue.Max = maxServerEvents
	s.queue.Start(func(batch []func()) { // Server.Shutdown waits for it: running counts each item
		for _, fn := range batch {
			fn()
			n.server.running.Done()
		}
	})
}

// ServerEvent is an event that a server on another node sent with ServerSideEmit.
type ServerEvent struct {
	packet siopacket.Packet
	args   []json.RawMessage
	ctx    context.Context

	mu    sync.Mutex
	reply func(adapter.Payload) // nil if no answer is expected, or after Ack
	asked bool
}

// Context returns a context with the values that Trace.Operation gave the event's delivery, so that
// what the handlers call with it belongs to the sender's trace. It ends when the server has shut
// down, and for an event with an answer when the sender no longer waits.
func (e *ServerEvent) Context() context.Context { return e.ctx }

// Event returns the event's name.
func (e *ServerEvent) Event() string { return string(e.packet.Name) }

// Values returns the arguments as they came. See Packet.Values.
func (e *ServerEvent) Values() []any { return valuesOf(e.args, e.packet.Attachments) }

// Args returns the arguments as raw JSON, in which binary data is a placeholder.
func (e *ServerEvent) Args() []json.RawMessage { return e.args }

// Bind decodes the arguments as Packet.Bind does.
func (e *ServerEvent) Bind(ptrs ...any) error {
	return Answer{args: e.args, attachments: e.packet.Attachments}.Bind(ptrs...)
}

// WantsAck reports whether the sender waits for an answer.
func (e *ServerEvent) WantsAck() bool { return e.asked }

// Ack answers the event. The second call returns ErrAcked. Ack may be called after the
// handler has returned. It does nothing if the sender does not wait for an answer. Some
// adapters carry the first argument only.
func (e *ServerEvent) Ack(args ...any) error {
	if !e.asked {
		return nil
	}
	msgs, err := encode(siopacket.Ack, "/", 0, false, args...)
	if err != nil {
		return err
	}
	e.mu.Lock()
	reply := e.reply
	e.reply = nil
	e.mu.Unlock()
	if reply == nil {
		return ErrAcked
	}
	reply(encodePayload(msgs))
	return nil
}

// OnServerSideEmit adds a handler for an event that servers on other nodes send with
// ServerSideEmit. Handlers of a namespace run one at a time, in the order in which the
// events arrive. Up to 1024 events may wait; further ones are dropped and logged. It panics
// if fn is nil, and for the names that ServerSideEmit refuses.
func (n *Namespace) OnServerSideEmit(event string, fn func(e *ServerEvent)) *Namespace {
	checkServerEvent(event)
	needFunc("OnServerSideEmit", fn != nil)
	return n.change(func(n *Namespace) {
		all := make(map[string][]func(*ServerEvent), len(n.serverHandlers)+1)
		maps.Copy(all, n.serverHandlers)
		all[event] = with(all[event], fn)
		n.serverHandlers = all
	})
}

// ServerSideEmit sends an event to the servers of all other nodes, not to sockets. It
// does nothing without an adapter. Its errors are those of Broadcast.Emit; besides the names
// that the protocol reserves, it refuses "connection" and "new_namespace", as Socket.IO for
// Node does.
func (n *Namespace) ServerSideEmit(event string, args ...any) error {
	return n.ServerSideEmitContext(context.Background(), event, args...)
}

// ServerSideEmitContext is ServerSideEmit with the values of ctx, as Broadcast.WithContext: traces
// then show the event as a part of the request or event that ctx belongs to. The end of ctx has no
// effect.
func (n *Namespace) ServerSideEmitContext(ctx context.Context, event string, args ...any) error {
	if n.pattern != nil {
		return n.Broadcast().inChildren(func(b Broadcast) error { return b.ns.ServerSideEmitContext(ctx, event, args...) })
	}
	m, err := n.serverSideMessage(event, args)
	if err != nil || m == nil {
		return err
	}
	return n.server.publish(ctx, m)
}

// ServerSideEmitWithAck sends an event to the servers of all other nodes and collects
// one answer of each. It waits until ctx ends, or for Config.Timeouts.Request if ctx has
// no deadline, and then returns the answers it has, with ErrAckTimeout. A node without a
// handler for the event does not answer.
func (n *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]Answer, error) {
	if n.pattern != nil {
		return fromChildren(n.Broadcast(), func(b Broadcast) ([]Answer, error) { return b.ns.ServerSideEmitWithAck(ctx, event, args...) })
	}
	m, err := n.serverSideMessage(event, args)
	if err != nil || m == nil {
		return nil, err
	}
	var answers []Answer
	for r, e := range n.server.request(ctx, m) {
		switch {
		case errors.Is(e, adapter.ErrIncomplete) && errors.Is(e, context.DeadlineExceeded):
			err = ErrAckTimeout
		case e != nil:
			err = e
		case r.Kind == adapter.Answered:
			a, bad := decodeAnswer(r.Payload)
			if bad != nil {
				return answers, fmt.Errorf("%w: %w", errProtocol, bad)
			}
			answers = append(answers, a)
		}
	}
	return answers, err
}

// serverSideMessage returns nil without an adapter.
func (n *Namespace) serverSideMessage(event string, args []any) (*adapter.Message, error) {
	if reservedServerEvent(event) {
		return nil, ErrReservedEvent
	}
	msgs, err := encodeEvent(n.name, event, 0, false, args)
	if err != nil || n.server.cluster == nil {
		return nil, err
	}
	return &adapter.Message{Kind: adapter.ServerSide, Namespace: n.name, Payload: encodePayload(msgs)}, nil
}

// queueServerEvent queues an event of another node's server for its handlers. It calls
// reply, unless it is nil, with the handlers' answer. It reports whether the event was
// queued, so that it can be answered.
func (c *cluster) queueServerEvent(ctx context.Context, ns *Namespace, m *adapter.Message, reply func(adapter.Payload)) bool {
	_, packet, err := decodePayload(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: ns.name})
	if err != nil {
		c.logMalformed(m, err)
		return false
	}
	ns.mu.RLock()
	handlers := ns.serverHandlers[string(packet.Name)]
	ns.mu.RUnlock()
	if len(handlers) == 0 {
		c.server.notices.Report(&nodeEventUnhandledNotice, "", "namespace", ns.name, "event", notice.Text(packet.Name))
		return false
	}
	e := &ServerEvent{ctx: ctx, packet: packet, args: packet.AppendArgs(nil), reply: reply, asked: reply != nil}
	c.server.running.Add()
	err = ns.serverSide.queue.Push(func() {
		for _, fn := range handlers {
			c.server.guard("OnServerSideEmit", func() { fn(e) })
		}
	})
	if err != nil {
		c.server.running.Done()
		c.server.notices.Report(&nodeEventDroppedNotice, "", "namespace", ns.name, "event", notice.Text(packet.Name), "error", err)
	}
	return err == nil
}

// answerServerSide yields the answer that a handler gives to an event of another node's
// server.
func (c *cluster) answerServerSide(ctx context.Context, ns *Namespace, m *adapter.Message, yield func(*adapter.Reply) bool) {
	replies := make(chan adapter.Payload, 1)
	if !c.queueServerEvent(ctx, ns, m, func(p adapter.Payload) { replies <- p }) {
		return
	}
	select {
	case p := <-replies:
		yield(&adapter.Reply{Kind: adapter.Answered, Payload: p})
	case <-ctx.Done():
	}
}
