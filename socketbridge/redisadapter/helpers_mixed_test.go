package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// mixedCluster is a cluster of two servers of ours, a and b, and one of Node's, c. Each has
// one client in the namespace "/", in the rooms "all" and "a", "b" or "c". The messages of a have
// a trace context, which the others must ignore or receive; those of b have none.
type mixedCluster struct {
	t       *testing.T
	a, b    *socketbridge.Server
	c       *nodetest.ClusterServer
	n       *nodetest.Node
	urls    []string           // of a, b and c
	clients []*nodetest.Client // of a, b and c
	ids     []string           // of the clients' sockets
	traced  *atomic.Int64      // messages with a's trace context that b received
}

// trace is the trace context of a's messages.
const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// traceMessages gives the messages of a their trace context, and counts those that b receives.
func (m *mixedCluster) traceMessages() {
	m.traced = new(atomic.Int64)
	for _, io := range []*socketbridge.Server{m.a, m.b} {
		m.t.Cleanup(io.Observe(socketbridge.Trace{Operation: func(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
			switch {
			case io == m.a && (op.Kind == socketbridge.OpPublish || op.Kind == socketbridge.OpRequest):
				op.Message.Trace = trace
			case io == m.b && op.Kind == socketbridge.OpDeliver && op.Message.Trace == trace:
				m.traced.Add(1)
			}
			return ctx, nil
		}}))
	}
}

// startServer starts a server whose sockets join the rooms in their auth data.
func startServer(t *testing.T, redis string, cfg redisadapter.Config) (*socketbridge.Server, string) {
	t.Helper()
	return startServerWithRecovery(t, redis, cfg, socketbridge.Recovery{})
}

// startServerWithRecovery is startServer with recovery.
func startServerWithRecovery(t *testing.T, redis string, cfg redisadapter.Config, recovery socketbridge.Recovery) (*socketbridge.Server, string) {
	t.Helper()
	store := storage.MustOpen(redis)
	silent := slog.New(slog.DiscardHandler)
	cfg.Logger = silent
	io := socketbridge.New(socketbridge.Config{Adapter: redisadapter.For(store, cfg), Logger: silent, Timeouts: socketbridge.Timeouts{Request: 20 * time.Second}, Recovery: recovery})
	for _, name := range []string{"/", "/chat"} {
		io.Of(name).OnConnection(func(s *socketbridge.Socket) {
			var auth struct {
				Rooms []string
				Data  map[string]any
			}
			err := errors.Join(s.Auth(&auth), s.Join(auth.Rooms...))
			for k, v := range auth.Data {
				err = errors.Join(err, s.Data().Share(k, v))
			}
			err = errors.Join(err, s.Emit("ready"))
			if err != nil && !errors.Is(err, socketbridge.ErrDisconnected) { // some tests cut the connection at once
				t.Error(err)
			}
		})
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // the worker pool's goroutine outlives the server by this time
	app.Use(io.Handler())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Listener(ln) }() // ends with ShutdownWithContext, below
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(io.Shutdown(ctx), app.ShutdownWithContext(ctx), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return io, "http://" + ln.Addr().String()
}

// newMixedCluster starts the servers and clients and waits until broadcasts reach them all.
func newMixedCluster(t *testing.T, v variant) (*mixedCluster, *nodetest.Node, string) {
	t.Helper()
	redis, node := v.start(t) // before Node, whose redis clients fail when it ends
	n := nodetest.Start(t)
	m := &mixedCluster{t: t, n: n, c: n.Cluster(t, node)}
	var urlA, urlB string
	m.a, urlA = startServer(t, redis, v.ours)
	m.b, urlB = startServer(t, redis, v.ours)
	m.traceMessages()
	m.urls = []string{urlA, urlB, m.c.URL}
	for _, ns := range []string{"/", "/chat"} {
		m.waitForNodes(ns, 3)
	}
	for i, url := range m.urls {
		c := n.Connect(t, url, nodetest.Options{Auth: map[string]any{"rooms": []string{"all", string(rune('a' + i))}, "data": map[string]any{"n": i}}})
		c.MustNext("ready")
		c.MustNext(nodetest.Upgraded) // a volatile event can be dropped during the upgrade
		c.Answer("ask", fmt.Sprint(i), "more")
		c.Answer("ask binary", nodetest.Binary{byte(i)})
		m.clients = append(m.clients, c)
		m.ids = append(m.ids, c.State().ID)
	}
	m.waitForRooms()
	return m, n, redis
}

// waitForNodes waits until each node counts the given number of nodes.
func (m *mixedCluster) waitForNodes(namespace string, count int) {
	m.t.Helper()
	waitFor(m.t, fmt.Sprintf("%d nodes find each other", count), func() string {
		a, errA := m.a.Of(namespace).Nodes(m.t.Context())
		b, errB := m.b.Of(namespace).Nodes(m.t.Context())
		var c int
		m.c.Run(m.t, namespace, "return await nsp.adapter.serverCount()", &c)
		if a != count || b != count || c != count {
			return fmt.Sprint(a, errA, b, errB, c)
		}
		return ""
	})
}

// waitForRooms waits until a broadcast from each node to each room arrives. If rooms have
// their own channels, a node subscribes to one some time after a socket has joined.
func (m *mixedCluster) waitForRooms() {
	m.t.Helper()
	for i, room := range []string{"a", "b", "c"} {
		for j := range 3 {
			name := fmt.Sprintf("ready %d", j)
			waitFor(m.t, "broadcasts to the room "+room+" arrive", func() string {
				m.emit(j, room, name)
				ctx, cancel := context.WithTimeout(m.t.Context(), 100*time.Millisecond)
				defer cancel()
				if _, err := m.clients[i].Next(ctx, name); err != nil {
					return err.Error()
				}
				return ""
			})
		}
	}
}

// emit emits an event to a room from node i.
func (m *mixedCluster) emit(i int, room, event string) {
	m.t.Helper()
	switch i {
	case 0, 1:
		if err := []*socketbridge.Server{m.a, m.b}[i].To(room).Emit(event); err != nil {
			m.t.Fatal(err)
		}
	default:
		m.c.Run(m.t, "/", "nsp.to(args[0]).emit(args[1])", nil, room, event)
	}
}

// expect checks that an event reaches the given clients, some of "abc", exactly once each, and
// no others. sendEnd sends the event "end" to each client from the same node and, if the
// event went to one room, over the same channel, so that it arrives after the event.
func (m *mixedCluster) expect(receivers, event string, args string, sendEnd func()) {
	m.t.Helper()
	for i, c := range m.clients {
		if strings.Contains(receivers, string(rune('a'+i))) {
			if got := c.MustNext(event).String(); got != args {
				m.t.Errorf("client %c received %s with the arguments %s, want %s", 'a'+i, event, got, args)
			}
		}
	}
	sendEnd()
	for i, c := range m.clients {
		c.MustNext("end")
		if n := c.Waiting(event); n > 0 {
			m.t.Errorf("client %c received %s once too often, or was not addressed (%d left)", 'a'+i, event, n)
		}
	}
}

// expectVolatile checks that a volatile event reaches all clients, at most once each. A server
// may drop it for a client whose last packet it has not finished writing, so emit is called
// again if a client has not received it.
func (m *mixedCluster) expectVolatile(event, args string, emit, sendEnd func()) {
	m.t.Helper()
	for range 5 {
		emit()
		missing := ""
		for i, c := range m.clients {
			ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Second)
			got, err := c.Next(ctx, event)
			cancel()
			switch {
			case err != nil:
				missing += string(rune('a' + i))
			case got.String() != args:
				m.t.Errorf("client %c received %s with the arguments %s, want %s", 'a'+i, event, got, args)
			}
		}
		m.expect("", event, args, sendEnd)
		if missing == "" {
			return
		}
		m.t.Logf("%s was dropped for the clients %q", event, missing)
	}
	m.t.Errorf("%s has never reached all clients", event)
}

// with returns the same cluster for a subtest.
func (m *mixedCluster) with(t *testing.T) *mixedCluster {
	part := *m
	part.t = t
	return &part
}

// emitEnd sends the event "end" from node i to each client.
func (m *mixedCluster) emitEnd(i int) {
	m.t.Helper()
	for _, room := range []string{"a", "b", "c"} {
		m.emit(i, room, "end")
	}
}

// waitForSocketRooms waits until server a sees client i's socket in exactly the given rooms,
// beside the room of its own ID.
func (m *mixedCluster) waitForSocketRooms(i int, want ...string) {
	m.t.Helper()
	slices.Sort(want)
	waitFor(m.t, fmt.Sprintf("client %d is in the rooms %q", i, want), func() string {
		var got []string
		all, err := m.a.To(m.ids[i]).FetchSockets(m.t.Context())
		for _, r := range all {
			got = append(got, r.Rooms()...)
		}
		got = slices.DeleteFunc(got, func(room string) bool { return room == m.ids[i] })
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprint(got, err)
		}
		return ""
	})
}
