package nodetest

import "testing"

// ClusterOptions are how a server of socket.io takes part in a cluster.
type ClusterOptions struct {
	// Redis is the URL of the Redis. Required.
	Redis string
	// Sharded uses createShardedAdapter and not createAdapter.
	//
	// Optional. Default: false
	Sharded bool
	// Streams uses @socket.io/redis-streams-adapter.
	//
	// Optional. Default: false
	Streams bool
	// Options holds options of the server.
	//
	// Optional. Default: nil
	Options map[string]any
	// Adapter holds the options of the adapter.
	//
	// Optional. Default: nil
	Adapter map[string]any
}

// ClusterServer is a server of socket.io with @socket.io/redis-adapter, on a port of its
// own. Its namespaces are / and /chat. A client that connects is put into the rooms of
// its auth option ({"rooms":[…],"data":{…}}) and is then sent the event "ready".
type ClusterServer struct {
	// URL is where it listens.
	URL string

	n      *Node
	number int
}

// Cluster starts a server that takes part in a cluster.
func (n *Node) Cluster(t testing.TB, o ClusterOptions) *ClusterServer {
	t.Helper()
	c := &ClusterServer{n: n}
	c.number, _ = n.number()
	n.must(t, "cluster", map[string]any{"server": c.number, "redis": o.Redis, "sharded": o.Sharded, "streams": o.Streams, "options": o.Options, "adapter": o.Adapter}, &c.URL)
	return c
}

// Run runs the body of an async JavaScript function with the variables io, nsp (the
// namespace), heard (an array that stays with the server) and args, and stores what it
// returns in result, unless that is nil.
func (c *ClusterServer) Run(t testing.TB, namespace, script string, result any, args ...any) {
	t.Helper()
	c.n.must(t, "clusterRun", map[string]any{"server": c.number, "namespace": namespace, "script": script, "args": outgoing(args)}, result)
}

// Close ends the server.
func (c *ClusterServer) Close(t testing.TB) {
	t.Helper()
	c.n.must(t, "clusterClose", map[string]any{"server": c.number}, nil)
}

// Emitter is an emitter of @socket.io/redis-emitter: it reaches the sockets of a
// cluster from outside.
type Emitter struct {
	n      *Node
	number int
}

// Emitter makes an emitter; options are those of its constructor.
func (n *Node) Emitter(t testing.TB, redis string, options map[string]any) *Emitter {
	t.Helper()
	e := &Emitter{n: n}
	e.number, _ = n.number()
	n.must(t, "emitter", map[string]any{"server": e.number, "redis": redis, "options": options}, nil)
	return e
}

// Run runs the body of an async JavaScript function with the variables emitter and
// args.
func (e *Emitter) Run(t testing.TB, script string, args ...any) {
	t.Helper()
	e.n.must(t, "emitterRun", map[string]any{"server": e.number, "script": script, "args": outgoing(args)}, nil)
}
