package adaptertest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// RunEmitter runs the suite of an adapter.Emitter. cluster is that of Run. watched are the kinds
// of the messages that a watching emitter receives. Each rule is a parallel subtest.
func RunEmitter(t *testing.T, cluster func(t *testing.T) func() adapter.Adapter, watched ...adapter.Kind) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, func() adapter.Adapter)
	}{
		{"messages", testEmitterSends},
		{"requests", testEmitterAsks},
		{"before the beginning and after the end", testEmitterLife},
		{"messages that are watched", func(t *testing.T, join func() adapter.Adapter) { testEmitterWatches(t, join, watched) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, cluster(t))
		})
	}
}

// runEmitter runs the adapter of n as an emitter until the test ends.
func (n *node) runEmitter(watch func(*adapter.Message)) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.done <- n.Adapter.(adapter.Emitter).RunEmitter(ctx, watch) }() // ends with ctx; shutDown waits for it
	n.t.Cleanup(n.shutDown)
}

// checkCounts checks that each node counts the nodes alone.
func checkCounts(t *testing.T, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		if got, err := n.Nodes(t.Context(), "/"); err != nil || got != len(nodes) {
			t.Errorf("a node counts %d nodes, %v, want %d", got, err, len(nodes))
		}
	}
}

func testEmitterSends(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	e := newNode(t, join())
	e.runEmitter(nil)
	for _, m := range []*adapter.Message{
		broadcastTo("", `["first"]`),
		broadcastTo("a", `["to a room"]`),
		{Kind: adapter.Broadcast, Namespace: "/chat", Rooms: []string{"a", "b"}, Except: []string{"c"}, Volatile: true,
			Payload: event(`["bin",{"_placeholder":true,"num":0}]`, []byte{1, 2, 255})},
		{Kind: adapter.Join, Namespace: "/", Rooms: []string{"a"}, Targets: []string{"x"}},
		{Kind: adapter.Leave, Namespace: "/chat", Targets: []string{"x"}},
		{Kind: adapter.ServerSide, Namespace: "/", Payload: event(`["e",1]`)},
		{Kind: adapter.Disconnect, Namespace: "/", Rooms: []string{"a"}, Close: true},
	} {
		e.publish(m)
		for _, n := range nodes {
			if got, want := format(n.next()), format(m); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
	checkCounts(t, nodes)
}

func testEmitterAsks(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	for i, n := range nodes {
		n.answer = replying(&adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: string(rune('a' + i)), Handshake: []byte("{}"), Data: []byte("{}"), User: "ann"}}})
	}
	e := newNode(t, join())
	e.answer = func(context.Context, *adapter.Message, func(*adapter.Reply) bool) {
		t.Error("an emitter was asked")
	}
	e.runEmitter(nil)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	for range 2 { // the first one is sent right after the start
		got, err := e.collect(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"})
		if want := "sockets a [] {} {}ann | sockets b [] {} {}ann | sockets c [] {} {}ann"; got != want || err != nil {
			t.Errorf("the emitter got %q, %v, want %q", got, err, want)
		}
	}
	if got, err := e.Nodes(ctx, "/"); got != 3 || err != nil {
		t.Errorf("the emitter counts %d nodes, %v, want 3", got, err)
	}
	if got, err := e.Nodes(ctx, "/elsewhere"); got != 0 || err != nil {
		t.Errorf("the emitter counts %d nodes in a namespace without nodes, %v, want none", got, err)
	}
	if got, err := e.collect(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/elsewhere"}); got != "" || err != nil {
		t.Errorf("the emitter got %q, %v without nodes, want nothing", got, err)
	}
	for _, n := range nodes {
		n.answer = replying(&adapter.Reply{Kind: adapter.Counted, Clients: 1}, &adapter.Reply{Kind: adapter.Answered, Payload: event(`[1]`)})
	}
	got, err := e.collect(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Timeout: testTimeout, Payload: event(`["e"]`)})
	if want := "answer [1] [] | answer [1] [] | answer [1] [] | count 1 | count 1 | count 1"; got != want || err != nil {
		t.Errorf("the emitter got %q, %v, want %q", got, err, want)
	}
	for _, n := range nodes {
		n.answer = replying(&adapter.Reply{Kind: adapter.Answered, Payload: event(`["x"]`)})
	}
	got, err = e.collect(ctx, &adapter.Message{Kind: adapter.ServerSide, Namespace: "/", Payload: event(`["e"]`)})
	if want := `answer ["x"] [] | answer ["x"] [] | answer ["x"] []`; got != want || err != nil {
		t.Errorf("the emitter got %q, %v, want %q", got, err, want)
	}
	// The nodes wait for each other only.
	got, err = nodes[0].collect(ctx, &adapter.Message{Kind: adapter.ServerSide, Namespace: "/", Payload: event(`["e"]`)})
	if want := `answer ["x"] [] | answer ["x"] []`; got != want || err != nil {
		t.Errorf("a node got %q, %v, want %q", got, err, want)
	}
	checkCounts(t, nodes)
}

func testEmitterLife(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 1)
	e := newNode(t, join())
	ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := e.Publish(ended, broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish before RunEmitter returned %v, want ErrUnavailable", err)
	}
	published := make(chan error, 1)
	go func() { published <- e.Publish(t.Context(), broadcastTo("", `["first"]`)) }() // ends with RunEmitter; waited for below
	e.runEmitter(nil)
	if err := <-published; err != nil {
		t.Errorf("Publish before RunEmitter returned %v, want it to wait", err)
	}
	if got := string(nodes[0].next().Payload.JSON); got != `["first"]` {
		t.Errorf("got %s", got)
	}
	e.shutDown()
	if err := e.Publish(t.Context(), broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish after the end returned %v, want ErrClosed", err)
	}
	checkCounts(t, nodes)
}

func testEmitterWatches(t *testing.T, join func() adapter.Adapter, kinds []adapter.Kind) {
	nodes := start(t, join, 2)
	e := newNode(t, join())
	e.runEmitter(func(m *adapter.Message) { e.delivered <- m })
	all := []*adapter.Message{
		{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"nowhere"}, Payload: event(`["e",1]`)},
		{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["e",2]`)},
		{Kind: adapter.Join, Namespace: "/", Rooms: []string{"b"}, Targets: []string{"x"}},
		{Kind: adapter.Leave, Namespace: "/", Rooms: []string{"b"}, Targets: []string{"x"}},
		{Kind: adapter.Disconnect, Namespace: "/", Rooms: []string{"b"}},
		{Kind: adapter.ServerSide, Namespace: "/", Payload: event(`["e",3]`)},
	}
	for _, m := range all {
		if !slices.Contains(kinds, m.Kind) {
			continue
		}
		// The subscription takes effect some time after the start.
		for seen := false; !seen; {
			nodes[0].publish(m)
			select {
			case got := <-e.delivered:
				seen = format(got) == format(m)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	if slices.Contains(kinds, adapter.Fetch) {
		nodes[1].answer = replying(&adapter.Reply{Kind: adapter.Fetched})
		if _, err := nodes[0].collect(t.Context(), &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}); err != nil {
			t.Fatal(err)
		}
		for e.next().Kind != adapter.Fetch {
			continue
		}
	}
	checkCounts(t, nodes)
}
