package socketbridge

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// cluster is the server's end of the link with other nodes: an adapter.Node. It
// maps messages to namespaces and back.
type cluster struct {
	server  *Server
	adapter adapter.Adapter
	watcher adapter.RoomWatcher // nil when the adapter does not follow rooms
	log     adapter.Log         // nil when the adapter keeps nothing
	id      string
	ctx     context.Context // ends when the server is through
	stop    context.CancelFunc
	done    chan struct{} // closed when Run has returned
}

var _ adapter.Node = (*cluster)(nil)

func newCluster(s *Server, a adapter.Adapter) *cluster {
	c := &cluster{server: s, adapter: a, id: rand.Text(), done: make(chan struct{})}
	c.watcher, _ = a.(adapter.RoomWatcher)
	c.log, _ = a.(adapter.Log)
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// start begins to link.
func (c *cluster) start() {
	if c != nil {
		go c.run() // ends with c.ctx; Server.Shutdown waits for it
	}
}

func (c *cluster) run() {
	defer close(c.done)
	if p := c.server.presence; p != nil {
		var beating sync.WaitGroup
		beating.Go(func() { p.run(c.ctx) }) // ends with c.ctx; waited for here
		defer beating.Wait()
	}
	if err := c.adapter.Run(c.ctx, c); err != nil && c.ctx.Err() == nil {
		c.server.log.Error("socketbridge: the adapter has ended: other nodes cannot be reached", "error", err)
	}
}

// close ends the link and waits until nothing of it runs.
func (c *cluster) close(ctx context.Context) error {
	if c == nil {
		return nil
	}
	c.stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ID implements adapter.Node.
func (c *cluster) ID() string { return c.id }

// Nodes returns how many nodes serve this namespace, this one included. Without an
// adapter it is 1.
func (n *Namespace) Nodes(ctx context.Context) (int, error) {
	if n.server.cluster == nil {
		return 1, nil
	}
	return n.server.cluster.adapter.Nodes(ctx, n.name)
}

// message returns a message to the sockets of other nodes that b addresses, or nil
// when there can be none.
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

// publish sends a message to the other nodes; nil is none.
func (s *Server) publish(m *adapter.Message) error {
	if m == nil {
		return nil
	}
	return s.cluster.adapter.Publish(s.cluster.ctx, m)
}

// ask yields what the other nodes reply, for as long as ctx or, when it has no
// deadline, Config.Timeouts.Request says; nil asks nobody.
func (s *Server) ask(ctx context.Context, m *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) {
		if m == nil {
			return
		}
		ctx, cancel := ackContext(ctx, 0, s.cfg.Timeouts.Request)
		defer cancel()
		defer context.AfterFunc(s.cluster.ctx, cancel)()
		for r, err := range s.cluster.adapter.Ask(ctx, m) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// payloadOf is what a packet's messages carry, without its header.
func payloadOf(msgs []transport.Message) adapter.Payload {
	_, _, payload := splitPacket(msgs[0].Data)
	p := adapter.Payload{JSON: payload}
	for _, m := range msgs[1:] {
		p.Attachments = append(p.Attachments, m.Data)
	}
	return p
}

// wide are the limits for what other nodes send: they have checked what clients sent
// them, by limits of their own.
var wide = siopacket.Limits{
	MaxAttachmentBytes: math.MaxInt,
	MaxEventName:       math.MaxInt32,
	MaxArgs:            math.MaxInt32,
	MaxDepth:           1000,
}

// open makes a packet of an event of another node. It checks all of it: what is
// malformed would make every client that gets it close its connection.
func open(p adapter.Payload, h siopacket.Header) ([]transport.Message, siopacket.Packet, error) {
	if len(p.JSON) == 0 || p.JSON[0] != '[' {
		return nil, siopacket.Packet{}, errProtocol // it could pass for a header
	}
	text := siopacket.AppendPayload(nil, h, p.JSON, len(p.Attachments))
	d := siopacket.Decoder{Limits: wide}
	packet, whole, err := d.Text(text)
	for _, b := range p.Attachments {
		if err == nil {
			packet, whole, err = d.Binary(b)
		}
	}
	if err == nil && !whole {
		err = errProtocol
	}
	return messages(text, p.Attachments), packet, err
}

// Deliver implements adapter.Node.
func (c *cluster) Deliver(m *adapter.Message) {
	ns := c.server.namespace(m.Namespace)
	if ns == nil {
		return
	}
	switch m.Kind {
	case adapter.Broadcast:
		msgs, _, err := open(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: ns.name})
		if err != nil {
			c.malformed(m, err)
			return
		}
		if t, ok := ns.past.(*tail); ok && m.Offset != "" {
			t.deliver(ns, m, msgs)
			return
		}
		ns.deliver(m.Rooms, m.Except, nil, flagsOf(m), msgs)
	case adapter.Join:
		for _, s := range ns.rooms.find(m.Rooms, m.Except) {
			if err := s.Join(m.Targets...); err != nil && !errors.Is(err, ErrDisconnected) {
				s.log().Warn("socketbridge: a socket cannot join rooms as another node wants it", "error", err)
			}
		}
	case adapter.Leave:
		for _, s := range ns.rooms.find(m.Rooms, m.Except) {
			s.Leave(m.Targets...)
		}
	case adapter.Disconnect:
		for _, s := range ns.rooms.find(m.Rooms, m.Except) {
			s.disconnect(m.Close)
		}
	case adapter.ServerSide:
		c.serverSide(ns, m, nil)
	}
}

func flagsOf(m *adapter.Message) transport.Flags {
	if m.Volatile {
		return transport.Volatile
	}
	return 0
}

func (c *cluster) malformed(m *adapter.Message, err error) {
	c.server.log.Warn("socketbridge: a message of another node is malformed", "namespace", m.Namespace, "error", err)
}

// Answer implements adapter.Node.
func (c *cluster) Answer(ctx context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		ns := c.server.namespace(m.Namespace)
		if ns == nil {
			return
		}
		switch m.Kind {
		case adapter.Broadcast:
			c.answerBroadcast(ctx, ns, m, yield)
		case adapter.Fetch:
			yield(&adapter.Reply{Kind: adapter.Fetched, Sockets: describe(ns.rooms.find(m.Rooms, m.Except))})
		case adapter.ListRooms:
			yield(&adapter.Reply{Kind: adapter.Listed, Rooms: ns.rooms.allNames()})
		case adapter.ServerSide:
			c.answerServerSide(ctx, ns, m, yield)
		}
	}
}

// answerBroadcast sends an event to this node's clients, says how many they are and
// passes on their answers.
func (c *cluster) answerBroadcast(ctx context.Context, ns *Namespace, m *adapter.Message, yield func(*adapter.Reply) bool) {
	id := ns.acks.Add(1)
	msgs, _, err := open(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: ns.name, ID: id, HasID: true})
	if err != nil {
		c.malformed(m, err)
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
	_ = g.each(ctx, func(a Answer) bool { // who asked knows how many are missing
		return yield(&adapter.Reply{Kind: adapter.Answered, Payload: a.payload()})
	})
}

// payload is the answer as a node passes it on.
func (a Answer) payload() adapter.Payload {
	text := siopacket.AppendRaw(nil, siopacket.Header{Type: siopacket.Ack}, a.args...)
	return adapter.Payload{JSON: text[1:], Attachments: a.attachments}
}

// answerOf is an answer that another node passed on.
func answerOf(p adapter.Payload) (Answer, error) {
	_, packet, err := open(p, siopacket.Header{Type: siopacket.Ack, HasID: true})
	return Answer{args: packet.AppendArgs(nil), attachments: packet.Attachments}, err
}
