package redisadapter_test

import (
	"log/slog"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // these live as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

// modes are all that an adapter speaks.
var modes = map[string]redisadapter.Mode{
	"classic":         redisadapter.Classic,
	"sharded":         redisadapter.Sharded,
	"sharded static":  redisadapter.ShardedStatic,
	"sharded private": redisadapter.ShardedPrivate,
}

// silent is a configuration that logs nothing.
func silent(mode redisadapter.Mode) redisadapter.Config {
	return redisadapter.Config{Mode: mode, Logger: slog.New(slog.DiscardHandler), AnswerTimeout: 20 * time.Second}
}

func newClient(t testing.TB, addr string) *goredis.Client {
	client := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestAdapter(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
				client := newClient(t, server.Addr())
				cfg := silent(mode)
				cfg.Key = t.Name() // the tests share a Redis, not their messages
				return func() adapter.Adapter { return redisadapter.New(client, cfg) }
			})
		})
	}
}
