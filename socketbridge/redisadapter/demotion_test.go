package redisadapter_test

import (
	"errors"
	"net"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
)

// demote makes a server a replica of another one, and waits until it is in sync.
func demote(server, master *redistest.Server) {
	host, port, _ := net.SplitHostPort(master.Addr())
	server.Do("replicaof", host, port)
	server.WaitForReplica()
}

// The address of the Redis leads to a new master while the connections still lead to the
// old one, which is a replica now. As soon as a session cannot be written, the adapter that
// For returns moves to the new master too, with everything that it publishes and receives.
func TestForFollowsADemotion(t *testing.T) {
	t.Parallel()
	for name, mode := range modeFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := redistest.Start(t), redistest.Start(t)
			network := redistest.NewProxy(t, before.Addr())
			s, err := storage.Open(network.URL() + "?timeout=2s")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			moved := startNode(t, s.(*redis.Storage).Conn(), quietConfig(mode))
			witness := startNode(t, newClient(t, before.Addr()), quietConfig(mode))
			waitForDelivery(t, moved, witness)
			waitForDelivery(t, witness, moved)

			network.Retarget(after.Addr())
			demote(before, after)
			if mode != redisadapter.Streams { // its reader or heartbeat may be refused first, and heal the storage
				if err := s.Set("k", []byte("v"), 0); !errors.Is(err, storage.ErrUnavailable) {
					t.Fatalf("Set: %v, want ErrUnavailable", err)
				}
			}
			waitFor(t, "the storage writes", func() string { return errText(s.Set("k", []byte("v"), 0)) })
			before.Do("replicaof", "no", "one") // it passes on nothing more
			there := startNode(t, newClient(t, after.Addr()), quietConfig(mode))
			waitForDelivery(t, moved, there)
			waitForDelivery(t, there, moved)
		})
	}
}

// With a client of the app's own, an event is added to the stream of the new master although
// all idle connections lead to the old one.
func TestStreamsAppendAfterADemotion(t *testing.T) {
	t.Parallel()
	before, after := redistest.Start(t), redistest.Start(t)
	network := redistest.NewProxy(t, before.Addr())
	client := newClient(t, network.Addr())
	n := startNode(t, client, quietConfig(redisadapter.Streams))
	waitForDelivery(t, startNode(t, newClient(t, before.Addr()), quietConfig(redisadapter.Streams)), n)
	var held []*goredis.Conn
	for range 8 {
		c := client.Conn()
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		_ = c.Close()
	}
	network.Retarget(after.Addr())
	demote(before, after)
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}
	for range 10 {
		if err := n.Publish(t.Context(), m); err != nil {
			t.Errorf("Publish: %v, want no error on the new master", err)
		}
	}

	// The address leads to a replica: each event is refused, for certain.
	network.Retarget(before.Addr())
	network.Disconnect()
	waitFor(t, "events are refused", func() string {
		if err := n.Publish(t.Context(), m); !goredis.HasErrorPrefix(err, "READONLY") || !errors.Is(err, adapter.ErrUnavailable) {
			return "Publish returned " + errText(err)
		}
		return ""
	})
}
