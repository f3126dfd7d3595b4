package redisadapter_test

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // these live as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

// pubSubModes are all modes that New supports.
var pubSubModes = map[string]redisadapter.Mode{
	"classic":         redisadapter.Classic,
	"sharded":         redisadapter.Sharded,
	"sharded static":  redisadapter.ShardedStatic,
	"sharded private": redisadapter.ShardedPrivate,
}

// allModes returns pubSubModes and the streams modes.
func allModes() map[string]redisadapter.Mode {
	all := maps.Clone(pubSubModes)
	all["streams"] = redisadapter.Streams
	all["streams sharded"] = redisadapter.StreamsSharded
	all["stream only"] = redisadapter.StreamsOnly
	return all
}

// modeFamilies has one mode for each way to receive messages.
var modeFamilies = map[string]redisadapter.Mode{
	"classic": redisadapter.Classic,
	"sharded": redisadapter.Sharded,
	"streams": redisadapter.Streams,
}

// quietConfig returns a configuration that logs nothing.
func quietConfig(mode redisadapter.Mode) redisadapter.Config {
	return redisadapter.Config{Mode: mode, Logger: slog.New(slog.DiscardHandler), AnswerTimeout: 20 * time.Second}
}

// newAdapter returns an adapter for any mode.
func newAdapter(client goredis.UniversalClient, cfg redisadapter.Config) adapter.Adapter {
	if cfg.Mode >= redisadapter.Streams {
		return redisadapter.NewStreams(client, cfg)
	}
	return redisadapter.New(client, cfg)
}

func newClient(t testing.TB, addr string) *goredis.Client {
	client := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// waitFor polls until check returns "". Any other result is what is still missing.
func waitFor(t testing.TB, event string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		missing := check()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited 30s until %s: %s", event, missing)
		}
		time.Sleep(5 * time.Millisecond) // there is no notification to wait for
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
