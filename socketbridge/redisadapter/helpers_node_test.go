package redisadapter_test

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// node is a node without a server, in the namespace "/".
type node struct {
	adapter.Adapter
	id  string
	got chan string
}

func (n *node) ID() string                 { return n.id }
func (n *node) Deliver(m *adapter.Message) { n.got <- string(m.Payload.JSON) }

func (n *node) Answer(_ context.Context, m *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) { yield(&adapter.Reply{Kind: adapter.Fetched}) }
}

// newAdapter is New, for streams too.
func newAdapter(client goredis.UniversalClient, cfg redisadapter.Config) adapter.Adapter {
	if cfg.Mode == redisadapter.Streams {
		return redisadapter.NewStreams(client, cfg)
	}
	return redisadapter.New(client, cfg)
}

func newNode(t *testing.T, client goredis.UniversalClient, cfg redisadapter.Config) *node {
	t.Helper()
	n := &node{Adapter: newAdapter(client, cfg), id: rand.Text(), got: make(chan string, 10_000)}
	n.Open("/")
	n.Adapter.(adapter.RoomWatcher).RoomOpened("/", "room", false)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n) }() // ends with ctx; waited for below
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return n
}

// hears waits until a message of one node arrives at another, by way of a room and of
// none.
func hears(t *testing.T, from, to *node) {
	t.Helper()
	for _, rooms := range [][]string{{"room"}, nil} {
		want := `["` + rand.Text() + `"]`
		wait(t, "a message arrives", func() string {
			err := from.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: rooms, Payload: adapter.Payload{JSON: []byte(want)}})
			for {
				select {
				case got := <-to.got:
					if got == want {
						return ""
					}
				case <-time.After(20 * time.Millisecond):
					return "nothing came: " + errText(err)
				}
			}
		})
	}
	wait(t, "a question is answered", func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		replies := 0
		for _, err := range from.Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
			if err != nil {
				return err.Error()
			}
			replies++
		}
		if replies != 1 {
			return strconv.Itoa(replies) + " replies"
		}
		return ""
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// allModes are modes, and streams.
func allModes() map[string]redisadapter.Mode {
	all := maps.Clone(modes)
	all["streams"] = redisadapter.Streams
	return all
}

// A listening connection that breaks is renewed, with all that was subscribed to.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := newClient(t, server.Addr())
			a, b := newNode(t, client, silent(mode)), newNode(t, client, silent(mode))
			hears(t, a, b)
			for range 3 {
				for _, kind := range []string{"pubsub", "normal"} { // a stream is read like anything else
					if err := client.Do(t.Context(), "client", "kill", "type", kind).Err(); err != nil {
						t.Fatal(err)
					}
				}
				hears(t, a, b)
				hears(t, b, a)
			}
		})
	}
}

// Without Redis everything ends with an error that says what is known, and in time.
func TestRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := newClient(t, server.Addr())
			a, b := newNode(t, client, silent(mode)), newNode(t, client, silent(mode))
			hears(t, a, b)
			server.Kill()
			m := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}
			wait(t, "Publish says that nothing was sent", func() string {
				err := a.Publish(t.Context(), m)
				if !errors.Is(err, adapter.ErrUnavailable) && !errors.Is(err, adapter.ErrUnknownOutcome) {
					t.Fatalf("Publish: %v", err)
				}
				if !errors.Is(err, adapter.ErrUnavailable) {
					return err.Error() // the first ones went into a broken connection
				}
				return ""
			})
			if _, err := a.Nodes(t.Context(), "/"); !errors.Is(err, adapter.ErrUnavailable) {
				t.Errorf("Nodes: %v", err)
			}
			for _, err := range a.Ask(t.Context(), m) {
				if !errors.Is(err, adapter.ErrUnavailable) {
					t.Errorf("Ask: %v", err)
				}
			}
			server.Restart()
			hears(t, a, b)
			hears(t, b, a)
		})
	}
}

// A message that is too large is not sent, and one that comes all the same is dropped.
func TestMaxMessage(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	small := silent(redisadapter.Classic)
	small.MaxMessage = 1000
	a, b := newNode(t, client, small), newNode(t, client, silent(redisadapter.Classic))
	hears(t, a, b)
	large := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["` + strings.Repeat("x", 2000) + `"]`)}}
	if err := a.Publish(t.Context(), large); !errors.Is(err, adapter.ErrTooLarge) {
		t.Errorf("Publish: %v", err)
	}
	if err := b.Publish(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	for len(a.got) > 0 {
		<-a.got
	}
	hears(t, b, a) // and nothing large before
}

// What is no message of the format disturbs nobody.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, redistest.Start(t).Addr())
			a, b := newNode(t, client, silent(mode)), newNode(t, client, silent(mode))
			hears(t, a, b)
			for _, data := range []string{"", "\xc1", "{", "[", "{}", "null", "\x93\xa1x\xc0\xc0", strings.Repeat("\x91", 10_000), `{"type":2,"rooms":["r"]}`, `{"uid":"x","nsp":"/","type":6}`} {
				for _, channel := range []string{"socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", "socket.io-response#/#" + a.id + "#", "socket.io#/#" + a.id + "#"} {
					err := errors.Join(client.Publish(t.Context(), channel, data).Err(), client.SPublish(t.Context(), channel, data).Err())
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			hears(t, a, b)
			hears(t, b, a)
		})
	}
}

// For takes the client and the prefix of what it is given.
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
		{"a prefix", store, redisadapter.Config{}, "shop:socket.io#/#"},
		{"a view", storage.Prefix(store, "eu:"), redisadapter.Config{}, "shop:eu:socket.io#/#"},
		{"a key", store, redisadapter.Config{Key: "own"}, "own#/#"},
	} {
		tt.cfg.Logger = slog.New(slog.DiscardHandler)
		a := redisadapter.For(tt.store, tt.cfg).(*redisadapter.Adapter)
		n := &node{Adapter: a, id: rand.Text(), got: make(chan string, 10)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, n) }() // waited for below
		wait(t, tt.name, func() string {
			return errText(a.Publish(ctx, &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}))
		})
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil || m.Channel != tt.want {
			t.Errorf("%s: %v, %v, want %s", tt.name, m, err, tt.want)
		}
		cancel()
		<-done
	}
	mem := memory.New()
	defer mem.Close()
	if a := redisadapter.For(mem); a != nil {
		t.Errorf("memory has the adapter %v", a)
	}
	if a := redisadapter.For(storage.Prefix(mem, "x:")); a != nil {
		t.Errorf("a view of memory has the adapter %v", a)
	}
}

// The suite on a Redis Cluster, where sharded channels live at the node of their slot.
func TestAdapterOnCluster(t *testing.T) {
	t.Parallel()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: redistest.StartCluster(t).Addrs(), MaxRetries: -1, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(t *testing.T) func() adapter.Adapter {
				cfg := silent(mode)
				cfg.Key = t.Name()
				return func() adapter.Adapter { return redisadapter.New(client, cfg) }
			})
		})
	}
}
