package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// variants returns the formats and options that both sides support.
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

// Servers of ours and of Node's form one cluster, in every format and in both directions.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	for name, v := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _, _ := newMixedCluster(t, v.ours, v.node)
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
			if err := tt.to.Emit("news", arg); err != nil {
				t.Fatal(err)
			}
			// If rooms have their own channels, each "end" uses the same one as the event.
			m.expect(tt.want, "news", argJSON, func() {
				for _, room := range []string{"a", "b", "c"} {
					m.emit(0, room, "end")
				}
			})
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
}

func (m *mixedCluster) broadcastsOfNodes() {
	for _, tt := range []struct{ name, emit, want string }{
		{"all sockets", `nsp.emit("news", ...args)`, "abc"},
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
			m.expect(tt.want, "news", `[{"n":[1,9007199254740991,null],"text":"é😀"},`+binaryJSON+`]`, func() { m.emitEnd(2) })
		})
	}
}

func (m *mixedCluster) joinLeave() {
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
	m.c.Run(m.t, "/", `nsp.in(["a", "b"]).except("b").socketsJoin(["by c"]); nsp.socketsLeave("too")`, nil)
	m.waitForSocketRooms(0, "a", "all", "by a", "by c")
	m.waitForSocketRooms(1, "b", "all", "by a")
	m.waitForSocketRooms(2, "c", "all")
}

func (m *mixedCluster) disconnect() {
	if err := m.a.To("c").Disconnect(false); err != nil {
		m.t.Fatal(err)
	}
	if got := m.clients[2].MustNext(nodetest.Disconnected).String(); got != `["io server disconnect"]` {
		m.t.Errorf("client c was disconnected with %s, want the reason io server disconnect", got)
	}
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
	m, _, _ := newMixedCluster(t, redisadapter.Config{}, nodetest.ClusterOptions{})
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
