package redisadapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
	_ "github.com/fiberbridge/fiberbridge/storage/redis"
)

// mixed is a cluster of two servers of ours and one of Node's, each with one client of
// each namespace, in the rooms "all" and "a", "b" or "c".
type mixed struct {
	t       *testing.T
	a, b    *socketbridge.Server
	c       *nodetest.ClusterServer
	clients []*nodetest.Client // of a, b and c
	ids     []string
}

// serve listens with a server whose sockets join the rooms of their auth option.
func serve(t *testing.T, redis string, cfg redisadapter.Config) (*socketbridge.Server, string) {
	t.Helper()
	return serveWith(t, redis, cfg, socketbridge.Recovery{})
}

// serveWith is serve with recovery.
func serveWith(t *testing.T, redis string, cfg redisadapter.Config, recovery socketbridge.Recovery) (*socketbridge.Server, string) {
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
			if err = errors.Join(err, s.Emit("ready")); err != nil {
				t.Error(err)
			}
		})
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // its goroutine ends so much later
	app.Use(io.Handler())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Listener(ln) }() // ShutdownWithContext, below, waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(io.Shutdown(ctx), app.ShutdownWithContext(ctx), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return io, "http://" + ln.Addr().String()
}

func newMixed(t *testing.T, cfg redisadapter.Config, node nodetest.ClusterOptions) (*mixed, *nodetest.Node, string) {
	t.Helper()
	n := nodetest.Start(t)
	redis := redistest.Start(t).URL()
	node.Redis = redis
	m := &mixed{t: t, c: n.Cluster(t, node)}
	var urlA, urlB string
	m.a, urlA = serve(t, redis, cfg)
	m.b, urlB = serve(t, redis, cfg)
	for _, ns := range []string{"/", "/chat"} {
		m.found(ns, 3)
	}
	for i, url := range []string{urlA, urlB, m.c.URL} {
		c := n.Connect(t, url, nodetest.Options{Auth: map[string]any{"rooms": []string{"all", string(rune('a' + i))}, "data": map[string]any{"n": i}}})
		c.MustNext("ready")
		c.Answer("ask", fmt.Sprint(i), "more")
		c.Answer("ask binary", nodetest.Binary{byte(i)})
		m.clients = append(m.clients, c)
		m.ids = append(m.ids, c.State().ID)
	}
	m.settle()
	return m, n, redis
}

// found waits until all nodes know that there are count.
func (m *mixed) found(namespace string, count int) {
	m.t.Helper()
	wait(m.t, fmt.Sprintf("%d nodes find each other", count), func() string {
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

// settle waits until each room has been heard from each node: where rooms have
// channels, they take effect some time after somebody joined.
func (m *mixed) settle() {
	m.t.Helper()
	for i, room := range []string{"a", "b", "c"} {
		for j := range 3 {
			name := fmt.Sprintf("settled %d", j)
			wait(m.t, "room "+room+" is heard", func() string {
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

// emit emits to a room from node i.
func (m *mixed) emit(i int, room, event string) {
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

// wait waits until check has nothing to say.
func wait(t *testing.T, what string, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, problem)
		}
		time.Sleep(5 * time.Millisecond) // Redis tells nobody
	}
}

// hit checks which clients an event reaches, once each: want is some of "abc". The
// event "end" follows from the same node on the same way.
func (m *mixed) hit(want, event string, args string, end func()) {
	m.t.Helper()
	end()
	for i, c := range m.clients {
		c.MustNext("end")
		n := c.Waiting(event)
		if wanted := strings.Contains(want, string(rune('a'+i))); wanted && n == 1 {
			if got := c.MustNext(event).String(); got != args {
				m.t.Errorf("client %c got %s%s, want %s", 'a'+i, event, got, args)
			}
		} else if wanted || n > 0 {
			m.t.Errorf("client %c got %s %d times, wanted: %v", 'a'+i, event, n, wanted)
		}
	}
}

// variants are the formats and options in which a cluster may speak.
func variants() map[string]struct {
	ours redisadapter.Config
	node nodetest.ClusterOptions
} {
	type v = struct {
		ours redisadapter.Config
		node nodetest.ClusterOptions
	}
	mode := func(name string) map[string]any { return map[string]any{"subscriptionMode": name} }
	return map[string]v{
		"classic": {},
		"classic with other options": {redisadapter.Config{Key: "other", SharedResponses: true},
			nodetest.ClusterOptions{Adapter: map[string]any{"key": "other", "publishOnSpecificResponseChannel": true}}},
		"sharded":         {redisadapter.Config{Mode: redisadapter.Sharded}, nodetest.ClusterOptions{Sharded: true}},
		"sharded static":  {redisadapter.Config{Mode: redisadapter.ShardedStatic}, nodetest.ClusterOptions{Sharded: true, Adapter: mode("static")}},
		"streams":         {redisadapter.Config{Mode: redisadapter.Streams}, nodetest.ClusterOptions{Streams: true}},
		"sharded private": {redisadapter.Config{Mode: redisadapter.ShardedPrivate}, nodetest.ClusterOptions{Sharded: true, Adapter: mode("dynamic-private")}},
	}
}

// TestMixedCluster has our servers and Node's in one cluster, in both directions.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	for name, v := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _, _ := newMixed(t, v.ours, v.node)
			m.t.Run("broadcasts of ours", func(t *testing.T) { m.with(t).broadcastsOfOurs() })
			m.t.Run("broadcasts of Node's", func(t *testing.T) { m.with(t).broadcastsOfNodes() })
			m.t.Run("fetchSockets", func(t *testing.T) { m.with(t).fetchSockets() })
			m.t.Run("acknowledgements", func(t *testing.T) { m.with(t).acks() })
			m.t.Run("serverSideEmit", func(t *testing.T) { m.with(t).serverSideEmit() })
			m.t.Run("socketsJoin and Leave", func(t *testing.T) { m.with(t).joinLeave() })
			m.t.Run("disconnectSockets", func(t *testing.T) { m.with(t).disconnect() })
		})
	}
}

// with is the same cluster for a part of the test.
func (m *mixed) with(t *testing.T) *mixed {
	part := *m
	part.t = t
	return &part
}

const binaryJSON = `{"$binary":"AQL/"}`

func (m *mixed) broadcastsOfOurs() {
	arg := map[string]any{"text": "é😀", "n": []any{1, -2.5, nil, true}}
	const argJSON = `[{"n":[1,-2.5,null,true],"text":"é😀"}]`
	for _, tt := range []struct {
		name string
		to   socketbridge.Broadcast
		want string
	}{
		{"everybody", m.a.Of("/").Broadcast(), "abc"},
		{"a room", m.a.To("c"), "c"},
		{"two rooms", m.a.To("b", "c"), "bc"},
		{"all and one of them", m.a.To("all", "c"), "abc"},
		{"a room except", m.a.To("all").Except("c"), "ab"},
		{"except", m.a.Except("a", "b"), "c"},
		{"a socket", m.a.To(m.ids[2]), "c"},
		{"except a socket", m.a.Except(m.ids[2]), "ab"},
		{"from a socket", m.a.Of("/").Socket(m.ids[0]).To("all"), "bc"},
		{"volatile", m.a.To("all").Volatile(), "abc"},
		{"uncompressed", m.a.To("all").Compress(false), "abc"},
		{"local", m.a.To("all").Local(), "a"},
		{"nobody", m.a.To("elsewhere"), ""},
	} {
		m.t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			if err := tt.to.Emit("news", arg); err != nil {
				t.Fatal(err)
			}
			// Where rooms have channels of their own, each end goes the way of the event.
			m.hit(tt.want, "news", argJSON, func() {
				for _, room := range []string{"a", "b", "c"} {
					m.emit(0, room, "end")
				}
			})
		})
	}
	if err := m.a.To("all").Emit("bin", []byte{1, 2, 255}, map[string]any{"x": []byte{}}); err != nil {
		m.t.Fatal(err)
	}
	m.hit("abc", "bin", `[`+binaryJSON+`,{"x":{"$binary":""}}]`, func() { m.ends(0) })
	if err := m.a.Of("/chat").Emit("other"); err != nil {
		m.t.Fatal(err)
	}
	m.hit("", "other", "", func() { m.ends(0) })
}

// ends sends the event "end" from node i to each client.
func (m *mixed) ends(i int) {
	m.t.Helper()
	for _, room := range []string{"a", "b", "c"} {
		m.emit(i, room, "end")
	}
}

func (m *mixed) broadcastsOfNodes() {
	for _, tt := range []struct{ name, emit, want string }{
		{"everybody", `nsp.emit("news", ...args)`, "abc"},
		{"a room", `nsp.to("b").emit("news", ...args)`, "b"},
		{"two rooms", `nsp.to(["b", "c"]).emit("news", ...args)`, "bc"},
		{"a room except", `nsp.to("all").except("b").emit("news", ...args)`, "ac"},
		{"except", `nsp.except(["b", "c"]).emit("news", ...args)`, "a"},
		{"a socket", `nsp.to("` + m.ids[1] + `").emit("news", ...args)`, "b"},
		{"volatile", `nsp.volatile.emit("news", ...args)`, "abc"},
		{"uncompressed", `nsp.compress(false).emit("news", ...args)`, "abc"},
		{"local", `nsp.local.emit("news", ...args)`, "c"},
		{"from a socket", `(await nsp.local.fetchSockets())[0].broadcast.emit("news", ...args)`, "ab"},
	} {
		m.t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			m.c.Run(t, "/", tt.emit, nil, map[string]any{"text": "é😀", "n": []any{1, 9007199254740991, nil}}, []byte{1, 2, 255})
			m.hit(tt.want, "news", `[{"n":[1,9007199254740991,null],"text":"é😀"},`+binaryJSON+`]`, func() { m.ends(2) })
		})
	}
}

func (m *mixed) fetchSockets() {
	all, err := m.a.FetchSockets(m.t.Context())
	if err != nil || len(all) != 3 {
		m.t.Fatalf("%d sockets, %v", len(all), err)
	}
	for _, r := range all {
		i := slices.Index(m.ids, r.ID())
		var n int
		if err := r.Data("n", &n); err != nil || n != i {
			m.t.Errorf("socket %d has the data %d, %v", i, n, err)
		}
		if !slices.Contains(r.Rooms(), "all") || !slices.Contains(r.Rooms(), r.ID()) {
			m.t.Errorf("socket %d is in %q", i, r.Rooms())
		}
		if hs := r.Handshake(); !strings.Contains(hs.Address, "127.0.0.1") || time.Since(hs.Time) > time.Hour || !strings.HasPrefix(hs.Header["host"], "127.0.0.1:") {
			m.t.Errorf("socket %d: %+v", i, hs)
		}
	}
	some, err := m.b.To("c").FetchSockets(m.t.Context())
	if err != nil || len(some) != 1 || some[0].ID() != m.ids[2] {
		m.t.Fatalf("%v, %v", some, err)
	}
	answer, err := some[0].EmitWithAck(m.t.Context(), "ask")
	if err != nil || string(answer.Args()[0]) != `"2"` {
		m.t.Errorf("%s, %v", answer.Args(), err)
	}
	var got []struct {
		ID        string
		Rooms     []string
		Data      map[string]int
		Address   string
		Issued    float64
		UserAgent bool
	}
	m.c.Run(m.t, "/", `return (await nsp.in("all").fetchSockets()).map((s) => ({
		id: s.id, rooms: [...s.rooms], data: s.data, address: s.handshake.address, issued: s.handshake.issued, userAgent: "host" in s.handshake.headers && s.handshake.query.x === undefined && s.handshake.auth.y === undefined }))`, &got)
	if len(got) != 3 {
		m.t.Fatalf("Node fetched %d sockets", len(got))
	}
	for _, s := range got {
		i := slices.Index(m.ids, s.ID)
		if s.Data["n"] != i || !slices.Contains(s.Rooms, "all") || !slices.Contains(s.Rooms, s.ID) || !strings.Contains(s.Address, "127.0.0.1") || s.Issued < 1e12 || !s.UserAgent {
			m.t.Errorf("Node fetched %+v", s)
		}
	}
	rooms, err := m.a.Of("/").AllRooms(m.t.Context())
	for _, want := range append([]string{"all", "a", "b", "c"}, m.ids...) {
		if !slices.Contains(rooms, want) {
			m.t.Errorf("rooms %q, %v: no %s", rooms, err, want)
		}
	}
}

func (m *mixed) acks() {
	answers := func(all []socketbridge.Answer, err error) string {
		if err != nil {
			m.t.Fatal(err)
		}
		var texts []string
		for _, a := range all {
			var v string
			if err := a.Bind(&v); err != nil {
				m.t.Fatal(err)
			}
			texts = append(texts, v)
		}
		slices.Sort(texts)
		return strings.Join(texts, ",")
	}
	if got := answers(m.a.To("all").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask", 1)); got != "0,1,2" {
		m.t.Errorf("answers of %s", got)
	}
	if got := answers(m.a.Except("a").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask", []byte{1})); got != "1,2" {
		m.t.Errorf("answers of %s", got)
	}
	if got := answers(m.a.To("elsewhere").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask")); got != "" {
		m.t.Errorf("answers of %s", got)
	}
	all, err := m.a.To("all").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask binary")
	if err != nil || len(all) != 3 {
		m.t.Fatalf("%v, %v", all, err)
	}
	sum := 0
	for _, a := range all {
		var b []byte
		if err := a.Bind(&b); err != nil || len(b) != 1 {
			m.t.Fatalf("%v, %v", b, err)
		}
		sum += int(b[0])
	}
	if sum != 3 {
		m.t.Errorf("the binary answers sum up to %d", sum)
	}
	// One does not answer: the others' answers are returned when the time is over.
	timeout := 200 * time.Millisecond
	wait(m.t, "the answers that come are returned", func() string {
		timeout *= 2
		m.clients[0].Answer("some", "here")
		m.clients[2].Answer("some", "here")
		all, err := m.a.To("all").Timeout(timeout).EmitWithAck(m.t.Context(), "some")
		if !errors.Is(err, socketbridge.ErrAckTimeout) || len(all) > 2 {
			m.t.Fatalf("%v, %v", all, err)
		}
		if len(all) < 2 {
			return fmt.Sprint(len(all))
		}
		return ""
	})
	var got []string
	m.c.Run(m.t, "/", `return await nsp.timeout(20000).emitWithAck("ask", 1)`, &got)
	slices.Sort(got)
	if strings.Join(got, ",") != "0,1,2" {
		m.t.Errorf("Node got answers of %q", got)
	}
	var bins []nodetest.Binary
	m.c.Run(m.t, "/", `return await nsp.except("c").timeout(20000).emitWithAck("ask binary", args[0])`, &bins, []byte{7})
	if len(bins) != 2 || len(bins[0]) != 1 || bins[0][0]+bins[1][0] != 1 {
		m.t.Errorf("Node got %v", bins)
	}
	m.c.Run(m.t, "/", `return await nsp.to("elsewhere").timeout(20000).emitWithAck("ask")`, &got)
	if len(got) != 0 {
		m.t.Errorf("Node got answers of %q", got)
	}
}

func (m *mixed) serverSideEmit() {
	heard := make(chan string, 10)
	for name, io := range map[string]*socketbridge.Server{"a": m.a, "b": m.b} {
		io.OnServerSideEmit("tell", func(e *socketbridge.ServerEvent) {
			args, _ := json.Marshal(e.Args())
			heard <- fmt.Sprintf("%s %s %v", name, args, e.WantsAck())
		})
		io.OnServerSideEmit("who", func(e *socketbridge.ServerEvent) {
			if err := e.Ack(name); err != nil {
				m.t.Error(err)
			}
		})
	}
	m.c.Run(m.t, "/", `nsp.on("tell", (...args) => heard.push(args)); nsp.on("who", (...args) => args.pop()("c"))`, nil)
	if err := m.a.ServerSideEmit("tell", map[string]int{"x": 1}, "y"); err != nil {
		m.t.Fatal(err)
	}
	next := func() string {
		select {
		case text := <-heard:
			return text
		case <-time.After(30 * time.Second):
			m.t.Fatal("nothing was heard")
			return ""
		}
	}
	if got, want := next(), `b [{"x":1},"y"] false`; got != want {
		m.t.Errorf("heard %s, want %s", got, want)
	}
	wait(m.t, "Node hears", func() string {
		var got json.RawMessage
		m.c.Run(m.t, "/", `return heard`, &got)
		if string(got) != `[[{"x":1},"y"]]` {
			return string(got)
		}
		return ""
	})
	m.c.Run(m.t, "/", `nsp.serverSideEmit("tell", 1, "é")`, nil)
	got := []string{next(), next()}
	slices.Sort(got)
	if !slices.Equal(got, []string{`a [1,"é"] false`, `b [1,"é"] false`}) {
		m.t.Errorf("heard %q", got)
	}
	answers, err := m.a.ServerSideEmitWithAck(m.t.Context(), "who")
	var names []string
	for _, a := range answers {
		var name string
		if err := a.Bind(&name); err != nil {
			m.t.Error(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if err != nil || strings.Join(names, "") != "bc" {
		m.t.Errorf("answers of %q, %v", names, err)
	}
	m.c.Run(m.t, "/", `return (await nsp.serverSideEmitWithAck("who")).sort()`, &names)
	if strings.Join(names, "") != "ab" {
		m.t.Errorf("Node got answers of %q", names)
	}
}

// rooms waits until client i's socket is in these rooms beside its own, as both ends
// of the cluster see it.
func (m *mixed) rooms(i int, want ...string) {
	m.t.Helper()
	slices.Sort(want)
	wait(m.t, fmt.Sprintf("client %d is in %q", i, want), func() string {
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

func (m *mixed) joinLeave() {
	if err := m.a.Of("/").Broadcast().Join("by a", "too"); err != nil {
		m.t.Fatal(err)
	}
	for i, own := range []string{"a", "b", "c"} {
		m.rooms(i, own, "all", "by a", "too")
	}
	if err := m.a.To("b", "c").Except("b").Leave("by a"); err != nil {
		m.t.Fatal(err)
	}
	m.rooms(2, "c", "all", "too")
	m.rooms(1, "b", "all", "by a", "too")
	m.c.Run(m.t, "/", `nsp.in(["a", "b"]).except("b").socketsJoin(["by c"]); nsp.socketsLeave("too")`, nil)
	m.rooms(0, "a", "all", "by a", "by c")
	m.rooms(1, "b", "all", "by a")
	m.rooms(2, "c", "all")
}

func (m *mixed) disconnect() {
	if err := m.a.To("c").Disconnect(false); err != nil {
		m.t.Fatal(err)
	}
	if got := m.clients[2].MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		m.t.Errorf("client c: %s", got)
	}
	m.c.Run(m.t, "/", `nsp.in("b").disconnectSockets(true)`, nil)
	m.clients[1].MustNext(nodetest.Disconnected)
	m.c.Run(m.t, "/", `nsp.in("all").disconnectSockets()`, nil)
	if got := m.clients[0].MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		m.t.Errorf("client a: %s", got)
	}
	for _, c := range m.clients[:2] {
		if n := c.Waiting(nodetest.Disconnected); n != 0 {
			m.t.Errorf("disconnected %d times more", n)
		}
	}
}

// TestEmitter has @socket.io/redis-emitter reach our sockets.
func TestEmitter(t *testing.T) {
	t.Parallel()
	m, n, redis := newMixed(t, redisadapter.Config{}, nodetest.ClusterOptions{})
	e := n.Emitter(t, redis, nil)
	for _, tt := range []struct{ name, emit, want string }{
		{"everybody", `emitter.emit("news", ...args)`, "abc"},
		{"a room", `emitter.to("a").emit("news", ...args)`, "a"},
		{"two rooms except", `emitter.to(["a", "b"]).except("a").emit("news", ...args)`, "b"},
		{"a socket", `emitter.in("` + m.ids[1] + `").emit("news", ...args)`, "b"},
		{"volatile and uncompressed", `emitter.volatile.compress(false).emit("news", ...args)`, "abc"},
		{"another namespace", `emitter.of("/chat").emit("news", ...args)`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			e.Run(t, tt.emit+`; for (const room of "abc") emitter.to(room).emit("end")`, "x", []byte{1, 2, 255})
			m.hit(tt.want, "news", `["x",`+binaryJSON+`]`, func() {})
		})
	}
	heard := make(chan string, 1)
	m.a.OnServerSideEmit("tell", func(e *socketbridge.ServerEvent) { heard <- string(e.Args()[0]) })
	e.Run(t, `emitter.serverSideEmit("tell", {x: 1})`)
	if got := <-heard; got != `{"x":1}` {
		t.Errorf("heard %s", got)
	}
	e.Run(t, `emitter.in("all").socketsJoin(["new"]); emitter.in("a").socketsLeave("all")`)
	m.rooms(0, "a", "new")
	m.rooms(1, "b", "all", "new")
	m.rooms(2, "c", "all", "new")
	e.Run(t, `emitter.in("new").disconnectSockets(true)`)
	for _, c := range m.clients {
		c.MustNext(nodetest.Disconnected)
	}
}

// A node of ours that ends leaves no hole: the others no longer count it.
func TestMixedCluster_NodeLeaves(t *testing.T) {
	t.Parallel()
	m, _, _ := newMixed(t, redisadapter.Config{}, nodetest.ClusterOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	wait(t, "the others are two", func() string {
		n, err := m.a.Nodes(t.Context())
		var c int
		m.c.Run(t, "/", "return await nsp.adapter.serverCount()", &c)
		if n != 2 || c != 2 {
			return fmt.Sprint(n, err, c)
		}
		return ""
	})
	if all, err := m.a.FetchSockets(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("%d sockets, %v", len(all), err)
	}
	if err := m.b.ServerSideEmit("late"); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("a node that has left: %v", err)
	}
}
