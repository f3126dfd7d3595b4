package redisadapter_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// @socket.io/redis-emitter reaches our sockets.
func TestEmitter(t *testing.T) {
	t.Parallel()
	m, n, redis := newMixedCluster(t, variant{})
	e := n.Emitter(t, redis, "redis", nil)
	for _, tt := range []struct{ name, emit, want string }{
		{"all sockets", `emitter.emit("news", ...args)`, "abc"},
		{"a room", `emitter.to("a").emit("news", ...args)`, "a"},
		{"two rooms except", `emitter.to(["a", "b"]).except("a").emit("news", ...args)`, "b"},
		{"a socket", `emitter.in("` + m.ids[1] + `").emit("news", ...args)`, "b"},
		{"volatile and uncompressed", `emitter.volatile.compress(false).emit("news", ...args)`, "abc"},
		{"another namespace", `emitter.of("/chat").emit("news", ...args)`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := m.with(t)
			e.Run(t, tt.emit+`; for (const room of "abc") emitter.to(room).emit("end")`, "x", []byte{1, 2, 255})
			m.expect(tt.want, "news", `["x",`+binaryJSON+`]`, func() {})
		})
	}
	events := make(chan string, 1)
	m.a.OnServerSideEmit("tell", func(e *socketbridge.ServerEvent) { events <- string(e.Args()[0]) })
	e.Run(t, `emitter.serverSideEmit("tell", {x: 1})`)
	if got := <-events; got != `{"x":1}` {
		t.Errorf("the event has the argument %s", got)
	}
	e.Run(t, `emitter.in("all").socketsJoin(["new"]); emitter.in("a").socketsLeave("all")`)
	m.waitForSocketRooms(0, "a", "new")
	m.waitForSocketRooms(1, "b", "all", "new")
	m.waitForSocketRooms(2, "c", "all", "new")
	e.Run(t, `emitter.in("new").disconnectSockets(true)`)
	for _, c := range m.clients {
		c.MustNext(nodetest.Disconnected)
	}
}
