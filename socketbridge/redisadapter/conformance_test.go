package redisadapter_test

import (
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
	cluster := func(t *testing.T) func() adapter.Adapter {
		client := newClient(t, server.Addr())
		cfg := quietConfig(redisadapter.Streams)
		cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:" // the tests share one Redis
		return func() adapter.Adapter { return redisadapter.NewStreams(client, cfg) }
	}
	t.Run("adapter", func(t *testing.T) { t.Parallel(); adaptertest.Run(t, cluster) })
	t.Run("log", func(t *testing.T) { t.Parallel(); adaptertest.RunLog(t, cluster) })
}
