package emitter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/clustertest"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

var silent = slog.New(slog.DiscardHandler)

// newEmitter returns an emitter of a process of its own: with a storage of its own.
func newEmitter(t *testing.T, url string, cfg redisadapter.Config) (*emitter.Emitter, *fibersession.Store) {
	t.Helper()
	store := storage.MustOpen(url)
	cfg.Logger = silent
	sessions := fibersession.New(fibersession.Config{Storage: store, UserKey: "user", Logger: silent, Timeouts: fibersession.Timeouts{Storage: 20 * time.Second}})
	out := emitter.New(emitter.Config{Adapter: redisadapter.For(store, cfg), Sessions: sessions, Logger: silent})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), clustertest.Timeout)
		defer cancel()
		if err := errors.Join(out.Close(ctx), sessions.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return out, sessions
}

// S7: a process that serves no sockets reaches the sockets of Go's and Node's servers by room,
// user, session and ID, asks them, and is counted by none of them.
func TestS7_Emitter(t *testing.T) {
	t.Parallel()
	secret := [][]byte{[]byte(strings.Repeat("s", 32))}
	for _, tt := range []struct {
		name    string
		adapter redisadapter.Config
		node    *nodetest.ClusterOptions
	}{
		{"classic", redisadapter.Config{}, &nodetest.ClusterOptions{}},
		{"classic, signed", redisadapter.Config{Secrets: secret}, nil},
		{"sharded", redisadapter.Config{Mode: redisadapter.Sharded}, &nodetest.ClusterOptions{Sharded: true}},
		{"streams 0.3", redisadapter.Config{Mode: redisadapter.Streams}, &nodetest.ClusterOptions{Streams: true, Package: "redis-streams-adapter-03"}},
		{"streams 0.2", redisadapter.Config{Mode: redisadapter.Streams}, &nodetest.ClusterOptions{Streams: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if os.Getenv("MATRIX") == "" && tt.name != "classic" && tt.name != "streams 0.3" {
				t.Skip("another form of what is tested: make interop runs it")
			}
			c := clustertest.Start(t, clustertest.Options{Adapter: tt.adapter, Node: tt.node})
			testEmitter(t, c, tt.adapter)
		})
	}
}

func testEmitter(t *testing.T, c *clustertest.Cluster, cfg redisadapter.Config) {
	cookie := c.Login(t, 0, "ann")
	ann, tab, bob := c.Connect(t, 0, "", cookie, "all"), c.Connect(t, 1, "", cookie, "all"), c.Connect(t, 1, "", c.Login(t, 1, "bob"), "all", "b")
	goClients := []*nodetest.Client{ann, tab, bob}
	all := slices.Clone(goClients)
	var node *nodetest.Client
	if c.Node != nil {
		node = c.Connect(t, 2, "", "", "all", "b")
		all = append(all, node)
	}
	if cfg.Mode == redisadapter.Sharded { // a server subscribes to a room's channel some time after the join
		waitForRooms(t, c, all)
	}
	out, sessions := newEmitter(t, c.URL, cfg)

	// The first event is sent right after New.
	emit := func(b socketbridge.Broadcast, event string, args ...any) {
		t.Helper()
		if err := b.Emit(event, args...); err != nil {
			t.Fatalf("Emit %s: %v", event, err)
		}
	}
	emit(out.To("all"), "first", map[string]any{"n": 1}, []byte{1, 2})
	for i, k := range all {
		if got, want := clustertest.Next(t, k, "first"), `[{"n":1},{"$binary":"AQI="}]`; got != want {
			t.Errorf("client %d got %s, want %s", i, got, want)
		}
	}
	emit(out.ToUser("ann"), "to ann")
	emit(out.To("all").ExceptUser("ann"), "not ann")
	sockets, err := out.ToUser("ann").FetchSockets(t.Context())
	if err != nil || len(sockets) != 2 || sockets[0].User() != "ann" {
		t.Fatalf("ann's sockets: %v, %v, want 2", sockets, err)
	}
	emit(out.ToSession(sockets[0].Session()), "to the session")
	h, err := sessions.GetByID(t.Context(), strings.TrimPrefix(cookie[strings.Index(cookie, "="):], "="))
	if err != nil {
		t.Fatal(err)
	}
	emit(out.ToSession(h), "to the session")
	h.Release()
	emit(out.To(bob.State().ID), "to bob's socket")
	for _, k := range []*nodetest.Client{ann, tab} {
		clustertest.Next(t, k, "to ann")
		clustertest.Next(t, k, "to the session")
		clustertest.Next(t, k, "to the session")
	}
	clustertest.Next(t, bob, "not ann")
	clustertest.Next(t, bob, "to bob's socket")
	if node != nil {
		clustertest.Next(t, node, "not ann")
	}

	// Requests wait for all servers.
	found, err := out.FetchSockets(t.Context())
	if err != nil || len(found) != len(all) {
		t.Errorf("found %d sockets, %v, want %d", len(found), err, len(all))
	}
	for i, k := range all {
		k.Answer("ask", i)
	}
	answers, err := out.To("all").Timeout(clustertest.Timeout).EmitWithAck(t.Context(), "ask")
	if err != nil || len(answers) != len(all) {
		t.Errorf("got %d answers, %v, want %d", len(answers), err, len(all))
	}
	var online []string
	for user, err := range out.OnlineUsers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		online = append(online, user)
	}
	if slices.Sort(online); !slices.Equal(online, []string{"ann", "bob"}) {
		t.Errorf("online are %q, want ann and bob", online)
	}
	if on, err := out.Online(t.Context(), "eve"); on || err != nil {
		t.Errorf("eve is online: %v, %v, want false", on, err)
	}
	heard := make(chan string, 2)
	for _, s := range c.Servers {
		s.IO.OnServerSideEmit("tell", func(e *socketbridge.ServerEvent) { heard <- string(e.Args()[0]) })
	}
	if err := out.ServerSideEmit("tell", "x"); err != nil {
		t.Fatal(err)
	}
	for range c.Servers {
		if got := <-heard; got != `"x"` {
			t.Errorf("a server heard %s", got)
		}
	}

	// No server counts it, and their own requests do not wait for it.
	if got, want := c.Counts(t), c.AllCounts(); got != want {
		t.Errorf("the servers count %s, want %s", got, want)
	}
	if n, err := out.Nodes(t.Context()); err != nil || n != len(strings.Fields(c.AllCounts())) {
		t.Errorf("the emitter counts %d, %v, want %s", n, err, c.AllCounts())
	}
	for i, s := range c.Servers {
		if found, err := s.IO.FetchSockets(t.Context()); err != nil || len(found) != len(all) {
			t.Errorf("server %d found %d sockets, %v, want %d", i, len(found), err, len(all))
		}
	}
	if c.Node != nil {
		var n int
		c.Node.Run(t, "/", `return (await nsp.fetchSockets()).length`, &n)
		if n != len(all) {
			t.Errorf("Node found %d sockets, want %d", n, len(all))
		}
	}

	// Joins, leaves and disconnects.
	if err := errors.Join(out.To("b").Join("new"), out.To("new").Leave("b")); err != nil {
		t.Fatal(err)
	}
	c.WaitFor(t, "the sockets to change rooms", func() string {
		in, err := out.To("new").Except("b").FetchSockets(t.Context())
		if want := len(all) - 2; err != nil || len(in) != want {
			return fmt.Sprintf("%d sockets, %v, want %d", len(in), err, want)
		}
		return ""
	})
	if err := out.ToUser("ann").Disconnect(false); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*nodetest.Client{ann, tab} {
		if got := clustertest.Next(t, k, nodetest.Disconnected); got != `["io server disconnect"]` {
			t.Errorf("ann's socket was disconnected with %s", got)
		}
	}
	if err := out.To("new").Disconnect(true); err != nil {
		t.Fatal(err)
	}
	for _, k := range all[2:] {
		clustertest.Next(t, k, nodetest.Disconnected)
	}
	for i, k := range all {
		for _, event := range []string{"first", "to ann", "not ann", "to the session", "to bob's socket"} {
			if n := k.Waiting(event); n > 0 {
				t.Errorf("client %d got %s %d times too often", i, event, n)
			}
		}
	}
}

// waitForRooms waits until broadcasts to the rooms arrive from another server.
func waitForRooms(t *testing.T, c *clustertest.Cluster, clients []*nodetest.Client) {
	t.Helper()
	for i, k := range clients {
		c.WaitFor(t, "broadcasts to arrive", func() string {
			for _, s := range c.Servers {
				if err := s.IO.To("all").Emit(fmt.Sprint("listening ", i)); err != nil {
					return err.Error()
				}
			}
			if k.Waiting(fmt.Sprint("listening ", i)) < len(c.Servers) {
				return "not yet"
			}
			return ""
		})
	}
}

// Another namespace, and one that no server serves.
func TestS7_EmitterNamespaces(t *testing.T) {
	t.Parallel()
	hub := adapter.NewMemory()
	io := socketbridge.New(socketbridge.Config{Adapter: hub.Join(), Logger: silent})
	io.Of("/chat")
	out := emitter.New(emitter.Config{Adapter: hub.Join(), Logger: silent})
	defer func() {
		if err := errors.Join(out.Close(context.Background()), io.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
	}()
	if _, err := io.Nodes(t.Context()); err != nil { // it waits until the server runs
		t.Fatal(err)
	}
	for name, want := range map[string]int{"/": 1, "/chat": 1, "/elsewhere": 0} {
		if n, err := out.Of(name).Nodes(t.Context()); err != nil || n != want || out.Of(name).Name() != name {
			t.Errorf("%s: %d nodes, %v, want %d", name, n, err, want)
		}
	}
	if n, err := io.Nodes(t.Context()); err != nil || n != 1 {
		t.Errorf("the server counts %d nodes, %v, want 1", n, err)
	}
	// Without sessions, users cannot be addressed: not in silence.
	if err := out.ToUser("ann").Emit("x"); !errors.Is(err, socketbridge.ErrNoSessions) {
		t.Errorf("ToUser without Sessions returned %v, want ErrNoSessions", err)
	}
	for _, err := range out.OnlineUsers(t.Context()) {
		if !errors.Is(err, socketbridge.ErrNoPresence) {
			t.Errorf("OnlineUsers without Sessions yields %v, want ErrNoPresence", err)
		}
	}
	if _, err := out.Online(t.Context(), "ann"); !errors.Is(err, socketbridge.ErrNoPresence) {
		t.Errorf("Online without Sessions returned %v, want ErrNoPresence", err)
	}
	if err := out.Emit("connect"); !errors.Is(err, socketbridge.ErrReservedEvent) {
		t.Errorf("a reserved event returned %v", err)
	}
	if err := out.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := out.Emit("late"); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Emit after Close returned %v, want adapter.ErrClosed", err)
	}
}

// Without Redis, an event is not sent, and the error says why within the adapter's timeout.
func TestS7_EmitterWithoutRedis(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	out, _ := newEmitter(t, c.URL, redisadapter.Config{})
	c.Redis.Kill()
	err := out.Emit("x")
	if !errors.Is(err, adapter.ErrUnavailable) && !errors.Is(err, adapter.ErrUnknownOutcome) || errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Emit without Redis returned %v, want ErrUnavailable", err)
	}
	c.Redis.Restart()
	c.WaitFor(t, "the emitter to work again", func() string {
		if err := out.Emit("x"); err != nil {
			return err.Error()
		}
		return ""
	})
}

// A configuration without an adapter is refused, with what to change.
func TestS7_EmitterConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		adapter adapter.Adapter
		want    string
	}{
		{nil, "redisadapter.For returns nil"},
		{struct{ adapter.Adapter }{}, "must implement adapter.Emitter"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, tt.want) {
					t.Errorf("New panicked with %q, want %q in it", got, tt.want)
				}
			}()
			emitter.New(emitter.Config{Adapter: tt.adapter})
		}()
	}
}
