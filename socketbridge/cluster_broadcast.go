package socketbridge

import (
	"context"
	"errors"
	"slices"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// message returns a message to the sockets on other nodes that b addresses, or nil if
// there can be none.
func (b Broadcast) message(kind adapter.Kind) *adapter.Message {
	if b.local || b.ns.server.cluster == nil {
		return nil
	}
	m := &adapter.Message{
		Kind:       kind,
		Namespace:  b.ns.name,
		Except:     without(b.except, emptyRoom),
		Volatile:   b.flags&transport.Volatile != 0,
		NoCompress: b.noCompress,
		Timeout:    b.timeout,
	}
	if m.Rooms = without(b.to, emptyRoom); len(m.Rooms) == 0 && len(b.to) > 0 {
		return nil
	}
	if b.from != nil {
		m.Except = append(slices.Clip(m.Except), b.from.id)
	}
	return m
}

// without returns names without one of them.
func without(names []string, name string) []string {
	if !slices.Contains(names, name) {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// publish sends an event to the addressed sockets on other nodes.
func (b Broadcast) publish(msgs []transport.Message) error {
	m := b.message(adapter.Broadcast)
	if m == nil {
		return nil
	}
	m.Payload = encodePayload(msgs)
	return b.ns.server.publish(b.ctx, m)
}

// publishCommand has other nodes join their addressed sockets to rooms, take them out of
// rooms or disconnect them, as kind says.
func (b Broadcast) publishCommand(kind adapter.Kind, rooms []string, closeConn bool) error {
	m := b.message(kind)
	if m != nil {
		m.Targets, m.Close = rooms, closeConn
	}
	return b.ns.server.publish(b.ctx, m)
}

// requestAnswers sends an event to the addressed sockets on other nodes and collects
// their answers.
func (b Broadcast) requestAnswers(ctx context.Context, m *adapter.Message) (answers []Answer, err error) {
	for r, e := range b.ns.server.request(ctx, m) {
		switch {
		case errors.Is(e, adapter.ErrIncomplete) && ctx.Err() != nil:
			err = ackTimeoutError(ctx)
		case e != nil:
			err = e
		case r.Kind == adapter.Answered:
			a, bad := decodeAnswer(r.Payload)
			if bad != nil {
				b.ns.server.cluster.logMalformed(m, bad)
				continue
			}
			answers = append(answers, a)
		}
	}
	return answers, err
}

// answerBroadcast sends an event of another node's EmitWithAck to the clients of this
// node. It yields the number of these clients, and then each client's answer.
func (c *cluster) answerBroadcast(ctx context.Context, ns *Namespace, m *adapter.Message, yield func(*adapter.Reply) bool) {
	id := ns.acks.Add(1)
	msgs, _, err := decodePayload(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: ns.name, ID: id, HasID: true})
	if err != nil {
		c.logMalformed(m, err)
		yield(&adapter.Reply{Kind: adapter.Counted})
		return
	}
	timeout := m.Timeout
	if timeout <= 0 {
		timeout = c.server.cfg.Timeouts.Ack
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	g := collectAcks(id, flagsOf(m), msgs, ns.rooms.find(m.Rooms, m.Except), maxPendingAcks)
	if !yield(&adapter.Reply{Kind: adapter.Counted, Clients: len(g.asked)}) {
		g.cancel()
		return
	}
	_ = g.each(ctx, func(a Answer) bool { // the requesting node counts the missing answers itself
		return yield(&adapter.Reply{Kind: adapter.Answered, Payload: a.payload()})
	})
}

func flagsOf(m *adapter.Message) transport.Flags {
	if m.Volatile {
		return transport.Volatile
	}
	return 0
}
