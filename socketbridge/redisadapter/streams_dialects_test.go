package redisadapter_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// gatedNode is a node whose deliveries wait at a gate. It answers a request with the number of
// messages that were delivered.
type gatedNode struct {
	id        string
	gate      chan struct{}
	delivered int // written by the adapter's reader, read after the gate was passed
	asked     chan struct{}
}

func (n *gatedNode) ID() string { return n.id }

func (n *gatedNode) Deliver(*adapter.Message) {
	<-n.gate
	n.delivered++
}

func (n *gatedNode) Answer(context.Context, *adapter.Message) iter.Seq[*adapter.Reply] {
	return func(yield func(*adapter.Reply) bool) {
		close(n.asked)
		yield(&adapter.Reply{Kind: adapter.Fetched, Sockets: []adapter.Socket{{ID: strconv.Itoa(n.delivered)}}})
	}
}

// A request over pub/sub is answered after what its sender added to the stream before it: joins
// and leaves, and events that a client must get first.
func TestN11_StreamsRequestWaitsForBroadcasts(t *testing.T) {
	t.Parallel()
	client := newClient(t, redistest.Start(t).Addr())
	cfg := quietConfig(redisadapter.Streams)
	a := startNode(t, client, cfg)
	b := &gatedNode{id: rand.Text(), gate: make(chan struct{}), asked: make(chan struct{})}
	link := redisadapter.NewStreams(client, cfg)
	link.Open("/")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- link.Run(ctx, b) }() // ends with ctx; waited for below
	t.Cleanup(func() {
		cancel()
		<-done
	})
	waitFor(t, "the nodes find each other", func() string {
		na, errA := a.Nodes(t.Context(), "/")
		nb, errB := link.Nodes(t.Context(), "/")
		if na != 2 || nb != 2 {
			return fmt.Sprint(na, errA, nb, errB)
		}
		return ""
	})
	for range 3 {
		if err := a.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}); err != nil {
			t.Fatal(err)
		}
	}
	replies := make(chan string, 1)
	go func() { // ends with the reply; waited for below
		for r, err := range a.Ask(t.Context(), &adapter.Message{Kind: adapter.Fetch, Namespace: "/"}) {
			if err != nil {
				replies <- err.Error()
				return
			}
			replies <- r.Sockets[0].ID
		}
	}()
	select {
	case <-b.asked:
		t.Error("the request was answered before the broadcasts were delivered")
	case <-time.After(200 * time.Millisecond): // long after an early answer
	}
	close(b.gate)
	if got := <-replies; got != "3" {
		t.Errorf("the request was answered after %s broadcasts, want 3", got)
	}
}

// checkedNode is a node with frequent heartbeats that keeps its log.
func startCheckedNode(t *testing.T, addr string, change func(*redisadapter.Config)) (*testNode, *testlog.Log) {
	t.Helper()
	log := new(testlog.Log)
	cfg := redisadapter.Config{Mode: redisadapter.Streams, Heartbeat: 20 * time.Millisecond, HeartbeatTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(log, nil))}
	if change != nil {
		change(&cfg)
	}
	return startNode(t, newClient(t, addr), cfg), log
}

func counts(n *testNode) map[string]uint64 {
	return n.Adapter.(*redisadapter.StreamsAdapter).Notices()
}

var numsubCalls = regexp.MustCompile(`cmdstat_pubsub\|numsub:calls=(\d+)`)

// A cluster in which requests do not reach every node is noticed, and reported with the
// settings that decide it. Nodes that fit together report nothing.
func TestS6_StreamsMisfits(t *testing.T) {
	t.Parallel()
	broadcast := func(t *testing.T, n *testNode) {
		t.Helper()
		if err := n.Publish(t.Context(), &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Payload: adapter.Payload{JSON: []byte(`["e"]`)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		mine   func(*redisadapter.Config)
		theirs func(*redisadapter.Config)
	}{
		{"other channels", nil, func(cfg *redisadapter.Config) { cfg.ChannelPrefix = "other" }},
		{"sharded channels", nil, func(cfg *redisadapter.Config) { cfg.Mode = redisadapter.StreamsSharded }},
		{"plain channels", func(cfg *redisadapter.Config) { cfg.Mode = redisadapter.StreamsSharded }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a, log := startCheckedNode(t, server.Addr(), tt.mine)
			b, _ := startCheckedNode(t, server.Addr(), tt.mine)
			misfit, _ := startCheckedNode(t, server.Addr(), tt.theirs)
			waitForDelivery(t, a, b)
			waitFor(t, "the node is reported", func() string {
				broadcast(t, b)
				broadcast(t, misfit)
				if counts(a)["unreachable_node"] == 0 || !log.Has("does not listen for requests") || !log.Has("Config.ChannelPrefix, Mode") {
					return fmt.Sprintf("counts are %v, and the log does not name the cause and the settings:\n%s", counts(a), log)
				}
				return ""
			})
		})
	}
	t.Run("a server that uses pub/sub beside a node that does not", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		a, log := startCheckedNode(t, server.Addr(), func(cfg *redisadapter.Config) { cfg.Mode = redisadapter.StreamsOnly })
		client := newClient(t, server.Addr())
		waitFor(t, "the server is reported", func() string {
			err := client.XAdd(t.Context(), entryOf("3b9ad5cbd4c5ea13", `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":[],"flags":{}}}`)).Err()
			if counts(a)["unreachable_node"] == 0 || !log.Has("StreamsOnly") {
				return fmt.Sprintf("counts are %v, and the log does not name the mode: %v\n%s", counts(a), err, log)
			}
			return ""
		})
	})
	t.Run("servers with versions 0.2 and 0.3", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		a, log := startCheckedNode(t, server.Addr(), nil)
		b, _ := startCheckedNode(t, server.Addr(), nil)
		n := nodetest.Start(t)
		n.Cluster(t, nodetest.ClusterOptions{Redis: server.URL(), Streams: true})
		waitFor(t, "the first server counts", func() string {
			if got, err := a.Nodes(t.Context(), "/"); got != 3 {
				return fmt.Sprint(got, err)
			}
			return ""
		})
		if got := counts(a)["mixed_versions"] + counts(b)["mixed_versions"]; got > 0 {
			t.Errorf("a cluster with one version was reported: %s", log)
		}
		n.Cluster(t, nodetest.ClusterOptions{Redis: server.URL(), Streams: true, Package: streams03})
		for name, node := range map[string]*testNode{"a": a, "b": b} {
			waitFor(t, "node "+name+" reports it", func() string {
				if counts(node)["mixed_versions"] == 0 {
					return fmt.Sprint("counts are ", counts(node))
				}
				return ""
			})
		}
		waitFor(t, "the log says what to do", func() string { // the line comes after the count
			if !log.Has("give all the same version") {
				return fmt.Sprint("the log is:\n", log)
			}
			return ""
		})
	})
	t.Run("nodes that fit", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		a, log := startCheckedNode(t, server.Addr(), nil)
		b, _ := startCheckedNode(t, server.Addr(), nil)
		waitForDelivery(t, a, b)
		before := 0
		waitFor(t, "20 checks have counted the nodes", func() string {
			broadcast(t, b)
			broadcast(t, a)
			calls := 0
			if found := numsubCalls.FindStringSubmatch(server.Do("info", "commandstats")); found != nil {
				calls, _ = strconv.Atoi(found[1])
			}
			if before == 0 {
				before = calls
			}
			if calls < before+20 {
				return fmt.Sprint(calls-before, " checks")
			}
			return ""
		})
		if got := counts(a); len(got) > 0 {
			t.Errorf("counts are %v, want none:\n%s", got, log)
		}
	})
}

// A node alone with servers of version 0.3 sends no heartbeats: they would trim broadcasts.
func TestStreams_NoHeartbeatsWithoutNeed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, _ := startCheckedNode(t, server.Addr(), nil)
	b, _ := startCheckedNode(t, server.Addr(), nil)
	waitForDelivery(t, a, b)
	client := newClient(t, server.Addr())
	heartbeats := func() (n int) {
		entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Values["type"] == "1" || e.Values["type"] == "2" {
				n++
			}
		}
		return n
	}
	if n := heartbeats(); n > 2 {
		t.Errorf("two nodes sent %d heartbeats, want the first of each", n)
	}
	// A node without pub/sub makes itself known, so the others send heartbeats from now on.
	startCheckedNode(t, server.Addr(), func(cfg *redisadapter.Config) { cfg.Mode = redisadapter.StreamsOnly })
	waitFor(t, "heartbeats are sent", func() string {
		if n := heartbeats(); n < 20 {
			return fmt.Sprint(n, " heartbeats")
		}
		return ""
	})
}

// Servers for Node that use several streams add to one with a negative number for some
// namespaces, and do not read it. This module reads it, and says that those servers do not.
func TestStreams_NegativeStream(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	n := nodetest.Start(t)
	node := n.Cluster(t, nodetest.ClusterOptions{Redis: redis, Streams: true, Package: streams03, Adapter: options{"streamCount": 4}})
	ours, url := startServer(t, redis, redisadapter.Config{Mode: redisadapter.Streams, StreamCount: 4})
	ours.Of("/notifications")
	c := n.Connect(t, url+"/notifications", nodetest.Options{})
	waitFor(t, "Node's broadcast arrives", func() string {
		node.Run(t, "/notifications", `nsp.emit("news", 1)`, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Next(ctx, "news")
		return errText(err)
	})
}
