package redisadapter_test

import (
	"context"
	"crypto/rand"
	"runtime"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// BenchmarkPublish is what a broadcast costs its sender with an adapter, beside what it
// costs without: one exchange with Redis.
func BenchmarkPublish(b *testing.B) {
	server := storagetest.Redis(b)
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
