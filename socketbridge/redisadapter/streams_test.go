package redisadapter_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

func TestStreams(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cluster := func(t *testing.T) func() adapter.Adapter {
		client := newClient(t, server.Addr())
		cfg := silent(redisadapter.Streams)
		cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:" // the tests share a Redis, not their messages
		return func() adapter.Adapter { return redisadapter.NewStreams(client, cfg) }
	}
	t.Run("adapter", func(t *testing.T) { t.Parallel(); adaptertest.Run(t, cluster) })
	t.Run("log", func(t *testing.T) { t.Parallel(); adaptertest.RunLog(t, cluster) })
}
