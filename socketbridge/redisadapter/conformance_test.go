package redisadapter_test

import (
	"os"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// The conformance suite on a single Redis.
func TestAdapter(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, mode := range pubSubModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
				client := newClient(t, server.Addr())
				cfg := quietConfig(mode)
				cfg.Key = t.Name() // the tests share one Redis
				return func() adapter.Adapter { return redisadapter.New(client, cfg) }
			})
		})
	}
}

// The conformance suite on a Redis Cluster, where each sharded channel belongs to one Redis
// node.
func TestAdapterOnCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: redistest.StartCluster(t).Addrs(), MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	for name, mode := range pubSubModes {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
				cfg := quietConfig(mode)
				cfg.Key = t.Name()
				return func() adapter.Adapter { return redisadapter.New(client, cfg) }
			})
		})
	}
}

// The conformance suites of an adapter and of a log.
func TestStreams(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, change := range map[string]func(*redisadapter.Config){
		"plain":           func(*redisadapter.Config) {},
		"sharded":         func(cfg *redisadapter.Config) { cfg.Mode = redisadapter.StreamsSharded },
		"several streams": func(cfg *redisadapter.Config) { cfg.StreamCount, cfg.ChannelPrefix = 3, cfg.Key+":requests" },
	} {
		cluster := func(t *testing.T) func() adapter.Adapter {
			client := newClient(t, server.Addr())
			cfg := streamsConfig(t)
			change(&cfg)
			return func() adapter.Adapter { return redisadapter.NewStreams(client, cfg) }
		}
		t.Run(name+", adapter", func(t *testing.T) { t.Parallel(); adaptertest.Run(t, cluster) })
		t.Run(name+", log", func(t *testing.T) { t.Parallel(); adaptertest.RunLog(t, cluster) })
	}
	// Nodes that use no pub/sub, as with version 0.2, alone and beside others.
	for name, modes := range map[string][]redisadapter.Mode{
		"stream only":             {redisadapter.StreamsOnly},
		"stream only and plain":   {redisadapter.StreamsOnly, redisadapter.Streams},
		"sharded and stream only": {redisadapter.StreamsSharded, redisadapter.StreamsOnly},
	} {
		cluster := func(t *testing.T) func() adapter.Adapter {
			client := newClient(t, server.Addr())
			cfg := streamsConfig(t)
			i := 0
			return func() adapter.Adapter {
				cfg.Mode = modes[i%len(modes)]
				i++
				return redisadapter.NewStreams(client, cfg)
			}
		}
		t.Run(name+", adapter", func(t *testing.T) { t.Parallel(); adaptertest.Run(t, cluster) })
		t.Run(name+", log", func(t *testing.T) { t.Parallel(); adaptertest.RunLog(t, cluster) })
	}
}

// streamsConfig returns a configuration for a test that shares its Redis with others.
func streamsConfig(t *testing.T) redisadapter.Config {
	cfg := quietConfig(redisadapter.Streams)
	cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:"
	return cfg
}

// The conformance suite of an emitter.
func TestS7_EmitterSuite(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	commands := []adapter.Kind{adapter.Broadcast, adapter.Join, adapter.Leave, adapter.Disconnect}
	all := append(commands[:len(commands):len(commands)], adapter.ServerSide, adapter.Fetch)
	for name, tt := range map[string]struct {
		modes   []redisadapter.Mode // of the emitter, and of the nodes in turn
		secrets bool
		watched []adapter.Kind
	}{
		"classic":                {modes: []redisadapter.Mode{redisadapter.Classic}, watched: all},
		"classic, signed":        {modes: []redisadapter.Mode{redisadapter.Classic}, secrets: true, watched: all},
		"sharded":                {modes: []redisadapter.Mode{redisadapter.Sharded}},
		"sharded private":        {modes: []redisadapter.Mode{redisadapter.ShardedPrivate}},
		"sharded static, signed": {modes: []redisadapter.Mode{redisadapter.ShardedStatic}, secrets: true},
		"streams":                {modes: []redisadapter.Mode{redisadapter.Streams}, watched: all},
		"streams, signed":        {modes: []redisadapter.Mode{redisadapter.Streams}, secrets: true, watched: all},
		"streams sharded":        {modes: []redisadapter.Mode{redisadapter.StreamsSharded}, watched: commands},
		"stream only":            {modes: []redisadapter.Mode{redisadapter.StreamsOnly}, watched: all},
		"streams, stream only":   {modes: []redisadapter.Mode{redisadapter.Streams, redisadapter.StreamsOnly}, watched: all},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("MATRIX") == "" && !slices.Contains([]string{"classic", "sharded", "streams, signed", "stream only"}, name) {
				t.Skip("another form of what is tested: make interop runs it")
			}
			t.Parallel()
			adaptertest.RunEmitter(t, func(t *testing.T) func() adapter.Adapter {
				client := newClient(t, server.Addr())
				i := 0
				return func() adapter.Adapter {
					cfg := quietConfig(tt.modes[i%len(tt.modes)])
					if tt.secrets {
						cfg = signedConfig(cfg.Mode, 1)
					}
					cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:"
					i++
					return newAdapter(client, cfg)
				}
			}, tt.watched...)
		})
	}
}

// The same on a Redis Cluster.
func TestS7_EmitterSuiteOnCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: redistest.StartCluster(t).Addrs(), MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	for name, mode := range map[string]redisadapter.Mode{"classic": redisadapter.Classic, "sharded": redisadapter.Sharded, "streams sharded": redisadapter.StreamsSharded} {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("MATRIX") == "" && name == "classic" {
				t.Skip("another form of what is tested: make interop runs it")
			}
			adaptertest.RunEmitter(t, func(t *testing.T) func() adapter.Adapter {
				cfg := quietConfig(mode)
				cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:"
				return func() adapter.Adapter { return newAdapter(client, cfg) }
			})
		})
	}
}

// The conformance suites on a Redis Cluster.
func TestStreamsOnCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: redistest.StartCluster(t).Addrs(), MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	for name, mode := range map[string]redisadapter.Mode{"plain": redisadapter.Streams, "sharded": redisadapter.StreamsSharded} {
		cluster := func(t *testing.T) func() adapter.Adapter {
			cfg := streamsConfig(t)
			cfg.Mode, cfg.StreamCount = mode, 4
			return func() adapter.Adapter { return redisadapter.NewStreams(client, cfg) }
		}
		t.Run(name+", adapter", func(t *testing.T) { adaptertest.Run(t, cluster) })
		t.Run(name+", log", func(t *testing.T) { adaptertest.RunLog(t, cluster) })
	}
}
