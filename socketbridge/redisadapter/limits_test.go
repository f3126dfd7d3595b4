package redisadapter_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
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

// hostile is data that no node writes.
var hostile = []string{
	"", "\xc1", "{", "[", "{}", "null", "\x93\xa1x\xc0\xc0", strings.Repeat("\x91", 10_000), `{"type":2,"rooms":["r"]}`, `{"uid":"x","nsp":"/","type":6}`,
	"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.", // a pickle of Python that runs a command
	`a:1:{i:0;O:8:"stdClass":0:{}}`,                                            // a serialized object of PHP
	"\x83\xa3uid\xa1x\xa3nsp\xa1/\xa4type\x06",                                 // disconnects without an address
	"\x84\xa3uid\xa1x\xa3nsp\xa1/\xa4type\x02\xa4data\x80",                     // a heartbeat
	"\x84\xa3uid\xa1x\xa3nsp\xa6/other\xa4type\x0a\xa4data\x80",                // for another namespace
	"\x84\xa3uid\xa1x\xa3nsp\xa1/\xa4type\x03\xa4data\x81\xa9requestId\xa1q",   // asks for acknowledgements of nothing
	"\x84\xa3uid\xa1x\xa3nsp\xa1/\xa4type\x07\xa4data\x81\xa4opts\xc0",         // fetches without an address
	"\x84\xa3uid\xa1x\xa3nsp\xa1/\xa4type\x08\xa4data\x81\xa7sockets\xa3abc",   // replies with a string for a list
	"\x84\xa3uid\xa1x\xa3nsp\xa1/\xa4type\xcb\x40\x5e\xdd\x2f\x1a\x9f\xbe\x77", // a type that is not an integer
}

// Malformed data on any channel or in the stream is dropped, counted, and logged in a bounded
// number of lines. It does not disturb the nodes.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, redistest.Start(t).Addr())
			log := new(testlog.Log)
			cfg := quietConfig(mode)
			cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
			a, b := startNode(t, client, cfg), startNode(t, client, quietConfig(mode))
			waitForDelivery(t, a, b)
			for _, data := range hostile {
				for _, channel := range []string{"socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", "socket.io-response#/#" + a.id + "#", "socket.io#/#" + a.id + "#"} {
					err := errors.Join(client.Publish(t.Context(), channel, data).Err(), client.SPublish(t.Context(), channel, data).Err())
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := client.XAdd(t.Context(), entryOf("x", data)).Err(); err != nil {
					t.Fatal(err)
				}
			}
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
			want := uint64(len(hostile))
			switch mode {
			case redisadapter.Streams, redisadapter.StreamsSharded:
				want *= 3 // on two channels and in the stream
			case redisadapter.Classic:
				want = 2 // most of it is a response to no request
			}
			waitFor(t, "everything is counted", func() string {
				if got := a.Adapter.(interface{ Notices() map[string]uint64 }).Notices()["malformed_message"]; got < want {
					return fmt.Sprint(got, " of ", want)
				}
				return ""
			})
			if n := strings.Count(log.String(), "dropped a malformed"); n != 1 {
				t.Errorf("%d log lines, want 1:\n%s", n, log)
			}
		})
	}
}

// entryOf returns an entry of the stream with the type of a broadcast in the namespace /.
func entryOf(uid, data string) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: "socket.io", Values: []string{"uid", uid, "nsp", "/", "type", "3", "data", data}}
}
