package adapter_test

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Two servers in one process share their rooms.
func ExampleMemory() {
	hub := adapter.NewMemory()
	a := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
	b := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
	defer a.Shutdown(context.Background())
	defer b.Shutdown(context.Background())
	_ = a.Emit("news", 1) // reaches the sockets of both servers
}

// printer is a Node that prints the messages of other nodes. In a server, the core is the
// Node.
type printer struct{ id string }

func (p printer) ID() string { return p.id }

func (p printer) Deliver(m *adapter.Message) {
	fmt.Printf("%s: rooms %v, event %s\n", p.id, m.Rooms, m.Payload.JSON)
}

func (p printer) Answer(ctx context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		yield(&adapter.Reply{Kind: adapter.Listed, Rooms: []string{"room of " + p.id}})
	}
}

// The core uses an Adapter like this: it opens namespaces, calls Run, and then publishes
// and asks.
func ExampleAdapter() {
	ctx, cancel := context.WithCancel(context.Background())
	hub := adapter.NewMemory()
	ended := make(chan error, 2)
	var links [2]adapter.Adapter
	for i, id := range []string{"node-a", "node-b"} {
		links[i] = hub.Join()
		links[i].Open("/")
		go func() { ended <- links[i].Run(ctx, printer{id}) }() // ends with ctx
	}
	for n := 0; n < 2; n, _ = links[0].Nodes(ctx, "/") {
		time.Sleep(time.Millisecond) // until both nodes run
	}

	_ = links[0].Publish(ctx, &adapter.Message{
		Kind:      adapter.Broadcast,
		Namespace: "/",
		Rooms:     []string{"chat"},
		Payload:   adapter.Payload{JSON: []byte(`["say","hello"]`)},
	})
	for reply, err := range links[0].Ask(ctx, &adapter.Message{Kind: adapter.ListRooms, Namespace: "/"}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println("reply:", reply.Rooms)
	}
	cancel()
	<-ended
	<-ended
	// Output:
	// node-b: rooms [chat], event ["say","hello"]
	// reply: [room of node-b]
}

// A Log delivers appended broadcasts to all nodes, including its own, and replays them.
func ExampleLog() {
	ctx, cancel := context.WithCancel(context.Background())
	log := adapter.NewMemory().Join().(adapter.Log)
	log.Open("/")
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx, printer{"node-a"}) }() // ends with ctx

	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["news",1]`)}}
	if err := log.Append(ctx, m); err != nil { // it waits for Run
		fmt.Println(err)
	}
	end, err := log.Since(ctx, "/", 0, func(m *adapter.Message) bool {
		fmt.Printf("replay %s: %s\n", m.Offset, m.Payload.JSON)
		return true
	})
	fmt.Println(end, err)
	cancel()
	<-ended
	// Output:
	// node-a: rooms [], event ["news",1]
	// replay m-1: ["news",1]
	// 1 <nil>
}

// The implementation of Ask uses a Complete to recognize the last reply.
func ExampleComplete() {
	c := adapter.NewComplete(adapter.Broadcast, 2)
	for _, r := range []*adapter.Reply{
		{Kind: adapter.Counted, Clients: 1}, // the first node has one client
		{Kind: adapter.Counted, Clients: 0}, // the second has none
		{Kind: adapter.Answered},            // the client's answer
	} {
		c.Add(r)
		fmt.Println(c.Done())
	}
	// Output:
	// false
	// false
	// true
}
