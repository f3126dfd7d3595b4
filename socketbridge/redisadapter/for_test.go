package redisadapter_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// For uses the client and the prefix of a storage, and returns nil for a storage that is
// not on Redis.
func TestFor(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL()
	store := storage.MustOpen(url + "?prefix=shop:")
	defer store.Close()
	client := newClient(t, strings.TrimPrefix(strings.TrimSuffix(url, "/0"), "redis://"))
	sub := client.PSubscribe(t.Context(), "*")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		store storage.Basic
		cfg   redisadapter.Config
		want  string
	}{
		{"storage with a prefix", store, redisadapter.Config{}, "shop:socket.io#/#"},
		{"view with another prefix", storage.Prefix(store, "eu:"), redisadapter.Config{}, "shop:eu:socket.io#/#"},
		{"explicit key", store, redisadapter.Config{Key: "own"}, "own#/#"},
	} {
		tt.cfg.Logger = slog.New(slog.DiscardHandler)
		a := redisadapter.For(tt.store, tt.cfg).(*redisadapter.Adapter)
		n := &testNode{Adapter: a, id: rand.Text(), received: make(chan string, 10)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, n) }() // ends with ctx; waited for below
		waitFor(t, tt.name+": the adapter publishes", func() string {
			return errText(a.Publish(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}))
		})
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil || m.Channel != tt.want {
			t.Errorf("%s: got the message %v, %v, want one on %s", tt.name, m, err, tt.want)
		}
		cancel()
		<-done
	}
	mem := memory.New()
	defer mem.Close()
	if a := redisadapter.For(mem); a != nil {
		t.Errorf("For(memory) is %v, want nil", a)
	}
	if a := redisadapter.For(storage.Prefix(mem, "x:")); a != nil {
		t.Errorf("For(view of memory) is %v, want nil", a)
	}
}
