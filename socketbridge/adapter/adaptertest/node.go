package adaptertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// testTimeout bounds each wait. A conforming adapter needs far less.
const testTimeout = 30 * time.Second

// node is a cluster node without a server. It records the messages that are delivered to it.
type node struct {
	adapter.Adapter
	t         *testing.T
	id        string
	delivered chan *adapter.Message
	answer    func(ctx context.Context, m *adapter.Message, yield func(*adapter.Reply) bool)
	stop      context.CancelFunc
	done      chan error
}

func (n *node) ID() string                 { return n.id }
func (n *node) Deliver(m *adapter.Message) { n.delivered <- m }

func (n *node) Answer(ctx context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		if n.answer != nil {
			n.answer(ctx, m, yield)
		}
	}
}

// start starts count nodes that serve / and /chat, and waits until they have discovered
// each other.
func start(t *testing.T, join func() adapter.Adapter, count int) []*node {
	t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = newNode(t, join())
		nodes[i].run()
	}
	for _, n := range nodes {
		n.waitForNodes("/", count)
		n.waitForNodes("/chat", count)
		n.setRoom("a", false, true)
	}
	for _, n := range nodes {
		nodes[0].waitForRoom(n, "a")
	}
	// Once these two messages have arrived, so has everything that was published before.
	nodes[0].publish(broadcastTo("a", `["room"]`))
	nodes[0].publish(broadcastTo("", `["all"]`))
	for _, n := range nodes[1:] {
		for room, all := false, false; !room || !all; {
			switch string(n.next().Payload.JSON) {
			case `["room"]`:
				room = true
			case `["all"]`:
				all = true
			}
		}
	}
	return nodes
}

// setRoom notifies the adapter of a node that a room was opened or closed.
func (n *node) setRoom(name string, private, open bool) {
	w, ok := n.Adapter.(adapter.RoomWatcher)
	switch {
	case !ok:
	case open:
		w.RoomOpened("/", name, private)
	default:
		w.RoomClosed("/", name, private)
	}
}

// waitForRoom publishes to a room until a message arrives at the other node, because a
// subscription takes effect some time after RoomOpened.
func (n *node) waitForRoom(other *node, room string) {
	n.t.Helper()
	if n == other {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n.publish(broadcastTo(room, `["for `+room+`"]`))
		select {
		case m := <-other.delivered:
			if string(m.Payload.JSON) == `["for `+room+`"]` {
				return
			}
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("no message for room %q arrived", room)
		}
	}
}

func newNode(t *testing.T, a adapter.Adapter) *node {
	n := &node{Adapter: a, t: t, id: rand.Text(), delivered: make(chan *adapter.Message, 10_000), done: make(chan error, 1)}
	n.Open("/")
	n.Open("/chat")
	n.Open("/chat") // must have no effect
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx, n) }() // ends with ctx; shutDown waits for it
	n.t.Cleanup(n.shutDown)
}

func (n *node) shutDown() {
	n.stop()
	select {
	case err := <-n.done:
		if !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run returned %v, want context.Canceled", err)
		}
		n.done <- err
	case <-time.After(testTimeout):
		n.t.Error("Run did not return after its context ended")
	}
}

// waitForNodes waits until count nodes serve the namespace.
func (n *node) waitForNodes(namespace string, count int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := n.Nodes(ctx, namespace)
		if err == nil && got == count {
			return
		}
		select {
		case <-ctx.Done():
			n.t.Fatalf("Nodes returned %d, error %v; want %d", got, err, count)
		case <-tick.C:
		}
	}
}

func (n *node) publish(m *adapter.Message) {
	n.t.Helper()
	if err := n.Publish(n.t.Context(), m); err != nil {
		n.t.Fatalf("Publish: %v", err)
	}
}

// next returns the next delivered message.
func (n *node) next() *adapter.Message {
	n.t.Helper()
	select {
	case m := <-n.delivered:
		return m
	case <-time.After(testTimeout):
		n.t.Fatal("no message arrived")
		return nil
	}
}

func (n *node) publishOrFail(ctx context.Context, m *adapter.Message) {
	if err := n.Publish(ctx, m); err != nil {
		n.t.Errorf("Publish: %v", err)
	}
}

// collect asks m and returns the sorted replies as text, and the error.
func (n *node) collect(ctx context.Context, m *adapter.Message) (string, error) {
	var all []string
	var err error
	for r, e := range n.Ask(ctx, m) {
		if e != nil {
			err = e
			continue
		}
		all = append(all, formatReply(r))
	}
	slices.Sort(all)
	return strings.Join(all, " | "), err
}

func formatReply(r *adapter.Reply) string {
	switch r.Kind {
	case adapter.Counted:
		return fmt.Sprintf("count %d", r.Clients)
	case adapter.Answered:
		return fmt.Sprintf("answer %s %x", r.Payload.JSON, r.Payload.Attachments)
	case adapter.Fetched:
		text := "sockets"
		for _, s := range r.Sockets {
			text += fmt.Sprintf(" %s %q %s %s%s%s", s.ID, s.Rooms, s.Handshake, s.Data, s.User, s.Session)
		}
		return text
	case adapter.Listed:
		return fmt.Sprintf("rooms %q", r.Rooms)
	default:
		return fmt.Sprintf("kind %d", r.Kind)
	}
}

// replying returns an answer function that always yields the same replies.
func replying(replies ...*adapter.Reply) func(context.Context, *adapter.Message, func(*adapter.Reply) bool) {
	return func(_ context.Context, _ *adapter.Message, yield func(*adapter.Reply) bool) {
		for _, r := range replies {
			if !yield(r) {
				return
			}
		}
	}
}

// format returns a message as text, for comparison. Messages that adapters may treat as
// equal have the same text.
func format(m *adapter.Message) string {
	return fmt.Sprintf("kind %d %s to %q except %q volatile %v nocompress %v timeout %v event %s %x targets %q close %v",
		m.Kind, m.Namespace, m.Rooms, m.Except, m.Volatile, m.NoCompress, m.Timeout, m.Payload.JSON, m.Payload.Attachments, m.Targets, m.Close)
}

func event(text string, attachments ...[]byte) adapter.Payload {
	return adapter.Payload{JSON: []byte(text), Attachments: attachments}
}

func broadcastTo(room string, text string) *adapter.Message {
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: event(text)}
	if room != "" {
		m.Rooms = []string{room}
	}
	return m
}
