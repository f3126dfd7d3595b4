package redisadapter

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A room that is left and joined again at once does not look like one whose slot has
// moved; and one whose slot has moved does.
func TestListener_LeftAndJoinedAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := goredis.NewClient(&goredis.Options{Addr: redistest.Start(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	ps := client.SSubscribe(ctx)
	t.Cleanup(func() { _ = ps.Close() })
	l := newListener()
	moved := 0
	l.moved = func(string) { moved++ }
	room := channel{shard, "room"}
	for _, wanted := range []bool{true, false, true} {
		l.set(wanted, room)
		if err := l.flush(ctx, ps); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // answers come after all of them were asked for
		msg, err := ps.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		l.take(msg)
	}
	if moved != 0 || !l.hears("room") {
		t.Errorf("moved %d times, hears %v", moved, l.hears("room"))
	}
	l.take(&goredis.Subscription{Kind: "sunsubscribe", Channel: "room"}) // unasked
	if moved != 1 || l.hears("room") {
		t.Errorf("moved %d times, hears %v", moved, l.hears("room"))
	}
}

// While the stream cannot be read nothing gathers: neither signs of life, which would
// push out what others have still to read when they are all added at once, nor nodes
// that are not heard of any more.
func TestStreamLink_NothingGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newStreamLink(&Adapter{cfg: configDefault(Config{Logger: slog.New(slog.DiscardHandler)})})
		l.open("/", "me")
		for i := range 1000 {
			l.note(&entry{namespace: "/", uid: fmt.Sprint("node", i), kind: clusterBeat})
		}
		ctx, stop := context.WithCancel(t.Context())
		go l.beat(ctx)
		time.Sleep(time.Hour)
		stop()
		synctest.Wait()
		if len(l.due) > 1 || len(l.heard["/"]) > 0 {
			t.Errorf("%d entries are due after an hour, %d nodes are remembered", len(l.due), len(l.heard["/"]))
		}
	})
}
