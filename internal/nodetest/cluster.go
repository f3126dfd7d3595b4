package nodetest

import (
	"cmp"
	"testing"
)

// ClusterOptions configure a Socket.IO server in a cluster.
type ClusterOptions struct {
	// Redis is the URL of the Redis server. Required, unless there are Nodes.
	Redis string
	// Nodes are the addresses ("host:port") of nodes of a Redis Cluster.
	//
	// Optional. Default: nil, a single Redis
	Nodes []string
	// Sharded selects createShardedAdapter instead of createAdapter.
	//
	// Optional. Default: false
	Sharded bool
	// Streams selects @socket.io/redis-streams-adapter.
	//
	// Optional. Default: false
	Streams bool
	// Package is the name in package.json of the version of the adapter.
	//
	// Optional. Default: @socket.io/redis-adapter, or @socket.io/redis-streams-adapter
	// with Streams
	Package string
	// Client is the name in package.json of the version of the Redis client: of ioredis or
	// of redis.
	//
	// Optional. Default: redis, or ioredis with Streams
	Client string
	// Options contains the options of the server.
	//
	// Optional. Default: nil
	Options map[string]any
	// Adapter contains the options of the adapter.
	//
	// Optional. Default: nil
	Adapter map[string]any
}

// Defaults returns the names of the adapter's and the client's package.
func (o ClusterOptions) Defaults() (pkg, client string) {
	pkg, client = "@socket.io/redis-adapter", "redis"
	if o.Streams {
		pkg, client = "@socket.io/redis-streams-adapter", "ioredis" // version 0.2 does not work with redis 5
	}
	return cmp.Or(o.Package, pkg), cmp.Or(o.Client, client)
}

// ClusterServer is a Socket.IO server with an adapter over Redis, on its own port. It has
// the namespaces / and /chat. A client joins the rooms of its auth option
// ({"rooms":[…],"data":{…}}) and then receives the event "ready".
type ClusterServer struct {
	// URL is the server's address.
	URL string

	n      *Node
	number int
}

// Cluster starts a Socket.IO server that is part of a cluster.
func (n *Node) Cluster(t testing.TB, o ClusterOptions) *ClusterServer {
	t.Helper()
	c := &ClusterServer{n: n}
	c.number, _ = n.number()
	pkg, client := o.Defaults()
	n.must(t, "cluster", map[string]any{
		"server": c.number, "redis": o.Redis, "nodes": o.Nodes, "sharded": o.Sharded, "streams": o.Streams,
		"adapterPackage": pkg, "clientPackage": client, "options": o.Options, "adapter": o.Adapter,
	}, &c.URL)
	return c
}

// Run runs script as the body of an async JavaScript function with the variables io, nsp
// (the namespace), heard (an array that persists until the server is closed) and args. It
// stores the returned value in result unless result is nil.
func (c *ClusterServer) Run(t testing.TB, namespace, script string, result any, args ...any) {
	t.Helper()
	c.n.must(t, "clusterRun", map[string]any{"server": c.number, "namespace": namespace, "script": script, "args": outgoing(args)}, result)
}

// Close stops the server.
func (c *ClusterServer) Close(t testing.TB) {
	t.Helper()
	c.n.must(t, "clusterClose", map[string]any{"server": c.number}, nil)
}

// Emitter is an emitter of @socket.io/redis-emitter, which sends to the sockets of a cluster
// without being part of it.
type Emitter struct {
	n      *Node
	number int
}

// Emitter creates an emitter over the client of a version of redis or ioredis, by its name in
// package.json. options are those of its constructor.
func (n *Node) Emitter(t testing.TB, redis, client string, options map[string]any) *Emitter {
	t.Helper()
	e := &Emitter{n: n}
	e.number, _ = n.number()
	n.must(t, "emitter", map[string]any{"server": e.number, "redis": redis, "clientPackage": client, "options": options}, nil)
	return e
}

// Run runs script as the body of an async JavaScript function with the variables emitter
// and args.
func (e *Emitter) Run(t testing.TB, script string, args ...any) {
	t.Helper()
	e.n.must(t, "emitterRun", map[string]any{"server": e.number, "script": script, "args": outgoing(args)}, nil)
}
