package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestCluster_Broadcast(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	on0 := nodes[0].Of("/").Socket(peers[0].sid)
	for _, tt := range []struct {
		name string
		emit func(event string) error
		want string // the nodes whose peers get the event
	}{
		{"all", func(e string) error { return nodes[0].Emit(e) }, "012"},
		{"a room of another node", func(e string) error { return nodes[0].To("2").Emit(e) }, "2"},
		{"two rooms", func(e string) error { return nodes[1].To("0", "2").Emit(e) }, "02"},
		{"in both rooms, once", func(e string) error { return nodes[1].To("0", "all").Emit(e) }, "012"},
		{"except a room", func(e string) error { return nodes[0].To("all").Except("1").Emit(e) }, "02"},
		{"all except", func(e string) error { return nodes[0].Except("1", "2").Emit(e) }, "0"},
		{"a socket by its ID", func(e string) error { return nodes[0].To(peers[1].sid).Emit(e) }, "1"},
		{"from a socket", func(e string) error { return on0.Broadcast().Emit(e) }, "12"},
		{"from a socket to a room that it is in", func(e string) error { return on0.To("all").Emit(e) }, "12"},
		{"this node", func(e string) error { return nodes[1].Of("/").Broadcast().Local().Emit(e) }, "1"},
		{"volatile", func(e string) error { return nodes[0].To("all").Volatile().Compress(false).Emit(e) }, "012"},
		{"no users", func(e string) error { return nodes[0].ToUser().Emit(e) }, ""},
		{"another namespace", func(e string) error { return nodes[0].Of("/chat").Emit(e) }, ""},
		{"a namespace that others do not have", func(e string) error { return nodes[0].Of("/own").Emit(e) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.emit("hit"); err != nil {
				t.Fatal(err)
			}
			if err := nodes[0].Emit("end"); err != nil {
				t.Fatal(err)
			}
			for i, p := range peers {
				got := p.next()
				if hit := got == `2["hit"]`; hit != strings.Contains(tt.want, fmt.Sprint(i)) {
					t.Errorf("peer %d got %s, want the event only on nodes %q", i, got, tt.want)
				} else if hit {
					p.expect(`2["end"]`)
				}
			}
		})
	}
}

func TestCluster_BroadcastBinary(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 2, socketbridge.Config{})
	p := join(t, nodes[1], "/chat")
	if err := nodes[0].Of("/chat").Emit("bin", []byte{1, 2}, map[string]any{"b": []byte{3}}); err != nil {
		t.Fatal(err)
	}
	p.expect(`52-/chat,["bin",{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]`)
	for _, want := range []string{"\x01\x02", "\x03"} {
		if m := p.nextMessage(); !m.Binary || string(m.Data) != want {
			t.Errorf("got binary %v and %q, want a binary message %q", m.Binary, m.Data, want)
		}
	}
}

// The answers of clients on all nodes are collected.
func TestCluster_EmitWithAck(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	for _, p := range peers {
		p := p
		go func() { // ends with the question
			text := p.next()
			id, _, _ := strings.Cut(strings.TrimPrefix(text, "2"), "[")
			p.send("3" + id + `["` + p.sid + `",2]`)
		}()
	}
	answers, err := nodes[0].To("all").Timeout(30*time.Second).EmitWithAck(t.Context(), "who", 1)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, a := range answers {
		var sid string
		if err := a.Bind(&sid); err != nil {
			t.Fatal(err)
		}
		got = append(got, sid)
	}
	for _, p := range peers {
		want = append(want, p.sid)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got answers from %q, want %q", got, want)
	}
	if answers, err := nodes[0].To("an empty room").EmitWithAck(t.Context(), "who"); err != nil || len(answers) != 0 {
		t.Errorf("an empty room: got answers %v and error %v, want none", answers, err)
	}
}

// After the timeout, the answers received so far from all nodes are returned.
func TestCluster_EmitWithAckTimeout(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	var answering sync.WaitGroup
	defer answering.Wait()
	timeout := 100 * time.Millisecond
	waitFor(t, "a call that returns the one answer", func() bool {
		timeout *= 2 // the machine may be slow
		for i, p := range peers {
			answering.Go(func() { // ends with the question
				text := p.next()
				id, _, _ := strings.Cut(strings.TrimPrefix(text, "2"), "[")
				if i == 2 {
					p.send("3" + id + `["here"]`)
				}
			})
		}
		answers, err := nodes[0].To("all").Timeout(timeout).EmitWithAck(t.Context(), "who")
		answering.Wait()
		if !errors.Is(err, socketbridge.ErrAckTimeout) || len(answers) > 1 {
			t.Fatalf("got answers %v and error %v, want at most 1 and ErrAckTimeout", answers, err)
		}
		return len(answers) == 1
	})
}

func TestCluster_FetchSockets(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	s := nodes[2].Of("/").Socket(peers[2].sid)
	s.Data().Set("name", "x")
	s.Data().Set("n", 7)
	s.Data().Set("secret", func() {})
	s.Data().Set("map", map[string]int{"may change": 1})
	if err := s.Data().Share("list", []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	all, err := nodes[0].FetchSockets(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("all: got %d sockets and error %v, want 3", len(all), err)
	}
	some, err := nodes[0].To("2").FetchSockets(t.Context())
	if err != nil || len(some) != 1 {
		t.Fatalf("room 2: got %d sockets and error %v, want 1", len(some), err)
	}
	r := some[0]
	var name string
	var n int
	var list []int
	if err := errors.Join(r.Data("name", &name), r.Data("n", &n), r.Data("list", &list)); err != nil || name != "x" || n != 7 || len(list) != 2 {
		t.Errorf("got data %q, %d, %v and error %v, want x, 7 and a list of 2", name, n, list, err)
	}
	for _, key := range []string{"secret", "map", "none"} {
		if err := r.Data(key, new(any)); !errors.Is(err, socketbridge.ErrMissingArg) {
			t.Errorf("data %s: got error %v, want ErrMissingArg", key, err)
		}
	}
	if want := []string{r.ID(), "2", "all"}; r.ID() != peers[2].sid || !slices.Equal(r.Rooms(), want) {
		t.Errorf("socket %s: got rooms %q, want %q", r.ID(), r.Rooms(), want)
	}
	if err := errors.Join(r.Join("new"), r.Leave("all")); err != nil {
		t.Fatal(err)
	}
	if want := []string{r.ID(), "2", "new"}; !slices.Equal(s.Rooms(), want) {
		t.Errorf("after Join and Leave: got rooms %q, want %q", s.Rooms(), want)
	}
	if err := r.Emit("hello"); err != nil {
		t.Fatal(err)
	}
	peers[2].expect(`2["hello"]`)
	rooms, err := nodes[0].Of("/").AllRooms(t.Context())
	slices.Sort(rooms)
	want := []string{"0", "1", "2", "all", "new", peers[0].sid, peers[1].sid, peers[2].sid}
	slices.Sort(want)
	if err != nil || !slices.Equal(rooms, want) {
		t.Errorf("AllRooms: got %q and error %v, want %q", rooms, err, want)
	}
	if err := r.Disconnect(false); err != nil {
		t.Fatal(err)
	}
	peers[2].expect(`1`)
	waitFor(t, "the socket to leave", func() bool {
		left, err := nodes[0].To("2").FetchSockets(t.Context())
		return err == nil && len(left) == 0
	})
	if _, err := r.EmitWithAck(t.Context(), "hello"); !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Errorf("EmitWithAck to a disconnected socket: got error %v, want ErrDisconnected", err)
	}
	local, err := nodes[0].Of("/").Broadcast().Local().FetchSockets(t.Context())
	if err != nil || len(local) != 1 || local[0].ID() != peers[0].sid {
		t.Errorf("local: got %v and error %v, want the socket of node 0", local, err)
	}
}

func TestCluster_JoinLeaveDisconnect(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	if err := nodes[0].To("1", "2").Join("late"); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Of("/").Broadcast().Local().Join("mine"); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].To("2").Leave("late"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"0,all,mine", "1,all,late", "2,all"} {
		s := nodes[i].Of("/").Socket(peers[i].sid)
		if got := strings.Join(s.Rooms()[1:], ","); got != want {
			t.Errorf("peer %d: got rooms %s, want %s", i, got, want)
		}
	}
	if err := nodes[0].To("1").Join("fiberbridge:user:x"); !errors.Is(err, socketbridge.ErrRoomName) && err != nil {
		t.Errorf("Join of a reserved room: got error %v, want ErrRoomName", err)
	}
	if err := nodes[2].Except("2").Disconnect(true); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers[:2] {
		if got := p.waitForClose(); got != transport.ForcedClose {
			t.Errorf("closed with %q, want %q", got, transport.ForcedClose)
		}
	}
	if nodes[2].Of("/").Socket(peers[2].sid) == nil {
		t.Error("the excepted socket was disconnected too")
	}
}

func TestCluster_ServerSideEmit(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 3, socketbridge.Config{Timeouts: socketbridge.Timeouts{Request: 30 * time.Second}})
	received := make(events, 100)
	for i, n := range nodes {
		n.OnServerSideEmit("notify", func(e *socketbridge.ServerEvent) {
			var text string
			var data []byte
			if err := e.Bind(&text, &data); err != nil {
				t.Error(err)
			}
			received.add("%d %s %x %v", i, text, data, e.WantsAck())
			if err := e.Ack("not sent"); err != nil {
				t.Error(err)
			}
		})
		n.OnServerSideEmit("ask", func(e *socketbridge.ServerEvent) {
			if err := e.Ack(map[string]int{"node": i}); err != nil {
				t.Error(err)
			}
			if err := e.Ack(0); !errors.Is(err, socketbridge.ErrAcked) {
				t.Errorf("second answer: got error %v, want ErrAcked", err)
			}
			panic("a panic affects nothing else")
		})
	}
	if err := nodes[0].ServerSideEmit("notify", "x", []byte{1}); err != nil {
		t.Fatal(err)
	}
	got := []string{<-received, <-received}
	slices.Sort(got)
	if want := []string{"1 x 01 false", "2 x 01 false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range 2 {
		answers, err := nodes[1].ServerSideEmitWithAck(t.Context(), "ask")
		var sum int
		for _, a := range answers {
			var v struct{ Node int }
			if err := a.Bind(&v); err != nil {
				t.Fatal(err)
			}
			sum += 10 + v.Node
		}
		if err != nil || sum != 22 { // nodes 0 and 2
			t.Errorf("got answers %v with sum %d and error %v, want sum 22", answers, sum, err)
		}
	}
	if err := nodes[0].ServerSideEmit("disconnect"); !errors.Is(err, socketbridge.ErrReservedEvent) {
		t.Errorf("ServerSideEmit of a reserved name: got error %v, want ErrReservedEvent", err)
	}
	alone := newServer(t, socketbridge.Config{})
	if answers, err := alone.ServerSideEmitWithAck(t.Context(), "ask"); err != nil || len(answers) != 0 {
		t.Errorf("without an adapter: got answers %v and error %v, want none", answers, err)
	}
	if n, err := alone.Nodes(t.Context()); n != 1 || err != nil {
		t.Errorf("without an adapter: got %d nodes and error %v, want 1", n, err)
	}
}

// failingAdapter is an adapter that cannot send. Tests deliver messages to its node.
type failingAdapter struct {
	mu   sync.Mutex
	node adapter.Node
	err  error
}

func (b *failingAdapter) Open(string) {}

func (b *failingAdapter) Run(ctx context.Context, n adapter.Node) error {
	b.mu.Lock()
	b.node = n
	b.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (b *failingAdapter) Publish(context.Context, *adapter.Message) error { return b.err }

func (b *failingAdapter) Ask(context.Context, *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) { yield(nil, b.err) }
}

func (b *failingAdapter) Nodes(context.Context, string) (int, error) { return 0, b.err }

func (b *failingAdapter) waitForNode(t *testing.T) (n adapter.Node) {
	waitFor(t, "the server to run its adapter", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		n = b.node
		return n != nil
	})
	return n
}

// If other nodes are unreachable, calls still reach this node's sockets and return an error.
func TestCluster_OtherNodesUnreachable(t *testing.T) {
	t.Parallel()
	b := &failingAdapter{err: fmt.Errorf("%w: test", adapter.ErrUnknownOutcome)}
	io := newServer(t, socketbridge.Config{Adapter: b})
	p := join(t, io, "/")
	if err := io.Emit("e"); !errors.Is(err, adapter.ErrUnknownOutcome) {
		t.Errorf("Emit: got error %v, want ErrUnknownOutcome", err)
	}
	p.expect(`2["e"]`)
	if err := io.To(p.sid).Join("room"); !errors.Is(err, adapter.ErrUnknownOutcome) {
		t.Errorf("Join: got error %v, want ErrUnknownOutcome", err)
	}
	all, err := io.To("room").FetchSockets(t.Context())
	if !errors.Is(err, adapter.ErrUnknownOutcome) || len(all) != 1 {
		t.Errorf("FetchSockets: got %v and error %v, want 1 socket and ErrUnknownOutcome", all, err)
	}
	go func() { // ends with the question
		text := p.next()
		id, _, _ := strings.Cut(strings.TrimPrefix(text, "2"), "[")
		p.send("3" + id + `["here"]`)
	}()
	answers, err := io.To("room").EmitWithAck(t.Context(), "ask")
	if !errors.Is(err, adapter.ErrUnknownOutcome) || len(answers) != 1 {
		t.Errorf("EmitWithAck: got %v and error %v, want 1 answer and ErrUnknownOutcome", answers, err)
	}
	if err := io.To("room").Disconnect(false); !errors.Is(err, adapter.ErrUnknownOutcome) {
		t.Errorf("Disconnect: got error %v, want ErrUnknownOutcome", err)
	}
	p.expect(`1`)
}

// Malformed messages of other nodes are dropped: clients would close their connections.
func TestCluster_MalformedMessages(t *testing.T) {
	t.Parallel()
	b := &failingAdapter{}
	io := newServer(t, socketbridge.Config{Adapter: b})
	n := b.waitForNode(t)
	p := join(t, io, "/")
	bad := []adapter.Payload{
		{}, {JSON: []byte(`{}`)}, {JSON: []byte(`[]`)}, {JSON: []byte(`["e"`)}, {JSON: []byte(`["e"]x`)}, {JSON: []byte(`[true]`)},
		{JSON: []byte(`["disconnect"]`)}, {JSON: []byte("[\"\xff\"]")}, {JSON: []byte(`7["e"]`)}, {JSON: []byte(`/a,["e"]`)},
		{JSON: []byte(`["e"]`), Attachments: [][]byte{{1}}},
		{JSON: []byte(`["e",{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{1}}},
		{JSON: []byte(`["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}},
		{JSON: []byte(`["e"` + strings.Repeat(`,{"_placeholder":true,"num":0}`, 11) + `]`), Attachments: make([][]byte, 11)},
		{JSON: []byte(`["e",` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `]`)},
	}
	for _, payload := range bad {
		for _, m := range []*adapter.Message{
			{Kind: adapter.Broadcast, Namespace: "/", Payload: payload},
			{Kind: adapter.ServerSide, Namespace: "/", Payload: payload},
		} {
			n.Deliver(m)
			for r := range n.Answer(t.Context(), m) {
				if r.Kind != adapter.Counted || r.Clients != 0 {
					t.Errorf("reply to %s: got %+v, want Counted with 0 clients", payload.JSON, r)
				}
			}
		}
	}
	for _, m := range []*adapter.Message{
		{}, {Kind: 99, Namespace: "/"},
		{Kind: adapter.Join, Namespace: "/", Targets: []string{"", "fiberbridge:user:x", strings.Repeat("x", 300)}},
		{Kind: adapter.Join, Namespace: "/", Targets: []string{"fiberbridge:user:x"}},
		{Kind: adapter.Leave, Namespace: "/", Targets: []string{p.sid}},
	} {
		n.Deliver(m)
		for range n.Answer(t.Context(), m) {
			t.Errorf("got a reply to %+v, want none", m)
		}
	}
	none := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/none", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}
	n.Deliver(none)
	for r := range n.Answer(t.Context(), none) { // it may be a child that was removed: the other node counts on a reply
		if r.Kind != adapter.Counted || r.Clients != 0 {
			t.Errorf("reply for a namespace that does not exist: got %+v, want Counted with 0 clients", r)
		}
	}
	s := io.Of("/").Socket(p.sid)
	if got := s.Rooms(); len(got) != 1 {
		t.Errorf("got rooms %q, want only the socket's own", got)
	}
	n.Deliver(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["good"]`)}})
	p.expect(`2["good"]`)
}

// The description of a socket for other nodes contains no secrets of its handshake.
func TestCluster_DescriptionHoldsNoSecret(t *testing.T) {
	t.Parallel()
	b := &failingAdapter{}
	io := newServer(t, socketbridge.Config{Adapter: b})
	conn, err := transporttest.Connect(io, &transport.Handshake{
		Time: time.UnixMilli(1_700_000_000_000), Path: "/socket.io/", RemoteIP: "192.0.2.1", Secure: true,
		Header:  map[string][]string{"Authorization": {"secret"}, "User-Agent": {"browser"}, "X-Api-Key": {"secret"}, "Origin": {"https://a.example"}},
		Query:   map[string][]string{"token": {"secret"}},
		Cookies: map[string]string{"other": "secret"},
		Locals:  map[string]any{"user": "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	p.send(`0{"token":"secret"}`)
	p.next()
	var described []adapter.Socket
	for r := range b.waitForNode(t).Answer(t.Context(), &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
		described = append(described, r.Sockets...)
	}
	if len(described) != 1 {
		t.Fatalf("got %d sockets, want 1", len(described))
	}
	var got map[string]any
	if err := json.Unmarshal(described[0].Handshake, &got); err != nil {
		t.Fatal(err)
	}
	if text := string(described[0].Handshake); strings.Contains(text, "secret") || got["address"] != "192.0.2.1" || got["issued"] != 1.7e12 || got["xdomain"] != true {
		t.Errorf("got handshake %s, want address, issued and xdomain, without secrets", text)
	}
}
