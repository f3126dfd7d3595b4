package redisadapter_test

import (
	"context"
	"fmt"
	"log"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis" // registers redis://
)

// The usual setup: sessions and the adapter share one storage. With redis:// instead of
// memory://, all nodes on that Redis form a cluster.
func ExampleFor() {
	store, err := storage.Open("memory://")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	link := redisadapter.For(store) // nil, because memory:// is not on Redis
	io := socketbridge.New(socketbridge.Config{
		Sessions: fibersession.New(fibersession.Config{Storage: store}),
		Adapter:  link,
	})
	defer func() { _ = io.Shutdown(context.Background()) }()
	fmt.Println("linked through Redis:", link != nil)
	// Output: linked through Redis: false
}

// A server on a client of your own, in one cluster with servers for Node that use
// createShardedAdapter.
func ExampleNew() {
	client := goredis.NewClient(&goredis.Options{
		Addr:       "127.0.0.1:6379",
		MaxRetries: -1, // a retried publish could be delivered twice
	})
	defer client.Close()
	io := socketbridge.New(socketbridge.Config{
		Adapter: redisadapter.New(client, redisadapter.Config{Mode: redisadapter.Sharded}),
	})
	defer func() { _ = io.Shutdown(context.Background()) }()
	if err := io.Emit("news", "hello"); err != nil { // reaches the clients of all nodes
		log.Println(err)
	}
}

// With a stream, a client that lost its connection resumes it on any node: it keeps its
// socket's ID and rooms, and receives what it missed.
func ExampleNewStreams() {
	client := goredis.NewClient(&goredis.Options{
		Addr:       "127.0.0.1:6379",
		MaxRetries: -1, // a retried command could add an event twice
	})
	defer client.Close()
	io := socketbridge.New(socketbridge.Config{
		Adapter:  redisadapter.NewStreams(client, redisadapter.Config{MaxLen: 100_000}),
		Recovery: socketbridge.Recovery{Window: 2 * time.Minute},
	})
	defer func() { _ = io.Shutdown(context.Background()) }()
}
