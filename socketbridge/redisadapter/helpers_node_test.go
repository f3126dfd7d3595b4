package redisadapter_test

import (
	"context"
	"crypto/rand"
	"iter"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// testNode is a node without a server. It serves the namespace "/".
type testNode struct {
	adapter.Adapter
	id       string
	received chan string // the JSON of delivered payloads
}

func (n *testNode) ID() string                 { return n.id }
func (n *testNode) Deliver(m *adapter.Message) { n.received <- string(m.Payload.JSON) }

func (n *testNode) Answer(_ context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) { yield(&adapter.Reply{Kind: adapter.Fetched}) }
}

// startNode runs a node that has a socket in the room "room" until the test ends.
func startNode(t *testing.T, client goredis.UniversalClient, cfg redisadapter.Config) *testNode {
	t.Helper()
	return startWith(t, newAdapter(client, cfg))
}

// startWith is startNode for an adapter.
func startWith(t *testing.T, a adapter.Adapter) *testNode {
	t.Helper()
	n := &testNode{Adapter: a, id: rand.Text(), received: make(chan string, 10_000)}
	n.Open("/")
	n.Adapter.(adapter.RoomWatcher).RoomOpened("/", "room", false)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n) }() // ends with ctx; waited for below
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return n
}

// waitForDelivery waits until broadcasts from one node arrive at another, both to a room
// and to all sockets, and until a request is answered.
func waitForDelivery(t *testing.T, from, to *testNode) {
	t.Helper()
	for _, rooms := range [][]string{{"room"}, nil} {
		want := `["` + rand.Text() + `"]`
		waitFor(t, "a broadcast arrives", func() string {
			err := from.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: rooms, Payload: adapter.Payload{JSON: []byte(want)}})
			for {
				select {
				case got := <-to.received:
					if got == want {
						return ""
					}
				case <-time.After(20 * time.Millisecond):
					return "nothing arrived: " + errText(err)
				}
			}
		})
	}
	waitFor(t, "a request is answered", func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		replies := 0
		for _, err := range from.Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
			if err != nil {
				return err.Error()
			}
			replies++
		}
		if replies != 1 {
			return strconv.Itoa(replies) + " replies"
		}
		return ""
	})
}
