package redisadapter_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// A message over MaxMessage is not sent, and dropped when it is received.
func TestMaxMessage(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	small := quietConfig(redisadapter.Classic)
	small.MaxMessage = 1000
	a, b := startNode(t, client, small), startNode(t, client, quietConfig(redisadapter.Classic))
	waitForDelivery(t, a, b)
	large := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["` + strings.Repeat("x", 2000) + `"]`)}}
	if err := a.Publish(t.Context(), large); !errors.Is(err, adapter.ErrTooLarge) {
		t.Errorf("Publish returned %v, want ErrTooLarge", err)
	}
	if err := b.Publish(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	const next = `["next"]`
	if err := b.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(next)}}); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != next; {
		select {
		case got = <-a.received:
			if len(got) > 1000 {
				t.Errorf("received a message of %d bytes, MaxMessage is 1000", len(got))
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the message after the large one did not arrive")
		}
	}
	waitForDelivery(t, b, a)
}

// Malformed data on any channel is dropped and does not disturb the nodes.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for name, mode := range pubSubModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, redistest.Start(t).Addr())
			a, b := startNode(t, client, quietConfig(mode)), startNode(t, client, quietConfig(mode))
			waitForDelivery(t, a, b)
			for _, data := range []string{"", "\xc1", "{", "[", "{}", "null", "\x93\xa1x\xc0\xc0", strings.Repeat("\x91", 10_000), `{"type":2,"rooms":["r"]}`, `{"uid":"x","nsp":"/","type":6}`} {
				for _, channel := range []string{"socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", "socket.io-response#/#" + a.id + "#", "socket.io#/#" + a.id + "#"} {
					err := errors.Join(client.Publish(t.Context(), channel, data).Err(), client.SPublish(t.Context(), channel, data).Err())
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
		})
	}
}
