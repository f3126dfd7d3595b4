package redisadapter_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// Row 44: a hostile publisher sends 12,000 messages as fast as Redis takes them: garbage, messages
// in the format of Node, and copies of signed ones. None is delivered, each kind is logged in one
// line, all are counted, and the nodes go on. `make flood` goes on for longer. The log of the test has
// the CPU time that a message takes.
func TestSign_HostilePublisherAtSpeed(t *testing.T) {
	t.Parallel()
	duration, _ := time.ParseDuration(os.Getenv("FLOOD_TIME"))
	for name, mode := range modeFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, redistest.Start(t).Addr())
			log := new(testlog.Log)
			cfg := signedConfig(mode, 1)
			cfg.MaxLen, cfg.Logger = 1_000_000, slog.New(slog.NewTextHandler(log, nil))
			quiet := cfg
			quiet.Logger = slog.New(slog.DiscardHandler)
			a, b := startNode(t, client, cfg), startNode(t, client, quiet)
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
			before := lastEntry(t, client)
			tap := newWiretap(t, client, "socket.io#/#", "socket.io#/#room#")
			real := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"}, Payload: adapter.Payload{JSON: []byte(`["AAAAAAAAAAAAAAAAAAAAAAAAAA"]`)}}
			if err := b.Publish(t.Context(), real); err != nil {
				t.Fatal(err)
			}
			waitForDeliveryAmong(t, b, a)
			send := hostileSender(t, client, mode, tap.messages(t), before)
			_ = tap.pubSub.Close()
			drain(a)

			const round = 1000
			began, cpu, sent := time.Now(), processCPU(t), 0
			for rounds := 12; rounds > 0 || time.Since(began) < duration; rounds-- {
				send(round)
				sent += round
			}
			waitFor(t, "all are counted", func() string {
				c := noticesOf(a)
				if n := c["unsigned_message"] + c["replayed_message"] + c["malformed_message"]; n < uint64(sent) {
					return fmt.Sprintf("%d of %d: %v", n, sent, c)
				}
				return ""
			})
			waitForDeliveryAmong(t, b, a)
			took := time.Since(began)
			t.Logf("%d hostile messages, %.0f per second; %.1f µs of CPU per message for two nodes and the publisher",
				sent, float64(sent)/took.Seconds(), (processCPU(t)-cpu)*1e6/float64(sent))
			if got := drain(a); len(got) != 0 {
				t.Errorf("delivered: %.5q", got)
			}
			for _, kind := range []string{"unsigned_message", "replayed_message"} {
				if n := strings.Count(log.String(), "notice="+kind); n == 0 || n > 1+int(took/time.Minute) {
					t.Errorf("%d log lines of %s in %v, want 1 per minute", n, kind, took)
				}
			}
		})
	}
}

// hostileSender returns a function that sends a number of hostile messages, of several kinds in
// turn, in one pipeline. It replays the messages signed, or the entries of the stream after before,
// all of which the nodes have read: a node delivers a message that it has not seen.
func hostileSender(t *testing.T, client *goredis.Client, mode redisadapter.Mode, signed []*goredis.Message, before string) func(count int) {
	t.Helper()
	formats := map[redisadapter.Mode]string{
		redisadapter.Classic: "\x93\xa1x\x83\xa4type\x02\xa4data\x91\xa6forged\xa3nsp\xa1/\x81\xa5rooms\x90",
		redisadapter.Sharded: `{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["forged"],"nsp":"/"},"opts":{"rooms":[],"except":[]}}}`,
		redisadapter.Streams: `{"packet":{"type":2,"data":["forged"],"nsp":"/"},"opts":{"rooms":[],"except":[]}}`,
	}
	var entries []goredis.XMessage
	if mode == redisadapter.Streams {
		var err error
		if entries, err = client.XRange(t.Context(), "socket.io", "("+before, "+").Result(); err != nil {
			t.Fatal(err)
		}
	} else if len(signed) == 0 {
		t.Fatal("nothing was tapped")
	}
	n := 0
	add := func(ctx context.Context, p goredis.Pipeliner) {
		n++
		channel, text := "socket.io#/#room#", []string{formats[mode], strings.Repeat("\xc1", 100), "{", formats[mode]}[n%4]
		if n%4 == 3 && mode != redisadapter.Streams {
			m := signed[n%len(signed)]
			channel, text = m.Channel, m.Payload
		}
		switch mode {
		case redisadapter.Classic:
			p.Publish(ctx, channel, text)
		case redisadapter.Sharded:
			p.SPublish(ctx, channel, text)
		default:
			args := entryOf("x", text)
			if n%4 == 3 {
				args.Values = entries[n%len(entries)].Values
			}
			p.XAdd(ctx, args)
		}
	}
	return func(count int) {
		_, err := client.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
			for range count {
				add(t.Context(), p)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// lastEntry returns the ID of the last entry of the stream.
func lastEntry(t *testing.T, client *goredis.Client) string {
	t.Helper()
	entries, err := client.XRevRangeN(t.Context(), "socket.io", "+", "-", 1).Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		return "0"
	}
	return entries[0].ID
}
