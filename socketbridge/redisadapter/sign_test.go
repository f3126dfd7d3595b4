package redisadapter_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter/adaptertest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

func secretOf(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// signedConfig returns a configuration with secrets.
func signedConfig(mode redisadapter.Mode, secrets ...byte) redisadapter.Config {
	cfg := quietConfig(mode)
	for _, b := range secrets {
		cfg.Secrets = append(cfg.Secrets, secretOf(b))
	}
	return cfg
}

func noticesOf(n *testNode) map[string]uint64 {
	return n.Adapter.(adapter.Reporter).Notices()
}

// The conformance suites with secrets, in every mode.
func TestSign_Conformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, mode := range allModes() {
		cluster := func(t *testing.T) func() adapter.Adapter {
			client := newClient(t, server.Addr())
			cfg := signedConfig(mode, 1)
			cfg.Key, cfg.SessionKey = t.Name(), t.Name()+":session:"
			return func() adapter.Adapter { return newAdapter(client, cfg) }
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if mode < redisadapter.Streams {
				adaptertest.Run(t, cluster)
			} else {
				adaptertest.RunLog(t, cluster)
			}
		})
	}
}

// wiretap records everything that is published on a Redis.
type wiretap struct {
	client *goredis.Client
	pubSub *goredis.PubSub
}

// newWiretap taps the plain channels and the sharded ones of the given names.
func newWiretap(t *testing.T, client *goredis.Client, sharded ...string) *wiretap {
	t.Helper()
	w := &wiretap{client: client, pubSub: client.PSubscribe(t.Context(), "*")}
	t.Cleanup(func() { _ = w.pubSub.Close() })
	confirmations := 1
	if len(sharded) > 0 {
		if err := w.pubSub.SSubscribe(t.Context(), sharded...); err != nil {
			t.Fatal(err)
		}
		confirmations += len(sharded)
	}
	for range confirmations {
		if _, err := w.pubSub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// messages returns what was published until now.
func (w *wiretap) messages(t *testing.T) (all []*goredis.Message) {
	t.Helper()
	if err := w.client.Publish(t.Context(), "end of tap", "").Err(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := w.pubSub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Channel == "end of tap" {
			return all
		}
		all = append(all, m)
	}
}

// Row 44: with secrets, what another client of the Redis sends does nothing: messages in the
// format of Node, messages with another secret, copies of real messages in the same place and in
// another one. The same messages are believed by a node without secrets.
func TestSign_HostileClientOfRedis(t *testing.T) {
	t.Parallel()
	for name, mode := range allModes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, redistest.Start(t).Addr())
			log := new(testlog.Log)
			cfg := signedConfig(mode, 1)
			cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
			a, b := startNode(t, client, cfg), startNode(t, client, signedConfig(mode, 1))
			waitForDelivery(t, a, b)
			waitForDelivery(t, b, a)
			channels := []string{"socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", "socket.io-response#/#" + a.id + "#", "socket.io#/#" + a.id + "#"}
			tap := newWiretap(t, client, channels...)
			// Real messages, for copies: a broadcast to a room, one to all, a disconnect, an event for
			// servers and a request with its reply.
			for _, m := range []*adapter.Message{
				{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"}, Payload: adapter.Payload{JSON: []byte(`["real"]`)}},
				{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["real"]`)}},
				{Kind: adapter.Disconnect, Namespace: "/", Rooms: []string{"none"}, Payload: adapter.Payload{JSON: []byte(`["real"]`)}},
				{Kind: adapter.ServerSide, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["real"]`)}},
			} {
				if err := b.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			ask(t, b) // the tap counts as a node, which does not reply
			waitForDeliveryAmong(t, b, a)
			drain(a)

			forger := startNode(t, client, signedConfig(mode, 2)) // knows everything but the secret
			plain := startNode(t, client, quietConfig(mode))      // a node without secrets, like Node's servers
			for _, n := range []*testNode{forger, plain} {
				waitFor(t, "it runs", func() string { _, err := n.Nodes(t.Context(), "/"); return errText(err) })
				for _, m := range []*adapter.Message{
					{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"room"}, Payload: adapter.Payload{JSON: []byte(`["forged"]`)}},
					{Kind: adapter.Disconnect, Namespace: "/", Close: true},
					{Kind: adapter.Join, Namespace: "/", Targets: []string{"vip"}},
					{Kind: adapter.Leave, Namespace: "/", Targets: []string{"room"}},
					{Kind: adapter.ServerSide, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["forged"]`)}},
				} {
					if err := n.Publish(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
				if ask(t, n) > 0 && n == forger {
					t.Error("a node with another secret was answered")
				}
			}
			for _, m := range tap.messages(t) {
				for _, channel := range append([]string{m.Channel}, channels...) {
					_ = client.Publish(t.Context(), channel, m.Payload).Err()
					_ = client.SPublish(t.Context(), channel, m.Payload).Err()
				}
			}
			if mode >= redisadapter.Streams {
				entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: e.Values}).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, want := range []string{"notice=unsigned_message", "notice=forged_message", "notice=replayed_message"} {
				waitFor(t, want+" is counted", func() string {
					if noticesOf(a)[strings.TrimPrefix(want, "notice=")] == 0 {
						return fmt.Sprint(noticesOf(a))
					}
					return ""
				})
				waitFor(t, want+" is logged", func() string {
					if n := strings.Count(log.String(), want); n != 1 {
						return fmt.Sprint(n, " lines")
					}
					return ""
				})
			}
			waitForDeliveryAmong(t, b, a)
			if !log.Has(`setting="Config.Secrets, AcceptUnsigned"`) {
				t.Errorf("the log does not name the settings:\n%s", log)
			}
			if n := noticesOf(a)["malformed_message"]; n != 0 {
				t.Errorf("%d messages were decoded before they were verified", n)
			}
			if got := drain(a); len(got) != 0 {
				t.Errorf("delivered: %q", got)
			}
		})
	}
}

// ask sends a request and returns how many nodes reply within a moment.
func ask(t *testing.T, n *testNode) (replies int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, err := range n.Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
		if err == nil {
			replies++
		}
	}
	return replies
}

// drain returns what was delivered to a node, except the broadcasts of waitForDelivery.
func drain(n *testNode) (got []string) {
	for {
		select {
		case text := <-n.received:
			if len(text) != len(`["ABCDEFGHIJKLMNOPQRSTUVWXYZ"]`) {
				got = append(got, text)
			}
		default:
			return got
		}
	}
}

// waitForDeliveryAmong waits until everything that was published before has arrived at a node: a
// broadcast of its friend arrives. What was delivered before stays in n.received.
func waitForDeliveryAmong(t *testing.T, from, to *testNode) {
	t.Helper()
	waitFor(t, "a broadcast arrives after the hostile messages", func() string {
		before := len(to.received)
		if err := from.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["AAAAAAAAAAAAAAAAAAAAAAAAAA"]`)}}); err != nil {
			return err.Error()
		}
		for range 100 {
			if len(to.received) > before {
				return ""
			}
			time.Sleep(time.Millisecond) // there is no notification that leaves the message in the channel
		}
		return "it did not"
	})
}

// Row 44: secrets are introduced, replaced and removed one node at a time, and no message is
// lost: three nodes broadcast all the time, and each of them restarts with each configuration.
func TestSign_RollingDeploy(t *testing.T) {
	t.Parallel()
	for name, mode := range modeFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			cfg := func(unsigned bool, secrets ...byte) redisadapter.Config {
				c := signedConfig(mode, secrets...)
				c.AcceptUnsigned = unsigned
				return c
			}
			steps := []redisadapter.Config{cfg(false), cfg(true, 1), cfg(false, 1), cfg(false, 1, 2), cfg(false, 2, 1), cfg(false, 2)}
			var nodes [3]*deployNode
			for i := range nodes {
				nodes[i] = startDeployNode(t, server, steps[0])
			}
			number := 0
			for step, c := range append(steps, steps[0])[:len(steps)] {
				for i := range nodes {
					if step > 0 {
						nodes[i].stop()
						// Otherwise Redis may still count the node that ended in place of the next one.
						waitForNodes(t, nodes[(i+1)%len(nodes)], len(nodes)-1)
						nodes[i] = startDeployNode(t, server, c)
					}
					for _, n := range nodes {
						waitForNodes(t, n, len(nodes))
					}
					for range 3 { // every node sends to the two others, and asks them
						for _, from := range nodes {
							number++
							from.broadcast(t, nodes[:], strconv.Itoa(number))
						}
					}
				}
			}
			for _, n := range nodes {
				counts := noticesOf(n.testNode)
				if counts["unsigned_message"]+counts["forged_message"]+counts["replayed_message"] != 0 {
					t.Errorf("a node of the last deploy dropped messages: %v", counts)
				}
			}
		})
	}
}

// deployNode is a node that can be stopped.
type deployNode struct {
	*testNode
	stop func()
}

func startDeployNode(t *testing.T, server *redistest.Server, cfg redisadapter.Config) *deployNode {
	t.Helper()
	n := &deployNode{testNode: &testNode{Adapter: newAdapter(newClient(t, server.Addr()), cfg), id: "node" + strconv.Itoa(deployed.next()), received: make(chan string, 10_000)}}
	n.Open("/")
	n.Adapter.(adapter.RoomWatcher).RoomOpened("/", "room", false)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n) }() // ends with ctx; stop waits for it
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(n.stop)
	return n
}

// waitForNodes waits until n counts so many nodes.
func waitForNodes(t *testing.T, n *deployNode, want int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s counts %d nodes", n.id, want), func() string {
		if count, err := n.Nodes(t.Context(), "/"); count != want || err != nil {
			return fmt.Sprint(count, err)
		}
		return ""
	})
}

// counter makes the IDs of nodes.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

var deployed counter

// broadcast sends a text and waits until the two other nodes have it. It asks them too.
func (n *deployNode) broadcast(t *testing.T, all []*deployNode, text string) {
	t.Helper()
	want := `["` + text + `"]`
	if err := n.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(want)}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, to := range all {
		if to == n {
			continue
		}
		select {
		case got := <-to.received:
			if got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%s of node %s did not arrive at node %s: %v", want, n.id, to.id, noticesOf(to.testNode))
		}
	}
	replies := 0
	for _, err := range n.Ask(ctx, &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
		if err != nil {
			t.Fatalf("a request: %v", err)
		}
		replies++
	}
	if replies != 2 {
		t.Fatalf("%d replies, want 2", replies)
	}
}

// AcceptUnsigned is a weak setting, which is logged; what it accepts is counted, so that the
// operator sees when it can be removed.
func TestSign_AcceptUnsignedIsReported(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	log := new(testlog.Log)
	cfg := signedConfig(redisadapter.Classic, 1)
	cfg.AcceptUnsigned, cfg.Logger = true, slog.New(slog.NewTextHandler(log, nil))
	a, b := startNode(t, client, cfg), startNode(t, client, quietConfig(redisadapter.Classic))
	waitForDelivery(t, b, a)
	for _, name := range []string{"notice=accepts_unsigned", "notice=unsigned_accepted"} {
		if noticesOf(a)[strings.TrimPrefix(name, "notice=")] == 0 || strings.Count(log.String(), name) != 1 {
			t.Errorf("%s: counts %v, log:\n%s", name, noticesOf(a), log)
		}
	}
	if strings.Contains(log.String(), base64.StdEncoding.EncodeToString(secretOf(1))) || strings.Contains(fmt.Sprintf("%+v", a.Adapter), strings.Trim(fmt.Sprint(secretOf(1)), "[]")) {
		t.Error("the log or the adapter tells the secret")
	}
}

// Without permission for TIME, a node with secrets says so, and sends nothing that others
// would refuse.
func TestSign_ClockCannotBeRead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do("acl", "setuser", "default", "-time")
	log := new(testlog.Log)
	cfg := signedConfig(redisadapter.Classic, 1)
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	client := newClient(t, server.Addr())
	a := startNode(t, client, cfg)
	waitFor(t, "it is logged", func() string {
		if log.Has("notice=clock_unread") {
			return ""
		}
		return "log: " + log.String()
	})
	if err := a.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["x"]`)}}); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("Publish: got %v, want ErrUnavailable", err)
	}
	server.Do("acl", "setuser", "default", "+time")
	b := startNode(t, client, cfg)
	waitForDelivery(t, b, a)
	waitForDelivery(t, a, b)
	if n := noticesOf(a)["replayed_message"]; n != 0 {
		t.Errorf("%d messages were refused, want none: the node receives when it knows the time", n)
	}
}

// A node sends from its first moment on, although it has to read the clock before.
func TestSign_FirstMessage(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	a := startNode(t, client, signedConfig(redisadapter.Classic, 1))
	waitForDelivery(t, startNode(t, client, signedConfig(redisadapter.Classic, 1)), a)
	for range 20 {
		n := startNode(t, client, signedConfig(redisadapter.Classic, 1))
		if err := n.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["x"]`)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// Row 44: a copy of an entry is not replayed to a client that recovers, nor is a state accepted
// that another client of the Redis has written.
func TestSign_Recovery(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	n := startNode(t, client, signedConfig(redisadapter.Streams, 1))
	log := n.Adapter.(adapter.Log)
	say := func(text string) {
		t.Helper()
		waitFor(t, "it is appended", func() string {
			return errText(log.Append(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["` + text + `"]`)}}))
		})
	}
	waitFor(t, "the node reads the stream", func() string { _, err := n.Nodes(t.Context(), "/"); return errText(err) })
	say("first")
	after := log.Position("/")
	say("second")
	entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	copied := entries[len(entries)-1].Values
	for _, values := range []map[string]any{copied, {"uid": "x", "nsp": "/", "type": "3", "data": copied["data"]}} {
		if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	say("third")
	var got []string
	if _, err := log.Since(t.Context(), "/", after, func(m *adapter.Message) bool { got = append(got, string(m.Payload.JSON)); return true }); err != nil {
		t.Fatal(err)
	}
	if want := `["second"] ["third"]`; strings.Join(got, " ") != want {
		t.Errorf("replayed %s, want %s", strings.Join(got, " "), want)
	}

	state := &adapter.RecoveryState{Namespace: "/", PID: "p", ID: "s", Owner: "o", Data: []byte("{}"), State: []byte("{}")}
	if err := log.SaveState(t.Context(), state, time.Minute); err != nil {
		t.Fatal(err)
	}
	value := client.Get(t.Context(), "socket.io:recovery:p").Val()
	for key, forged := range map[string]string{
		"socket.io:recovery:q": value,           // under another key
		"socket.io:recovery:r": value[52:],      // without the signature
		"socket.io:recovery:u": value[:60],      // cut
		"socket.io:recovery:v": "x" + value[1:], // a value of another program
	} {
		if err := client.Set(t.Context(), key, forged, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if r, err := log.TakeState(t.Context(), "/", strings.TrimPrefix(key, "socket.io:recovery:"), "o"); r != nil || err != nil {
			t.Errorf("%s: got %+v, %v, want nothing", key, r, err)
		}
	}
	if r, err := log.TakeState(t.Context(), "/", "p", "o"); r == nil || err != nil {
		t.Errorf("the state itself: got %v, %v", r, err)
	}
}

// Other servers that use the same secret for another Key do not accept each other's messages.
func TestSign_KeysAreApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := storage.MustOpen(server.URL() + "?prefix=shop:")
	t.Cleanup(func() { _ = store.Close() })
	client := newClient(t, server.Addr())
	tap := newWiretap(t, client)
	shop := redisadapter.For(store, signedConfig(redisadapter.Classic, 1)).(*redisadapter.Adapter)
	sender := &testNode{Adapter: shop, id: "sender", received: make(chan string, 10)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- shop.Run(ctx, sender) }() // ends with ctx; waited for below
	t.Cleanup(func() { cancel(); <-done })
	n := startNode(t, client, signedConfig(redisadapter.Classic, 1))
	waitFor(t, "the shop publishes", func() string {
		return errText(shop.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["shop"]`)}}))
	})
	waitForDelivery(t, n, startNode(t, client, signedConfig(redisadapter.Classic, 1)))
	for _, m := range tap.messages(t) {
		if strings.HasPrefix(m.Channel, "shop:") {
			if err := client.Publish(t.Context(), strings.TrimPrefix(m.Channel, "shop:"), m.Payload).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitFor(t, "the copy is refused", func() string {
		if noticesOf(n)["forged_message"] == 0 {
			return fmt.Sprint(noticesOf(n))
		}
		return ""
	})
	if got := drain(n); len(got) != 0 {
		t.Errorf("delivered: %q", got)
	}
}
