// Package redisadapter connects the nodes of a cluster through Redis. It uses the wire
// formats of @socket.io/redis-adapter 8 and @socket.io/redis-streams-adapter 0.2 and 0.3, so
// Socket.IO servers for Node can join the same cluster. In Classic mode,
// @socket.io/redis-emitter reaches the sockets of all nodes.
//
//	store := storage.MustOpen(os.Getenv("STORAGE")) // memory:// or redis://…
//	io := socketbridge.New(socketbridge.Config{
//		Sessions: fibersession.New(fibersession.Config{Storage: store}),
//		Adapter:  redisadapter.For(store), // nil for memory://
//	})
//
// There are three families of modes, and each has its own files:
//
//   - Classic: plain pub/sub. It works on every Redis.
//   - Sharded, ShardedStatic, ShardedPrivate: sharded pub/sub of Redis 7. On a Redis
//     Cluster a message reaches only the Redis nodes that need it.
//   - Streams, StreamsSharded, StreamsOnly: a Redis stream, made by NewStreams or For. It is
//     a replay log. Requests and their replies go over pub/sub, except with StreamsOnly.
//
// Pub/sub is lossy: a node misses everything that is published while it is disconnected
// from Redis, and resubscribes as soon as it is back. The pub/sub modes store nothing in
// Redis and cannot recover missed messages. A stream keeps broadcasts for a while: a node
// that was disconnected reads on from its last entry, and a client can resume its
// connection on any node.
//
// For maintainers: the wire formats are pure functions between messages and bytes
// (wire.go, wire_cluster.go, classic_wire.go, sharded_wire.go, streams_entry.go). A link
// (link.go) combines a format with the channels or the streams that carry it (classic.go,
// sharded.go, streams_link.go). A pubSub (pubsub.go) is one of Redis's two kinds of channels.
// A subscriber (subscriber.go) keeps one connection subscribed to a changing set of channels.
// A signer (sign.go, sign_replay.go, sign_clock.go) signs and verifies what the links send and
// receive. notices.go lists what is counted and logged. Adapter (adapter.go, request.go, response.go)
// is what all modes share.
package redisadapter
