package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Run runs the suite. cluster starts a new cluster without nodes. It returns a function that
// creates the adapter of one more node. Each rule is a parallel subtest.
func Run(t *testing.T, cluster func(t *testing.T) func() adapter.Adapter) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, func() adapter.Adapter)
	}{
		{"messages", testMessages},
		{"delivery to other nodes of the namespace only", testReach},
		{"order", testOrder},
		{"a large message", testLarge},
		{"replies", testReplies},
		{"an answer after the other replies", testLateAnswer},
		{"a node that does not reply", testIncomplete},
		{"an iteration that stops early", testStopEarly},
		{"a single node", testAlone},
		{"nodes start and stop", testNodes},
		{"a namespace is closed", testClose},
		{"concurrent calls", testConcurrent},
		{"rooms", testRooms},
		{"before the beginning", testBegin},
		{"after the end", testEnd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, cluster(t))
		})
	}
}

func testMessages(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const ph = `{"_placeholder":true,"num":`
	for _, m := range []*adapter.Message{
		broadcastTo("", `["e"]`),
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
			if got, want := format(n.next()), format(m); got != want {
				t.Errorf("got  %.400s\nwant %.400s", got, want)
			}
		}
	}
}

func testReach(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/elsewhere", Payload: event(`["lost"]`)})
	nodes[0].publish(broadcastTo("", `["first"]`))
	nodes[1].publish(broadcastTo("", `["second"]`))
	if got := string(nodes[1].next().Payload.JSON); got != `["first"]` {
		t.Errorf("got %s", got)
	}
	if got := string(nodes[0].next().Payload.JSON); got != `["second"]` {
		t.Errorf("got %s", got)
	}
}

// A node that has closed a namespace is not counted there any more, and can open it again.
func testClose(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	c, ok := nodes[1].Adapter.(adapter.Closer)
	if !ok {
		t.Skip("the adapter is no adapter.Closer")
	}
	for range 2 {
		nodes[0].waitForNodes("/chat", 2)
		c.Close("/chat")
		c.Close("/chat") // must have no effect
		nodes[0].waitForNodes("/chat", 1)
		nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["lost"]`)})
		nodes[0].publish(broadcastTo("", `["other namespace"]`))
		if got := string(nodes[1].next().Payload.JSON); got != `["other namespace"]` {
			t.Errorf("got %s", got)
		}
		nodes[1].Open("/chat")
		nodes[1].waitForNodes("/chat", 2)
		for got := ""; got != `["found"]`; { // the subscription takes effect some time after Open
			nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["found"]`)})
			select {
			case m := <-nodes[1].delivered:
				got = string(m.Payload.JSON)
			case <-time.After(5 * time.Millisecond):
			}
		}
		// Those that are still under way arrive before the next one.
		nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["last"]`)})
		for string(nodes[1].next().Payload.JSON) != `["last"]` {
			continue
		}
	}
}

// What one goroutine publishes to the same rooms arrives in order.
func testOrder(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const count = 300
	for i := range count {
		nodes[0].publish(broadcastTo("", fmt.Sprintf(`["e",%d]`, i)))
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
		t.Errorf("a message with %d attachments arrived, want the one that was sent", len(got.Payload.Attachments))
	}
}

func testReplies(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
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
				{ID: "x", Rooms: []string{"x", "r"}, Handshake: []byte(`{"issued":1}`), Data: []byte(`{"k":[1,"v"]}`), User: `é"1`, Session: "s1"},
				{ID: "y", Rooms: []string{"y"}, Handshake: []byte(`{}`), Data: []byte(`{}`)}}}},
			[]*adapter.Reply{{Kind: adapter.Fetched}},
			`sockets | sockets x ["x" "r"] {"issued":1} {"k":[1,"v"]}é"1s1 y ["y"] {} {}`},
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
						// An adapter may derive the rooms from the descriptions of the sockets.
						reply = replying(&adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: "x", Rooms: replies[0].Rooms}}})
						asked <- format(tt.ask)
					} else {
						asked <- format(m)
					}
					reply(ctx, m, yield)
				}
			}
			nodes[0].answer = func(context.Context, *adapter.Message, func(*adapter.Reply) bool) { t.Error("the node asked itself") }
			tt.ask.Namespace = "/"
			got, err := nodes[0].collect(ctx, tt.ask)
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
			for range 2 {
				if got, want := <-asked, format(tt.ask); got != want {
					t.Errorf("node was asked %s\nwant           %s", got, want)
				}
			}
		})
	}
}

// Ask yields each reply when it arrives, without waiting for the others.
func testLateAnswer(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	release := make(chan struct{})
	nodes[1].answer = func(_ context.Context, _ *adapter.Message, yield func(*adapter.Reply) bool) {
		_ = yield(&adapter.Reply{Kind: adapter.Counted, Clients: 1})
		<-release
		yield(&adapter.Reply{Kind: adapter.Answered, Payload: event(`["late"]`)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var got []string
	for r, err := range nodes[0].Ask(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Timeout: time.Minute, Payload: event(`["e"]`)}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, formatReply(r))
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
		got = append(got, formatReply(r))
		cancel() // before the other node has replied
	}
	if !errors.Is(last, adapter.ErrIncomplete) || !errors.Is(last, context.Canceled) || len(got) != 1 {
		t.Errorf("got replies %q, error %v", got, last)
	}
}

func testStopEarly(t *testing.T, join func() adapter.Adapter) {
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
			t.Fatalf("got %d replies, want 1", n)
		}
	}
}

func testAlone(t *testing.T, join func() adapter.Adapter) {
	n := start(t, join, 1)[0]
	n.publish(broadcastTo("", `["e"]`))
	for _, k := range []adapter.Kind{adapter.Broadcast, adapter.Fetch, adapter.ListRooms, adapter.ServerSide} {
		if got, err := n.collect(t.Context(), &adapter.Message{Kind: k, Namespace: "/", Payload: event(`["e"]`)}); got != "" || err != nil {
			t.Errorf("kind %d: got replies %s, error %v", k, got, err)
		}
	}
}

func testNodes(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	nodes[2].shutDown()
	nodes[0].waitForNodes("/", 2)
	late := newNode(t, join())
	late.run()
	nodes[0].waitForNodes("/", 3)
	late.waitForNodes("/", 3)
	late.Open("/late") // while Run is running
	late.waitForNodes("/late", 1)
	nodes[0].Open("/late")
	late.waitForNodes("/late", 2)
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
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	const each = 20
	var wg sync.WaitGroup
	for i, n := range nodes {
		for g := range each {
			wg.Go(func() { // the Wait below waits for it
				n.publishOrFail(ctx, broadcastTo("", fmt.Sprintf(`["e",%d,%d]`, i, g)))
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
					t.Errorf("node %[2]s got replies from %[1]q", from, n.id)
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
			t.Errorf("got %d different messages, want %d", len(seen), 2*each)
		}
	}
}

// A node receives the messages for its rooms, whether or not its adapter watches rooms.
func testRooms(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	const id = "Y2hhcmFjdGVycyAyMA=="
	nodes[1].setRoom("room", false, true)
	nodes[1].setRoom(id, true, true)
	nodes[1].setRoom(id, false, true) // another socket joins the room of a socket's ID
	nodes[0].waitForRoom(nodes[1], "room")
	nodes[0].waitForRoom(nodes[1], id)
	nodes[1].setRoom(id, false, false)
	nodes[0].waitForRoom(nodes[1], id)
	for range 20 { // only the final state counts
		nodes[1].setRoom("room", false, false)
		nodes[1].setRoom("room", false, true)
	}
	nodes[0].waitForRoom(nodes[1], "room")
	nodes[0].waitForRoom(nodes[1], "")
}

// A call before Run waits for it, and names the cause if it does not come.
func testBegin(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 1)
	late := newNode(t, join())
	ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := late.Publish(ended, broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish before Run returned %v, want ErrUnavailable", err)
	}
	published := make(chan error, 2)
	go func() { published <- late.Publish(t.Context(), broadcastTo("", `["first"]`)) }() // ends with Run; waited for below
	go func() {
		_, err := late.Nodes(t.Context(), "/")
		published <- err
	}() // likewise
	late.run()
	for range 2 {
		if err := <-published; errors.Is(err, adapter.ErrClosed) {
			t.Errorf("a call before Run returned %v, want it to wait", err)
		}
	}
	if got := string(nodes[0].next().Payload.JSON); got != `["first"]` {
		t.Errorf("got %s", got)
	}
}

func testEnd(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	p, pings := nodes[1].Adapter.(adapter.Pinger)
	if pings {
		if err := p.Ping(t.Context()); err != nil {
			t.Errorf("Ping of a node that sends and receives returned %v", err)
		}
	}
	nodes[1].shutDown()
	if pings {
		if err := p.Ping(t.Context()); !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("Ping after the end returned %v, want ErrClosed", err)
		}
	}
	if err := nodes[1].Publish(t.Context(), broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Publish after the end returned %v, want ErrClosed", err)
	}
	if _, err := nodes[1].collect(t.Context(), &adapter.Message{Kind: adapter.ListRooms, Namespace: "/"}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Ask after the end returned %v, want ErrClosed", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nodes[0].Publish(ended, broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("Publish with a canceled context returned %v, want ErrUnavailable", err)
	}
}
