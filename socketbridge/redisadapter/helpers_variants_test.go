package redisadapter_test

import (
	"cmp"
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// variant is a format and its options on both sides, with the version of Node's adapter and of
// its Redis client.
type variant struct {
	name    string
	note    string // what the row of the table says beside the versions
	cluster bool   // on a Redis Cluster
	lost    string // why Node's broadcasts to the ID of a socket on another server are lost; "" if they are not
	ours    redisadapter.Config
	node    nodetest.ClusterOptions
}

// The names of the packages in internal/nodetest/package.json.
const (
	adapter82 = "redis-adapter-82"
	streams03 = "redis-streams-adapter-03"
)

// variants has a line for each format, version and client that is tested.
var variants = []variant{
	// The formats of @socket.io/redis-adapter.
	{name: "classic"},
	{name: "classic with other options", note: "other key and channels",
		ours: redisadapter.Config{Key: "other", SharedResponses: true},
		node: nodetest.ClusterOptions{Adapter: options{"key": "other", "publishOnSpecificResponseChannel": true}}},
	{name: "sharded", note: "sharded", ours: mode(redisadapter.Sharded), node: nodetest.ClusterOptions{Sharded: true}},
	{name: "sharded static", note: "sharded, static", ours: mode(redisadapter.ShardedStatic),
		node: nodetest.ClusterOptions{Sharded: true, Adapter: options{"subscriptionMode": "static"}}},
	{name: "sharded private", note: "sharded, dynamic-private", ours: mode(redisadapter.ShardedPrivate),
		node: nodetest.ClusterOptions{Sharded: true, Adapter: options{"subscriptionMode": "dynamic-private"}}},

	// Its versions and clients.
	{name: "classic 8.2", node: nodetest.ClusterOptions{Package: adapter82}},
	{name: "classic redis 6", node: nodetest.ClusterOptions{Client: "redis-6"}},
	{name: "classic ioredis 5", node: nodetest.ClusterOptions{Client: "ioredis"}},
	{name: "classic ioredis 6", node: nodetest.ClusterOptions{Client: "ioredis-6"}},
	{name: "sharded 8.2", note: "sharded", lost: "Version 8.2 publishes it on a channel that no server subscribes to, except in the mode static.", ours: mode(redisadapter.Sharded), node: nodetest.ClusterOptions{Sharded: true, Package: adapter82}},
	{name: "sharded redis 6", note: "sharded", ours: mode(redisadapter.Sharded), node: nodetest.ClusterOptions{Sharded: true, Client: "redis-6"}},
	{name: "sharded ioredis 6", note: "sharded", ours: mode(redisadapter.Sharded), node: nodetest.ClusterOptions{Sharded: true, Client: "ioredis-6"}},
	{name: "sharded on a cluster", note: "sharded", cluster: true, ours: mode(redisadapter.Sharded), node: nodetest.ClusterOptions{Sharded: true, Client: "ioredis-6"}},

	// @socket.io/redis-streams-adapter.
	{name: "streams 0.2", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true}},
	{name: "streams 0.2 ioredis 6", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true, Client: "ioredis-6"}},
	{name: "streams", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true, Package: streams03}},
	{name: "streams ioredis 6", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true, Package: streams03, Client: "ioredis-6"}},
	{name: "streams redis 5", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true, Package: streams03, Client: "redis"}},
	{name: "streams redis 6", ours: mode(redisadapter.Streams), node: nodetest.ClusterOptions{Streams: true, Package: streams03, Client: "redis-6"}},
	{name: "streams sharded", note: "sharded pub/sub", ours: mode(redisadapter.StreamsSharded),
		node: nodetest.ClusterOptions{Streams: true, Package: streams03, Adapter: options{"useShardedPubSub": true}}},
	{name: "streams with other options", note: "3 streams, other names",
		ours: redisadapter.Config{Mode: redisadapter.Streams, Key: "other", ChannelPrefix: "prefix", StreamCount: 3, SessionKey: "kept:"},
		node: nodetest.ClusterOptions{Streams: true, Package: streams03, Adapter: options{"streamName": "other", "channelPrefix": "prefix", "streamCount": 3, "sessionKeyPrefix": "kept:"}}},
	{name: "streams on a cluster", note: "4 streams, sharded pub/sub", cluster: true,
		ours: redisadapter.Config{Mode: redisadapter.StreamsSharded, StreamCount: 4},
		node: nodetest.ClusterOptions{Streams: true, Package: streams03, Adapter: options{"streamCount": 4, "useShardedPubSub": true}}},
}

type options = map[string]any

func mode(m redisadapter.Mode) redisadapter.Config { return redisadapter.Config{Mode: m} }

// row returns the name of the variant's row in the table of adapters.
func (v variant) row(t testing.TB) string {
	t.Helper()
	pkg, client := v.node.Defaults()
	parts := []string{strings.TrimPrefix(nodetest.Version(t, pkg), "@socket.io/"), nodetest.Version(t, client)}
	if v.note != "" {
		parts = append(parts, v.note)
	}
	if v.cluster {
		parts = append(parts, "Redis Cluster")
	}
	return strings.Join(parts, ", ")
}

// skipUnlessWhole skips variants that differ from another one in a version only, unless the
// tables are being made.
func (v variant) skipUnlessWhole(t testing.TB) {
	t.Helper()
	if os.Getenv("MATRIX") == "" && !v.cluster && (v.node.Client != "" || v.node.Package == adapter82) {
		t.Skip("another version of a format that is tested: make interop runs it")
	}
}

// start starts a Redis or a Redis Cluster. It returns its URL and the options of Node's server.
func (v variant) start(t testing.TB) (url string, node nodetest.ClusterOptions) {
	t.Helper()
	if v.cluster {
		c := redistest.StartCluster(t)
		v.node.Nodes = c.Addrs()
		return c.URL(), v.node
	}
	v.node.Redis = redistest.Start(t).URL()
	return v.node.Redis, v.node
}

// storedClient is a client of the Redis or the Redis Cluster of a variant.
type storedClient struct{ goredis.UniversalClient }

func (v variant) client(t testing.TB, node nodetest.ClusterOptions) storedClient {
	t.Helper()
	if !v.cluster {
		return storedClient{newClient(t, strings.TrimSuffix(strings.TrimPrefix(node.Redis, "redis://"), "/0"))}
	}
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: node.Nodes, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return storedClient{c}
}

// holds reports whether a key that begins with prefix has a value that matches.
func (c storedClient) holds(t testing.TB, prefix string, match func(value string) bool) bool {
	t.Helper()
	var found atomic.Bool
	search := func(ctx context.Context, r *goredis.Client) error {
		keys, err := r.Keys(ctx, prefix+"*").Result()
		for _, key := range keys {
			if value, err := r.Get(ctx, key).Result(); err == nil && match(value) {
				found.Store(true)
			}
		}
		return err
	}
	var err error
	switch r := c.UniversalClient.(type) {
	case *goredis.ClusterClient:
		err = r.ForEachMaster(t.Context(), search)
	case *goredis.Client:
		err = search(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found.Load()
}

// storedKeys are the names of what Node's streams adapter stores for the namespace /.
type storedKeys struct{ stream, states string }

func (v variant) keys() storedKeys {
	k := storedKeys{stream: cmp.Or(v.ours.Key, "socket.io"), states: cmp.Or(v.ours.SessionKey, "sio:session:")}
	switch v.ours.StreamCount { // "/" has the hash 47
	case 3:
		k.stream += "-2"
	case 4:
		k.stream += "-3"
	}
	return k
}
