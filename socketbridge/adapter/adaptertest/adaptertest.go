// Package adaptertest has the tests that every adapter.Adapter has to pass:
//
//	func TestAdapter(t *testing.T) {
//		adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
//			hub := adapter.NewMemory()
//			return hub.Join // one more node of the same cluster
//		})
//	}
package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// Run runs the suite. Cluster begins a new cluster of nobody and returns what makes
// adapters of its nodes.
func Run(t *testing.T, cluster func(t *testing.T) func() adapter.Adapter) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, func() adapter.Adapter)
	}{
		{"messages", testMessages},
		{"not to oneself, nor to other namespaces", testReach},
		{"order", testOrder},
		{"a large message", testLarge},
		{"replies", testReplies},
		{"an answer may come late", testLateAnswer},
		{"a node that does not reply", testIncomplete},
		{"a reader that loses interest", testLeave},
		{"alone", testAlone},
		{"nodes come and go", testNodes},
		{"many at a time", testConcurrent},
		{"rooms", testRooms},
		{"after the end", testEnd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, cluster(t))
		})
	}
}

// node is a node without a server.
type node struct {
	adapter.Adapter
	t      *testing.T
	id     string
	got    chan *adapter.Message
	answer func(ctx context.Context, m *adapter.Message, yield func(*adapter.Reply) bool)
	stop   context.CancelFunc
	done   chan error
}

func (n *node) ID() string                 { return n.id }
func (n *node) Deliver(m *adapter.Message) { n.got <- m }

func (n *node) Answer(ctx context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		if n.answer != nil {
			n.answer(ctx, m, yield)
		}
	}
}

// start starts count nodes that serve / and /chat, and waits until they have found
// each other.
func start(t *testing.T, join func() adapter.Adapter, count int) []*node {
	t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = newNode(t, join())
		nodes[i].run()
	}
	for _, n := range nodes {
		n.await("/", count)
		n.await("/chat", count)
		n.room("a", false, true)
	}
	for _, n := range nodes {
		nodes[0].hear(n, "a")
	}
	// What was published so far has come when these have, each on its way.
	nodes[0].publish(news("a", `["room"]`))
	nodes[0].publish(news("", `["all"]`))
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

// room opens or closes a room on a node.
func (n *node) room(name string, private, open bool) {
	w, ok := n.Adapter.(adapter.RoomWatcher)
	switch {
	case !ok:
	case open:
		w.RoomOpened("/", name, private)
	default:
		w.RoomClosed("/", name, private)
	}
}

// hear publishes to a room until it arrives at another node: a room takes effect some
// time after it was opened.
func (n *node) hear(other *node, room string) {
	n.t.Helper()
	if n == other {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n.publish(news(room, `["for `+room+`"]`))
		select {
		case m := <-other.got:
			if string(m.Payload.JSON) == `["for `+room+`"]` {
				return
			}
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("nothing comes for %q", room)
		}
	}
}

func newNode(t *testing.T, a adapter.Adapter) *node {
	n := &node{Adapter: a, t: t, id: rand.Text(), got: make(chan *adapter.Message, 10_000), done: make(chan error, 1)}
	n.Open("/")
	n.Open("/chat")
	n.Open("/chat") // nothing
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx, n) }() // ends with ctx; end waits for it
	n.t.Cleanup(n.end)
}

func (n *node) end() {
	n.stop()
	select {
	case err := <-n.done:
		if !errors.Is(err, context.Canceled) {
			n.t.Errorf("Run ended with %v", err)
		}
		n.done <- err
	case <-time.After(patience):
		n.t.Error("Run does not end")
	}
}

// await waits until count nodes serve the namespace.
func (n *node) await(namespace string, count int) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
			n.t.Fatalf("%d nodes (%v), want %d", got, err, count)
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

// next returns the next message that came.
func (n *node) next() *adapter.Message {
	n.t.Helper()
	select {
	case m := <-n.got:
		return m
	case <-time.After(patience):
		n.t.Fatal("no message came")
		return nil
	}
}

// show writes a message as text, for comparison: what adapters need not keep apart
// looks the same.
func show(m *adapter.Message) string {
	return fmt.Sprintf("kind %d %s to %q except %q volatile %v nocompress %v timeout %v event %s %x targets %q close %v",
		m.Kind, m.Namespace, m.Rooms, m.Except, m.Volatile, m.NoCompress, m.Timeout, m.Payload.JSON, m.Payload.Attachments, m.Targets, m.Close)
}

func event(text string, attachments ...[]byte) adapter.Payload {
	return adapter.Payload{JSON: []byte(text), Attachments: attachments}
}

func news(room string, text string) *adapter.Message {
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: event(text)}
	if room != "" {
		m.Rooms = []string{room}
	}
	return m
}

func testMessages(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const ph = `{"_placeholder":true,"num":`
	for _, m := range []*adapter.Message{
		news("", `["e"]`),
		{Kind: adapter.Broadcast, Namespace: "/chat", Rooms: []string{"a", "b"}, Except: []string{"c"}, Volatile: true, NoCompress: true,
			Payload: event(`["e",1,-1,127,128,-32,-33,255,256,65535,65536,-129,-32769,4294967296,-2147483649,9007199254740991,1.5,-0.25,1e+300,true,false,null,"","é😀\n",{},[],{"a":{"b":[1,{"c":"d"}]}}]`)},
		{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"a"}, Payload: event(`["bin",`+ph+`0},{"x":[`+ph+`1}]}]`, []byte{0, 1, 255}, []byte{})},
		{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"a", "b"}, Payload: event(`["no binary",` + ph + `0}]`)},
		{Kind: adapter.Broadcast, Namespace: "/", Payload: event(`["` + strings.Repeat("s", 300) + `",[` + strings.Repeat("0,", 70_000) + `0],"` + strings.Repeat("s", 70_000) + `"]`)},
		{Kind: adapter.Broadcast, Namespace: "/", Payload: event(`["bin",`+ph+`0}]`, bytes.Repeat([]byte{7}, 70_000))},
		{Kind: adapter.Join, Namespace: "/chat", Rooms: []string{"a"}, Except: []string{"b"}, Targets: []string{"x", "y"}},
		{Kind: adapter.Leave, Namespace: "/", Rooms: []string{"a", "b"}, Targets: []string{"x"}},
		{Kind: adapter.Disconnect, Namespace: "/", Except: []string{"b"}, Close: true},
		{Kind: adapter.Disconnect, Namespace: "/", Rooms: []string{"a"}},
		{Kind: adapter.ServerSide, Namespace: "/", Payload: event(`["e",{"a":"é"},[1]]`)},
		{Kind: adapter.ServerSide, Namespace: "/chat", Payload: event(`["e",`+ph+`0}]`, []byte{1, 2})},
	} {
		nodes[0].publish(m)
		for _, n := range nodes[1:] {
			if got, want := show(n.next()), show(m); got != want {
				t.Errorf("got  %.400s\nwant %.400s", got, want)
			}
		}
	}
}

func testReach(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/elsewhere", Payload: event(`["lost"]`)})
	nodes[0].publish(news("", `["first"]`))
	nodes[1].publish(news("", `["second"]`))
	if got := string(nodes[1].next().Payload.JSON); got != `["first"]` {
		t.Errorf("got %s", got)
	}
	if got := string(nodes[0].next().Payload.JSON); got != `["second"]` {
		t.Errorf("got %s", got)
	}
}

// What one goroutine publishes in one way arrives in its order.
func testOrder(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const count = 300
	for i := range count {
		nodes[0].publish(news("", fmt.Sprintf(`["e",%d]`, i)))
	}
	for _, n := range nodes[1:] {
		for i := range count {
			if got, want := string(n.next().Payload.JSON), fmt.Sprintf(`["e",%d]`, i); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
}

func testLarge(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: event(`["e",{"_placeholder":true,"num":0}]`, big)})
	if got := nodes[1].next(); len(got.Payload.Attachments) != 1 || !bytes.Equal(got.Payload.Attachments[0], big) {
		t.Errorf("a message of %d bytes came", len(got.Payload.JSON))
	}
}

// collect returns all replies as text, sorted, and the error.
func (n *node) collect(ctx context.Context, m *adapter.Message) (string, error) {
	var all []string
	var err error
	for r, e := range n.Ask(ctx, m) {
		if e != nil {
			err = e
			continue
		}
		all = append(all, showReply(r))
	}
	slices.Sort(all)
	return strings.Join(all, " | "), err
}

func showReply(r *adapter.Reply) string {
	switch r.Kind {
	case adapter.Counted:
		return fmt.Sprintf("count %d", r.Clients)
	case adapter.Answered:
		return fmt.Sprintf("answer %s %x", r.Payload.JSON, r.Payload.Attachments)
	case adapter.Fetched:
		text := "sockets"
		for _, s := range r.Sockets {
			text += fmt.Sprintf(" %s %q %s %s", s.ID, s.Rooms, s.Handshake, s.Data)
		}
		return text
	case adapter.Listed:
		return fmt.Sprintf("rooms %q", r.Rooms)
	default:
		return fmt.Sprintf("kind %d", r.Kind)
	}
}

// replying yields the same replies to everything.
func replying(replies ...*adapter.Reply) func(context.Context, *adapter.Message, func(*adapter.Reply) bool) {
	return func(_ context.Context, _ *adapter.Message, yield func(*adapter.Reply) bool) {
		for _, r := range replies {
			if !yield(r) {
				return
			}
		}
	}
}

func testReplies(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const ph = `{"_placeholder":true,"num":0}`
	for _, tt := range []struct {
		name string
		ask  *adapter.Message
		one  []*adapter.Reply
		two  []*adapter.Reply
		want string
	}{
		{"answers of clients", &adapter.Message{Kind: adapter.Broadcast, Rooms: []string{"a"}, Except: []string{"b"}, Timeout: time.Minute, Payload: event(`["e",1]`)},
			[]*adapter.Reply{{Kind: adapter.Counted, Clients: 2}, {Kind: adapter.Answered, Payload: event(`["one"]`)}, {Kind: adapter.Answered, Payload: event(`[{"b":`+ph+`}]`, []byte{9})}},
			[]*adapter.Reply{{Kind: adapter.Counted, Clients: 1}, {Kind: adapter.Answered, Payload: event(`[]`)}},
			`answer ["one"] [] | answer [] [] | answer [{"b":` + ph + `}] [09] | count 1 | count 2`},
		{"no clients", &adapter.Message{Kind: adapter.Broadcast, Timeout: time.Minute, Payload: event(`["e",`+ph+`]`, []byte{1})},
			[]*adapter.Reply{{Kind: adapter.Counted}}, []*adapter.Reply{{Kind: adapter.Counted}},
			`count 0 | count 0`},
		{"sockets", &adapter.Message{Kind: adapter.Fetch, Rooms: []string{"a"}, Except: []string{"b"}},
			[]*adapter.Reply{{Kind: adapter.Fetched, Sockets: []adapter.Socket{
				{ID: "x", Rooms: []string{"x", "r"}, Handshake: []byte(`{"issued":1}`), Data: []byte(`{"k":[1,"v"]}`)},
				{ID: "y", Rooms: []string{"y"}, Handshake: []byte(`{}`), Data: []byte(`{}`)}}}},
			[]*adapter.Reply{{Kind: adapter.Fetched}},
			`sockets | sockets x ["x" "r"] {"issued":1} {"k":[1,"v"]} y ["y"] {} {}`},
		{"rooms", &adapter.Message{Kind: adapter.ListRooms},
			[]*adapter.Reply{{Kind: adapter.Listed, Rooms: []string{"a", "b"}}}, []*adapter.Reply{{Kind: adapter.Listed}},
			`rooms ["a" "b"] | rooms []`},
		{"answers of servers", &adapter.Message{Kind: adapter.ServerSide, Payload: event(`["e","x"]`)},
			[]*adapter.Reply{{Kind: adapter.Answered, Payload: event(`[{"a":1}]`)}}, []*adapter.Reply{{Kind: adapter.Answered, Payload: event(`[]`)}},
			`answer [] [] | answer [{"a":1}] []`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan string, 2)
			for i, replies := range [][]*adapter.Reply{tt.one, tt.two} {
				nodes[1+i].answer = func(ctx context.Context, m *adapter.Message, yield func(*adapter.Reply) bool) {
					reply := replying(replies...)
					if m.Kind == adapter.Fetch && tt.ask.Kind == adapter.ListRooms {
						// An adapter may read the rooms off the sockets.
						reply = replying(&adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: "x", Rooms: replies[0].Rooms}}})
						asked <- show(tt.ask)
					} else {
						asked <- show(m)
					}
					reply(ctx, m, yield)
				}
			}
			nodes[0].answer = func(context.Context, *adapter.Message, func(*adapter.Reply) bool) { t.Error("a node asked itself") }
			tt.ask.Namespace = "/"
			got, err := nodes[0].collect(ctx, tt.ask)
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
			for range 2 {
				if got, want := <-asked, show(tt.ask); got != want {
					t.Errorf("asked %s\nwant  %s", got, want)
				}
			}
		})
	}
}

// Replies are passed on as they come, and not when all are there.
func testLateAnswer(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	release := make(chan struct{})
	nodes[1].answer = func(_ context.Context, _ *adapter.Message, yield func(*adapter.Reply) bool) {
		_ = yield(&adapter.Reply{Kind: adapter.Counted, Clients: 1})
		<-release
		yield(&adapter.Reply{Kind: adapter.Answered, Payload: event(`["late"]`)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	for r, err := range nodes[0].Ask(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Timeout: time.Minute, Payload: event(`["e"]`)}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, showReply(r))
		if r.Kind == adapter.Counted {
			close(release)
		}
	}
	if len(got) != 2 || got[1] != `answer ["late"] []` {
		t.Errorf("got %q", got)
	}
}

func testIncomplete(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	nodes[1].answer = replying(&adapter.Reply{Kind: adapter.Fetched})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	var last error
	for r, err := range nodes[0].Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
		if err != nil {
			last = err
			continue
		}
		got = append(got, showReply(r))
		cancel() // the time is over before the other has replied
	}
	if !errors.Is(last, adapter.ErrIncomplete) || !errors.Is(last, context.Canceled) || len(got) != 1 {
		t.Errorf("%q, %v", got, last)
	}
}

func testLeave(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	for _, n := range nodes[1:] {
		n.answer = func(ctx context.Context, m *adapter.Message, yield func(*adapter.Reply) bool) {
			yield(&adapter.Reply{Kind: adapter.Fetched})
		}
	}
	for range 20 {
		n := 0
		for _, err := range nodes[0].Ask(t.Context(), &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			break
		}
		if n != 1 {
			t.Fatalf("%d replies", n)
		}
	}
}

func testAlone(t *testing.T, join func() adapter.Adapter) {
	n := start(t, join, 1)[0]
	n.publish(news("", `["e"]`))
	for _, k := range []adapter.Kind{adapter.Broadcast, adapter.Fetch, adapter.ListRooms, adapter.ServerSide} {
		if got, err := n.collect(t.Context(), &adapter.Message{Kind: k, Namespace: "/", Payload: event(`["e"]`)}); got != "" || err != nil {
			t.Errorf("kind %d: %s, %v", k, got, err)
		}
	}
}

func testNodes(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	nodes[2].end()
	nodes[0].await("/", 2)
	late := newNode(t, join())
	late.run()
	nodes[0].await("/", 3)
	late.await("/", 3)
	late.Open("/late") // after Run has begun
	late.await("/late", 1)
	nodes[0].Open("/late")
	late.await("/late", 2)
	nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/late", Payload: event(`["e"]`)})
	if got := late.next().Namespace; got != "/late" {
		t.Errorf("got %s", got)
	}
}

func testConcurrent(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	for _, n := range nodes {
		n.answer = replying(&adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: n.id}}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const each = 20
	var wg sync.WaitGroup
	for i, n := range nodes {
		for g := range each {
			wg.Go(func() { // waited for below
				n.publishOrFail(ctx, news("", fmt.Sprintf(`["e",%d,%d]`, i, g)))
				var from []string
				for r, err := range n.Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
					if err != nil {
						t.Errorf("Ask: %v", err)
						return
					}
					for _, s := range r.Sockets {
						from = append(from, s.ID)
					}
				}
				if len(from) != 2 || from[0] == from[1] || slices.Contains(from, n.id) {
					t.Errorf("replies of %q to %s", from, n.id)
				}
			})
		}
	}
	wg.Wait()
	for _, n := range nodes {
		seen := map[string]bool{}
		for range 2 * each {
			seen[string(n.next().Payload.JSON)] = true
		}
		if len(seen) != 2*each {
			t.Errorf("%d different messages, want %d", len(seen), 2*each)
		}
	}
}

func (n *node) publishOrFail(ctx context.Context, m *adapter.Message) {
	if err := n.Publish(ctx, m); err != nil {
		n.t.Errorf("Publish: %v", err)
	}
}

// A node hears what is for the rooms that it has, whether it follows rooms or not.
func testRooms(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	const id = "Y2hhcmFjdGVycyAyMA=="
	nodes[1].room("room", false, true)
	nodes[1].room(id, true, true)
	nodes[1].room(id, false, true) // somebody joins the room of a socket's ID
	nodes[0].hear(nodes[1], "room")
	nodes[0].hear(nodes[1], id)
	nodes[1].room(id, false, false)
	nodes[0].hear(nodes[1], id)
	for range 20 { // whatever the order of events is, the last one counts
		nodes[1].room("room", false, false)
		nodes[1].room("room", false, true)
	}
	nodes[0].hear(nodes[1], "room")
	nodes[0].hear(nodes[1], "")
}

func testEnd(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	nodes[1].end()
	if err := nodes[1].Publish(t.Context(), news("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := nodes[1].collect(t.Context(), &adapter.Message{Kind: adapter.ListRooms, Namespace: "/"}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Ask: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nodes[0].Publish(ended, news("", `["e"]`)); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("Publish with a context that has ended: %v", err)
	}
}
