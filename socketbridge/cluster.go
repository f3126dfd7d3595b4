package socketbridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// cluster connects the server with the other nodes through Config.Adapter. It implements
// adapter.Node: it passes the messages of other nodes to their namespaces.
type cluster struct {
	server  *Server
	adapter adapter.Adapter
	watcher adapter.RoomWatcher // nil if the adapter does not watch rooms
	log     adapter.Log         // nil if the adapter keeps no log
	isNode  bool                // false with adapter.EmitOnly
	id      string
	ctx     context.Context // ends when the server has shut down
	stop    context.CancelFunc
	done    chan struct{} // closed when run has returned
}

var _ adapter.Node = (*cluster)(nil)

func newCluster(s *Server, a adapter.Adapter) *cluster {
	c := &cluster{server: s, adapter: a, id: s.id, done: make(chan struct{})}
	c.watcher, _ = a.(adapter.RoomWatcher)
	c.log, _ = a.(adapter.Log)
	_, emitOnly := a.(adapter.EmitOnly)
	c.isNode = !emitOnly
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// start runs the adapter. Without an adapter, c is nil and start does nothing.
func (c *cluster) start() {
	if c != nil {
		go c.run() // ends with c.ctx; Server.Shutdown waits for it
	}
}

func (c *cluster) run() {
	defer close(c.done)
	if p := c.server.presence; p != nil && c.isNode {
		var presence sync.WaitGroup
		presence.Go(func() { c.server.guard("Sessions.Storage (presence)", func() { p.Run(c.ctx) }) }) // ends with c.ctx; waited for here
		defer presence.Wait()
	}
	err := errPanic
	c.server.guard("Adapter.Run", func() { err = c.adapter.Run(c.ctx, c) })
	if err != nil && c.ctx.Err() == nil {
		c.server.notices.Report(&adapterStoppedNotice, "", "error", err)
	}
}

// close stops the adapter and waits until run has returned.
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

// Nodes returns how many nodes serve this namespace, this one included. Without an
// adapter it returns 1.
func (n *Namespace) Nodes(ctx context.Context) (int, error) {
	n.needSockets("Nodes")
	if n.server.cluster == nil {
		return 1, nil
	}
	return n.server.cluster.adapter.Nodes(ctx, n.name)
}

// ID implements adapter.Node.
func (c *cluster) ID() string { return c.id }

// Deliver implements adapter.Node.
func (c *cluster) Deliver(m *adapter.Message) {
	ns := c.server.namespace(m.Namespace)
	if ns == nil {
		c.server.notices.Report(&nodeNamespaceNotice, m.Namespace, "namespace", notice.Text(m.Namespace))
		return
	}
	ctx, finish := c.server.trace(c.ctx, Operation{Kind: OpDeliver, Namespace: m.Namespace, Message: m})
	finish(c.deliver(ctx, ns, m))
}

// deliver is Deliver for a namespace of this node. It returns an error if m is malformed.
func (c *cluster) deliver(ctx context.Context, ns *Namespace, m *adapter.Message) error {
	switch m.Kind {
	case adapter.Broadcast:
		msgs, _, err := decodePayload(m.Payload, siopacket.Header{Type: siopacket.Event, Namespace: ns.name})
		if err != nil {
			c.logMalformed(m, err)
			return err
		}
		ns.recovery.deliver(m, msgs)
	case adapter.Join:
		for _, s := range ns.rooms.find(m.Rooms, m.Except) {
			if err := s.Join(m.Targets...); err != nil && !errors.Is(err, ErrDisconnected) {
				s.report(&nodeJoinNotice, "", "error", err)
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
		c.queueServerEvent(ctx, ns, m, nil)
	default:
		err := fmt.Errorf("%w: kind %d", errProtocol, m.Kind)
		c.logMalformed(m, err)
		return err
	}
	return nil
}

// Answer implements adapter.Node.
func (c *cluster) Answer(ctx context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		ns := c.server.namespace(m.Namespace)
		if ns == nil { // a child that was just removed: the other node counts on a reply
			c.server.notices.Report(&nodeNamespaceNotice, m.Namespace, "namespace", notice.Text(m.Namespace))
			switch m.Kind {
			case adapter.Broadcast:
				yield(&adapter.Reply{Kind: adapter.Counted})
			case adapter.Fetch:
				yield(&adapter.Reply{Kind: adapter.Fetched})
			case adapter.ListRooms:
				yield(&adapter.Reply{Kind: adapter.Listed})
			}
			return
		}
		ctx, finish := c.server.trace(ctx, Operation{Kind: OpDeliver, Namespace: m.Namespace, Message: m})
		defer finish(nil)
		switch m.Kind {
		case adapter.Broadcast:
			c.answerBroadcast(ctx, ns, m, yield)
		case adapter.Fetch:
			yield(&adapter.Reply{Kind: adapter.Fetched, Sockets: describe(ns.rooms.find(m.Rooms, m.Except))})
		case adapter.ListRooms:
			yield(&adapter.Reply{Kind: adapter.Listed, Rooms: ns.rooms.allNames()})
		case adapter.ServerSide:
			c.answerServerSide(ctx, ns, m, yield)
		default:
			c.logMalformed(m, fmt.Errorf("%w: kind %d", errProtocol, m.Kind))
		}
	}
}

func (c *cluster) logMalformed(m *adapter.Message, err error) {
	c.server.notices.Report(&nodeMalformedNotice, "", "namespace", notice.Text(m.Namespace), "error", err)
}

// publish sends a message to the other nodes, with the values of ctx, which may be nil. It does
// nothing if m is nil.
func (s *Server) publish(ctx context.Context, m *adapter.Message) error {
	if m == nil {
		return nil
	}
	return s.tracePublish(ctx, m, s.cluster.adapter.Publish)
}

// tracePublish sends a message with send, as an operation. ctx has values only, and may be nil:
// the message is given up when the server has shut down.
func (s *Server) tracePublish(ctx context.Context, m *adapter.Message, send func(context.Context, *adapter.Message) error) error {
	sending := s.cluster.ctx
	if ctx != nil {
		sending = &valuesContext{sending, context.WithoutCancel(ctx)}
	}
	sending, finish := s.trace(sending, Operation{Kind: OpPublish, Namespace: m.Namespace, Message: m})
	err := send(sending, m)
	finish(err)
	return err
}

// valuesContext is a context with the values of another one.
type valuesContext struct {
	context.Context
	values context.Context
}

func (c *valuesContext) Value(key any) any {
	if v := c.values.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// request sends a message to the other nodes and yields their replies until ctx ends or,
// if ctx has no deadline, for Config.Timeouts.Request. It yields nothing if m is nil.
func (s *Server) request(ctx context.Context, m *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) {
		if m == nil {
			return
		}
		ctx, cancel := ackContext(ctx, 0, s.cfg.Timeouts.Request)
		defer cancel()
		var err error
		ctx, finish := s.trace(ctx, Operation{Kind: OpRequest, Namespace: m.Namespace, Message: m})
		defer func() { finish(err) }()
		defer context.AfterFunc(s.cluster.ctx, cancel)()
		for r, e := range s.cluster.adapter.Ask(ctx, m) {
			err = e
			if !yield(r, e) {
				return
			}
		}
	}
}
