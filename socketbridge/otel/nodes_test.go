package bridgeotel_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// N9: a trace goes on at another node over real Redis, in each format, with signatures, with
// several hops, and through the log of recovery.
func TestN9_OtelAcrossRedis(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL()
	secret := [][]byte{bytes.Repeat([]byte("s"), 32)}
	for name, tt := range map[string]struct {
		cfg      redisadapter.Config
		recovery socketbridge.Recovery
	}{
		"classic":                 {cfg: redisadapter.Config{Mode: redisadapter.Classic}},
		"classic, signed":         {cfg: redisadapter.Config{Mode: redisadapter.Classic, Secrets: secret}},
		"sharded":                 {cfg: redisadapter.Config{Mode: redisadapter.Sharded}},
		"streams, signed":         {cfg: redisadapter.Config{Mode: redisadapter.Streams, Secrets: secret}},
		"streams, recovery":       {cfg: redisadapter.Config{Mode: redisadapter.Streams}, recovery: socketbridge.Recovery{Window: testTimeout}},
		"streams without pub/sub": {cfg: redisadapter.Config{Mode: redisadapter.StreamsOnly}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel := newTelemetry(t)
			cfg := tt.cfg
			cfg.Key, cfg.SessionKey, cfg.Logger = t.Name(), t.Name()+":session:", slog.New(slog.DiscardHandler)
			var nodes []*node
			for range 2 {
				store := storage.MustOpen(url)
				t.Cleanup(func() { _ = store.Close() })
				n := newNode(t, tel, socketbridge.Config{Adapter: redisadapter.For(store, cfg), Recovery: tt.recovery}, fibersession.Config{})
				n.serve(t)
				nodes = append(nodes, n)
			}
			waitForNodes(t, nodes...)
			ctx, span := tel.tracer().Start(t.Context(), "request")
			if err := nodes[0].io.Broadcast().WithContext(ctx).Emit("news"); err != nil {
				t.Fatal(err)
			}
			const published = `request (internal)
  publish broadcast (producer) message=broadcast namespace=/ outcome=ok
`
			const delivered = `    deliver broadcast (consumer, remote parent) message=broadcast namespace=/ outcome=ok
`
			deliveries := 1
			if tt.recovery.Window > 0 {
				deliveries = 2 // the log delivers to this node as well
			}
			tel.wait(t, deliveries, "deliver broadcast")
			if _, err := nodes[0].io.FetchSockets(ctx); err != nil {
				t.Fatal(err)
			}
			span.End()
			equal(t, "spans", tree(tel.wait(t, deliveries+1, "deliver broadcast", "deliver fetch"), nil), published+strings.Repeat(delivered, deliveries)+`  request fetch (client) message=fetch namespace=/ outcome=ok
    deliver fetch (consumer, remote parent) message=fetch namespace=/ outcome=ok
`)
		})
	}
}
