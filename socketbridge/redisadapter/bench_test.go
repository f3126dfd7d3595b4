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

// BenchmarkPublish is what a broadcast costs its sender with an adapter, beside what it
// costs without: one exchange with Redis.
func BenchmarkPublish(b *testing.B) {
	server := redistest.Start(b)
	m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"},
		Payload: adapter.Payload{JSON: []byte(`["news",{"id":12345,"text":"hello, it is a quarter past eight"}]`)}}
	for name, mode := range modes {
		b.Run(name, func(b *testing.B) {
			n := benchNode(b, redisadapter.New(newClient(b, server.Addr()), silent(mode)))
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

// BenchmarkBroadcast is what a broadcast costs in a cluster: redis-µs/op of Redis' CPU, and
// nodes-µs/op of that of all nodes together, one of which sends, without any sockets. What
// a further node adds is what hearing it costs.
func BenchmarkBroadcast(b *testing.B) {
	for name, mode := range kinds {
		for _, count := range []int{2, 10} {
			b.Run(fmt.Sprintf("%s/%d", name, count), func(b *testing.B) {
				server := redistest.Start(b)
				var heard atomic.Int64
				nodes := make([]adapter.Adapter, count)
				for i := range nodes {
					cfg := silent(mode)
					cfg.MaxLen = 1_000_000
					nodes[i] = benchRun(b, newClient(b, server.Addr()), cfg, &heard)
				}
				waitFor(b, func() bool { n, _ := nodes[0].Nodes(b.Context(), "/"); return n == count })
				m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"},
					Payload: adapter.Payload{JSON: []byte(`["news",{"id":12345,"text":"hello, it is a quarter past eight"}]`)}}
				heard.Store(0)
				before, own := redisCPU(b, server), ownCPU(b)
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := nodes[0].Publish(b.Context(), m); err != nil {
							b.Error(err)
						}
					}
				})
				waitFor(b, func() bool { return heard.Load() == int64(b.N*(count-1)) })
				b.ReportMetric((redisCPU(b, server)-before)*1e6/float64(b.N), "redis-µs/op")
				b.ReportMetric((ownCPU(b)-own)*1e6/float64(b.N), "nodes-µs/op")
			})
		}
	}
}

// counter is a node that counts what it hears.
type counter struct {
	node
	heard *atomic.Int64
}

func (c *counter) Deliver(*adapter.Message) { c.heard.Add(1) }

// benchRun runs a node that has sockets in "room".
func benchRun(b *testing.B, client goredis.UniversalClient, cfg redisadapter.Config, heard *atomic.Int64) adapter.Adapter {
	b.Helper()
	c := &counter{node: node{Adapter: newAdapter(client, cfg), id: rand.Text()}, heard: heard}
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

func waitFor(b *testing.B, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("a message was not heard")
		}
	}
}

// redisCPU is what a Redis has used, in seconds.
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

// ownCPU is what this process has used, in seconds.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// benchNode runs a node that nobody talks to.
func benchNode(b *testing.B, a *redisadapter.Adapter) *node {
	b.Helper()
	n := &node{Adapter: a, id: rand.Text(), got: make(chan string, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, n) }() // ends with ctx; waited for below
	b.Cleanup(func() {
		cancel()
		<-done
	})
	for n.Publish(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}) != nil {
		runtime.Gosched() // until it runs
	}
	return n
}
