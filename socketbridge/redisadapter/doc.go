// Package redisadapter links servers through Redis, in the wire format of
// @socket.io/redis-adapter 8: servers of Socket.IO for Node may be in the same cluster,
// and @socket.io/redis-emitter reaches the sockets of all.
//
//	store := storage.MustOpen(os.Getenv("STORAGE")) // memory:// or redis://…
//	io := socketbridge.New(socketbridge.Config{
//		Sessions: fibersession.New(fibersession.Config{Storage: store}),
//		Adapter:  redisadapter.For(store), // none for memory://
//	})
//
// Three ideas. The two formats, classic and sharded, are pure functions between
// messages and bytes (classic.go, cluster.go): what a wire says is in one place each.
// What a node subscribes to is a set of names that may change at any time; listeners
// see that Redis knows, now and after each reconnect (listener.go, shards.go). And
// Redis pub/sub is lossy: a node that is not connected misses what is published, and
// hears again as soon as it is back.
//
// It stores nothing in Redis, and does not recover missed messages. NewStreams does:
// it speaks through a Redis stream, in the format of @socket.io/redis-streams-adapter
// 0.2, which keeps events for a while, so that a node that was away reads on where it
// was and a client may come back to any node (entry.go, streamlink.go, streams.go).
package redisadapter
