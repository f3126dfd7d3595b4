package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Servers of ours and of Node's form one cluster, in every format, with every version and in
// both directions.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			v.skipUnlessWhole(t)
			matrix.Cell(t, "adapters", v.row(t), "cluster") // also if the servers do not find each other
			m, _, _ := newMixedCluster(t, v)
			for _, tt := range []struct {
				column string
				test   func(*mixedCluster)
			}{
				{"broadcast →", (*mixedCluster).broadcastsOfOurs},
				{"broadcast ←", (*mixedCluster).broadcastsOfNodes},
				{"to a socket's ID ←", func(m *mixedCluster) { m.toSocketOfNodes(v) }},
				{"fetchSockets →", (*mixedCluster).fetchSocketsOfOurs},
				{"fetchSockets ←", (*mixedCluster).fetchSocketsOfNodes},
				{"ack →", (*mixedCluster).acksOfOurs},
				{"ack ←", (*mixedCluster).acksOfNodes},
				{"serverSideEmit →", (*mixedCluster).serverSideEmitOfOurs},
				{"serverSideEmit ←", (*mixedCluster).serverSideEmitOfNodes},
				{"join, leave →", (*mixedCluster).joinLeaveOfOurs},
				{"join, leave ←", (*mixedCluster).joinLeaveOfNodes},
				{"disconnect →", (*mixedCluster).disconnectOfOurs},
				{"disconnect ←", (*mixedCluster).disconnectOfNodes},
			} {
				t.Run(tt.column, func(t *testing.T) {
					matrix.Cell(t, "adapters", v.row(t), tt.column)
					tt.test(m.with(t))
				})
			}
			if m.traced.Load() == 0 {
				t.Error("no message has taken its trace context to another node")
			}
			if !v.node.Streams {
				for _, column := range []string{"recovery →", "recovery ←"} {
					matrix.Nothing(t, "adapters", v.row(t), column, "Pub/sub keeps nothing to recover from; only streams do.")
				}
			}
		})
	}
}

const binaryJSON = `{"$binary":"AQL/"}`

func (m *mixedCluster) broadcastsOfOurs() {
	arg := map[string]any{"text": "é😀", "n": []any{1, -2.5, nil, true}}
	const argJSON = `[{"n":[1,-2.5,null,true],"text":"é😀"}]`
	for _, tt := range []struct {
		name string
		to   socketbridge.Broadcast
		want string
	}{
		{"all sockets", m.a.Of("/").Broadcast(), "abc"},
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
		{"an empty room", m.a.To("elsewhere"), ""},
	} {
		m.t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			emit := func() {
				if err := tt.to.Emit("news", arg); err != nil {
					t.Fatal(err)
				}
			}
			// If rooms have their own channels, each "end" uses the same one as the event.
			sendEnd := func() { m.emitEnd(0) }
			if tt.name == "volatile" {
				m.expectVolatile("news", argJSON, emit, sendEnd)
				return
			}
			emit()
			m.expect(tt.want, "news", argJSON, sendEnd)
		})
	}
	if err := m.a.To("all").Emit("bin", []byte{1, 2, 255}, map[string]any{"x": []byte{}}); err != nil {
		m.t.Fatal(err)
	}
	m.expect("abc", "bin", `[`+binaryJSON+`,{"x":{"$binary":""}}]`, func() { m.emitEnd(0) })
	if err := m.a.Of("/chat").Emit("other"); err != nil {
		m.t.Fatal(err)
	}
	m.expect("", "other", "", func() { m.emitEnd(0) })
	m.expectChat(func() {
		if err := errors.Join(m.a.Of("/chat").Emit("chat", 1, []byte{1, 2, 255}), m.a.Of("/chat").To("all").Emit("chat", 2)); err != nil {
			m.t.Fatal(err)
		}
	})
}

// expectChat checks that events in the namespace /chat arrive at a client of each server.
func (m *mixedCluster) expectChat(emit func()) {
	m.t.Helper()
	var clients []*nodetest.Client
	for _, url := range m.urls {
		c := m.n.Connect(m.t, url+"/chat", nodetest.Options{Auth: map[string]any{"rooms": []string{"all"}}})
		c.MustNext("ready")
		clients = append(clients, c)
	}
	waitFor(m.t, "the servers listen to the room in /chat", func() string {
		missing := ""
		m.c.Run(m.t, "/chat", `nsp.to("all").emit("listening")`, nil)
		if err := m.a.Of("/chat").To("all").Emit("listening"); err != nil {
			m.t.Fatal(err)
		}
		for i, c := range clients {
			ctx, cancel := context.WithTimeout(m.t.Context(), 100*time.Millisecond)
			for range 2 {
				if _, err := c.Next(ctx, "listening"); err != nil {
					missing += fmt.Sprint(i, ": ", err)
				}
			}
			cancel()
		}
		return missing
	})
	emit()
	for i, c := range clients {
		for _, want := range []string{`[1,` + binaryJSON + `]`, `[2]`} {
			if got := c.MustNext("chat").String(); got != want {
				m.t.Errorf("client %d in /chat received %s, want %s", i, got, want)
			}
		}
	}
}

func (m *mixedCluster) broadcastsOfNodes() {
	for _, tt := range []struct{ name, emit, want string }{
		{"all sockets", `nsp.emit("news", ...args)`, "abc"},
		{"a room", `nsp.to("b").emit("news", ...args)`, "b"},
		{"two rooms", `nsp.to(["b", "c"]).emit("news", ...args)`, "bc"},
		{"a room except", `nsp.to("all").except("b").emit("news", ...args)`, "ac"},
		{"except", `nsp.except(["b", "c"]).emit("news", ...args)`, "a"},
		{"volatile", `nsp.volatile.emit("news", ...args)`, "abc"},
		{"uncompressed", `nsp.compress(false).emit("news", ...args)`, "abc"},
		{"local", `nsp.local.emit("news", ...args)`, "c"},
		{"from a socket", `(await nsp.local.fetchSockets())[0].broadcast.emit("news", ...args)`, "ab"},
	} {
		m.t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			const argsJSON = `[{"n":[1,9007199254740991,null],"text":"é😀"},` + binaryJSON + `]`
			emit := func() {
				m.c.Run(t, "/", tt.emit, nil, map[string]any{"text": "é😀", "n": []any{1, 9007199254740991, nil}}, []byte{1, 2, 255})
			}
			sendEnd := func() { m.emitEnd(2) }
			if tt.name == "volatile" {
				m.expectVolatile("news", argsJSON, emit, sendEnd)
				return
			}
			emit()
			m.expect(tt.want, "news", argsJSON, sendEnd)
		})
	}
	m.expectChat(func() {
		m.c.Run(m.t, "/chat", `nsp.emit("chat", 1, args[0]); nsp.to("all").emit("chat", 2)`, nil, []byte{1, 2, 255})
	})
}

func (m *mixedCluster) toSocketOfNodes(v variant) {
	if v.lost != "" {
		matrix.Nothing(m.t, "adapters", v.row(m.t), "to a socket's ID ←", v.lost)
		return
	}
	m.c.Run(m.t, "/", `nsp.to(args[0]).emit("news")`, nil, m.ids[1])
	m.expect("b", "news", "[]", func() { m.emitEnd(2) })
}

func (m *mixedCluster) joinLeaveOfOurs() {
	if err := m.a.Of("/").Broadcast().Join("by a", "too"); err != nil {
		m.t.Fatal(err)
	}
	for i, own := range []string{"a", "b", "c"} {
		m.waitForSocketRooms(i, own, "all", "by a", "too")
	}
	if err := m.a.To("b", "c").Except("b").Leave("by a"); err != nil {
		m.t.Fatal(err)
	}
	m.waitForSocketRooms(2, "c", "all", "too")
	m.waitForSocketRooms(1, "b", "all", "by a", "too")
	if err := m.a.Of("/").Broadcast().Leave("by a", "too"); err != nil {
		m.t.Fatal(err)
	}
	for i, own := range []string{"a", "b", "c"} {
		m.waitForSocketRooms(i, own, "all")
	}
}

func (m *mixedCluster) joinLeaveOfNodes() {
	m.c.Run(m.t, "/", `nsp.in(["a", "b"]).except("b").socketsJoin(["by c"])`, nil)
	m.waitForSocketRooms(0, "a", "all", "by c")
	m.waitForSocketRooms(1, "b", "all")
	m.waitForSocketRooms(2, "c", "all")
	m.c.Run(m.t, "/", `nsp.socketsLeave(["by c", "elsewhere"])`, nil)
	m.waitForSocketRooms(0, "a", "all")
}

func (m *mixedCluster) disconnectOfOurs() {
	if err := m.a.To("c").Disconnect(false); err != nil {
		m.t.Fatal(err)
	}
	if got := m.clients[2].MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		m.t.Errorf("client c was disconnected with %s, want the reason io server disconnect", got)
	}
}

func (m *mixedCluster) disconnectOfNodes() {
	m.c.Run(m.t, "/", `nsp.in("b").disconnectSockets(true)`, nil)
	m.clients[1].MustNext(nodetest.Disconnected)
	m.c.Run(m.t, "/", `nsp.in("all").disconnectSockets()`, nil)
	if got := m.clients[0].MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		m.t.Errorf("client a was disconnected with %s, want the reason io server disconnect", got)
	}
	for _, c := range m.clients[:2] {
		if n := c.Waiting(nodetest.Disconnected); n != 0 {
			m.t.Errorf("a client got %d more disconnect events", n)
		}
	}
}

// The other nodes do not count a server of ours after its shutdown.
func TestMixedCluster_NodeLeaves(t *testing.T) {
	t.Parallel()
	m, _, _ := newMixedCluster(t, variant{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the other two nodes count 2", func() string {
		n, err := m.a.Nodes(t.Context())
		var c int
		m.c.Run(t, "/", "return await nsp.adapter.serverCount()", &c)
		if n != 2 || c != 2 {
			return fmt.Sprint(n, err, c)
		}
		return ""
	})
	if all, err := m.a.FetchSockets(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("fetched %d sockets, %v, want 2", len(all), err)
	}
	if err := m.b.ServerSideEmit("late"); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("ServerSideEmit after Shutdown: %v, want ErrClosed", err)
	}
}
