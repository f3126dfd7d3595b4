package redisadapter_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// A node whose receiving connection breaks reconnects and restores its subscriptions.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := newClient(t, server.Addr())
			a, b := startNode(t, client, quietConfig(mode)), startNode(t, client, quietConfig(mode))
			waitForDelivery(t, a, b)
			for range 3 {
				for _, kind := range []string{"pubsub", "normal"} { // a stream is read on a connection of the type "normal"
					if err := client.Do(t.Context(), "client", "kill", "type", kind).Err(); err != nil {
						t.Fatal(err)
					}
				}
				waitForDelivery(t, a, b)
				waitForDelivery(t, b, a)
			}
		})
	}
}

// While Redis cannot be reached, every call returns in time, with an error that says
// whether something may have been sent.
func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := newClient(t, server.Addr())
			a, b := startNode(t, client, quietConfig(mode)), startNode(t, client, quietConfig(mode))
			waitForDelivery(t, a, b)
			server.Kill()
			m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}
			waitFor(t, "Publish returns ErrUnavailable", func() string {
				err := a.Publish(t.Context(), m)
				if !errors.Is(err, adapter.ErrUnavailable) && !errors.Is(err, adapter.ErrUnknownOutcome) {
					t.Fatalf("Publish returned %v, want ErrUnavailable or ErrUnknownOutcome", err)
				}
				if !errors.Is(err, adapter.ErrUnavailable) {
					return err.Error() // the outcome of the first ones is unknown: their connection broke
				}
				return ""
			})
			if _, err := a.Nodes(t.Context(), "/"); !errors.Is(err, adapter.ErrUnavailable) {
				t.Errorf("Nodes returned %v, want ErrUnavailable", err)
			}
			for _, err := range a.Ask(t.Context(), m) {
				if !errors.Is(err, adapter.ErrUnavailable) {
					t.Errorf("Ask yielded %v, want ErrUnavailable", err)
				}
			}
			server.Restart()
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
		})
	}
}

// Redis fails and recovers while three nodes broadcast. All nodes recover without help, and
// no message arrives twice. With a stream, all nodes receive every message that Redis
// accepted, in the same order.
func TestRedisComesBack(t *testing.T) {
	t.Parallel()
	for fault, inject := range map[string]func(*load, *redistest.Server, *redistest.Proxy){
		"paused": func(l *load, server *redistest.Server, _ *redistest.Proxy) {
			server.Pause()
			l.waitForFailure(l.nodes[0])
			server.Resume()
		},
		"killed": func(l *load, server *redistest.Server, _ *redistest.Proxy) {
			server.Kill()
			l.waitForFailure(l.nodes[0])
			server.Restart()
		},
		"disconnected": func(l *load, _ *redistest.Server, network *redistest.Proxy) {
			for range 10 {
				network.Disconnect()
				l.waitForProgress("while connections break")
			}
		},
		"one node refused": func(l *load, _ *redistest.Server, network *redistest.Proxy) {
			network.Refuse(true)
			l.waitForFailure(l.nodes[1])
			for range 3 {
				l.waitForProgress("the other nodes", l.nodes[0], l.nodes[2])
			}
			network.Refuse(false)
		},
		"one node's network silent": func(l *load, _ *redistest.Server, network *redistest.Proxy) {
			network.Pause()
			l.waitForFailure(l.nodes[1])
			l.waitForProgress("the other nodes", l.nodes[0], l.nodes[2])
			network.Resume()
		},
	} {
		for name, mode := range modeFamilies {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
				network := redistest.NewProxy(t, server.Addr())
				l := newLoad(t, redisadapter.Config{Mode: mode}, server.URL(), network.URL(), server.URL())
				l.start()
				l.waitForProgress("before the fault")
				inject(l, server, network)
				t.Logf("all nodes received from each other %v after the fault", l.waitForProgress("after the fault"))
				l.drain()
				l.check(make([]int, 3))
			})
		}
	}
}
