package redisadapter

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// A channel that is unsubscribed and subscribed again at once is not taken for one whose
// slot has moved. A channel that Redis unsubscribes without a command is.
func TestSubscriber_UnsubscribedAndSubscribedAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := goredis.NewClient(&goredis.Options{Addr: redistest.Start(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	ps := client.SSubscribe(ctx)
	t.Cleanup(func() { _ = ps.Close() })
	s := newSubscriber()
	moved := 0
	s.onMoved = func(string) { moved++ }
	room := subscription{byShard, "room"}
	for _, wanted := range []bool{true, false, true} {
		s.set(wanted, room)
		if err := s.flush(ctx, ps); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the replies arrive after all commands were sent
		msg, err := ps.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.handle(msg)
	}
	if moved != 0 || !s.isConfirmed("room") {
		t.Errorf("onMoved was called %d times, want 0; confirmed: %v, want true", moved, s.isConfirmed("room"))
	}
	s.handle(&goredis.Subscription{Kind: "sunsubscribe", Channel: "room"}) // without a command
	if moved != 1 || s.isConfirmed("room") {
		t.Errorf("onMoved was called %d times, want 1; confirmed: %v, want false", moved, s.isConfirmed("room"))
	}
}
