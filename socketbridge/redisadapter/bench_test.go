package redisadapter_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// payload is the event that the benchmarks broadcast.
var payload = adapter.Payload{JSON: []byte(`["news",{"id":12345,"text":"hello, it is a quarter past eight"}]`)}

// BenchmarkPublish measures what an adapter adds to a broadcast for its sender: one
// exchange with Redis.
func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"}, Payload: payload}
	benches := make(map[string]redisadapter.Config)
	for name, mode := range pubSubModes {
		benches[name], benches[name+" signed"] = quietConfig(mode), signedConfig(mode, 1)
	}
	for name, cfg := range benches {
		b.Run(name, func(b *testing.B) {
			n := startBenchSender(b, redisadapter.New(newClient(b, server.Addr()), cfg))
			publish := func() {
				if err := n.Publish(b.Context(), m); err != nil {
					b.Error(err)
				}
			}
			b.Run("one", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					publish()
				}
			})
			b.Run("many", func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						publish()
					}
				})
			})
		})
	}
}

// BenchmarkBroadcast measures the CPU time of a broadcast in a cluster: redis-µs/op for
// Redis, and nodes-µs/op for all nodes together. One node sends; no sockets are connected.
// The difference between 2 and 10 nodes is the cost of receiving at 8 nodes.
func BenchmarkBroadcast(b *testing.B) {
	benches := make(map[string]redisadapter.Config)
	for name, mode := range modeFamilies {
		benches[name], benches[name+" signed"] = quietConfig(mode), signedConfig(mode, 1)
	}
	for name, cfg := range benches {
		for _, count := range []int{2, 10} {
			b.Run(fmt.Sprintf("%s/%d", name, count), func(b *testing.B) {
				server := redistest.Start(b)
				var received atomic.Int64
				nodes := make([]adapter.Adapter, count)
				for i := range nodes {
					cfg.MaxLen = 1_000_000
					nodes[i] = startBenchReceiver(b, newClient(b, server.Addr()), cfg, &received)
				}
				waitFor(b, "the nodes find each other", func() string {
					if n, err := nodes[0].Nodes(b.Context(), "/"); n != count || err != nil {
						return fmt.Sprint(n, err)
					}
					return ""
				})
				m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"}, Payload: payload}
				received.Store(0)
				redisBefore, nodesBefore := redisCPU(b, server), processCPU(b)
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := nodes[0].Publish(b.Context(), m); err != nil {
							b.Error(err)
						}
					}
				})
				waitFor(b, "all messages arrive", func() string {
					if got, want := received.Load(), int64(b.N*(count-1)); got != want {
						return fmt.Sprintf("%d of %d arrived", got, want)
					}
					return ""
				})
				b.ReportMetric((redisCPU(b, server)-redisBefore)*1e6/float64(b.N), "redis-µs/op")
				b.ReportMetric((processCPU(b)-nodesBefore)*1e6/float64(b.N), "nodes-µs/op")
			})
		}
	}
}

// countingNode is a node that counts the messages it receives.
type countingNode struct {
	testNode
	received *atomic.Int64
}

func (c *countingNode) Deliver(*adapter.Message) { c.received.Add(1) }

// startBenchReceiver runs a node that subscribes to the room "room".
func startBenchReceiver(b *testing.B, client goredis.UniversalClient, cfg redisadapter.Config, received *atomic.Int64) adapter.Adapter {
	b.Helper()
	c := &countingNode{testNode: testNode{Adapter: newAdapter(client, cfg), id: rand.Text()}, received: received}
	c.Open("/")
	c.Adapter.(adapter.RoomWatcher).RoomOpened("/", "room", false)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, c) }() // ends with ctx; waited for below
	b.Cleanup(func() {
		cancel()
		<-done
	})
	return c.Adapter
}

// redisCPU returns the CPU time that a Redis has used, in seconds.
func redisCPU(b *testing.B, server *redistest.Server) (sum float64) {
	b.Helper()
	for line := range strings.Lines(server.Do("info", "cpu")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && (name == "used_cpu_sys" || name == "used_cpu_user") {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += seconds
		}
	}
	return sum
}

// processCPU returns the CPU time that this process has used, in seconds.
func processCPU(b testing.TB) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// startBenchSender runs a node and waits until it can publish. No other node sends to it.
func startBenchSender(b *testing.B, a *redisadapter.Adapter) *testNode {
	b.Helper()
	n := &testNode{Adapter: a, id: rand.Text(), received: make(chan string, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, n) }() // ends with ctx; waited for below
	b.Cleanup(func() {
		cancel()
		<-done
	})
	for n.Publish(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}) != nil {
		runtime.Gosched() // Run has not started yet
	}
	return n
}
