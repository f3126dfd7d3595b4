package redisadapter

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// While the stream cannot be read, nothing piles up: neither heartbeats, which would trim
// unread entries when they are all added at once, nor nodes that no longer send.
func TestStreamLink_NothingPilesUp(t *testing.T) {
	t.Parallel()
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"}) // connects on use only
	defer client.Close()
	synctest.Test(t, func(t *testing.T) {
		l := newStreamLink(newAdapter(client, newConfig("", Config{Logger: slog.New(slog.DiscardHandler)})))
		l.subscribe("/", "me")
		for i := range 1000 {
			l.noteSender(&streamEntry{namespace: "/", uid: fmt.Sprint("node", i), kind: clusterHeartbeat})
		}
		ctx, stop := context.WithCancel(t.Context())
		go l.sendHeartbeats(ctx) // ends with ctx; synctest.Wait waits for it
		time.Sleep(time.Hour)
		stop()
		synctest.Wait()
		if len(l.due) > 1 || len(l.namespaces["/"].peers) > 0 {
			t.Errorf("after an hour, %d entries are due (want at most 1) and %d nodes are remembered (want 0)", len(l.due), len(l.namespaces["/"].peers))
		}
	})
}
