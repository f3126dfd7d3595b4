package redisadapter_test

import (
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// @socket.io/redis-emitter reaches our sockets, with each client.
func TestEmitter(t *testing.T) {
	t.Parallel()
	m, n, redis := newMixedCluster(t, variant{})
	events := make(chan string, 1)
	m.a.OnServerSideEmit("tell", func(e *socketbridge.ServerEvent) { events <- string(e.Args()[0]) })
	for _, client := range []string{"redis", "redis-6", "ioredis", "ioredis-6"} {
		row := strings.TrimPrefix(nodetest.Version(t, "@socket.io/redis-emitter"), "@socket.io/") + ", " + nodetest.Version(t, client)
		e := n.Emitter(t, redis, client, nil)
		run := func(column string, test func(t *testing.T)) {
			t.Run(client+", "+column, func(t *testing.T) {
				matrix.Cell(t, "adapters", row, column)
				test(t)
			})
		}
		run("broadcast ←", func(t *testing.T) {
			for _, tt := range []struct{ name, emit, want string }{
				{"all sockets", `emitter.emit("news", ...args)`, "abc"},
				{"a room", `emitter.to("a").emit("news", ...args)`, "a"},
				{"two rooms except", `emitter.to(["a", "b"]).except("a").emit("news", ...args)`, "b"},
				{"volatile and uncompressed", `emitter.volatile.compress(false).emit("news", ...args)`, "abc"},
				{"another namespace", `emitter.of("/chat").emit("news", ...args)`, ""},
			} {
				t.Run(tt.name, func(t *testing.T) {
					const argsJSON = `["x",` + binaryJSON + `]`
					emit := func() { e.Run(t, tt.emit, "x", []byte{1, 2, 255}) }
					sendEnd := func() { e.Run(t, `for (const room of "abc") emitter.to(room).emit("end")`) }
					if strings.Contains(tt.emit, "volatile") {
						m.with(t).expectVolatile("news", argsJSON, emit, sendEnd)
						return
					}
					emit()
					m.with(t).expect(tt.want, "news", argsJSON, sendEnd)
				})
			}
		})
		run("to a socket's ID ←", func(t *testing.T) {
			e.Run(t, `emitter.in("`+m.ids[1]+`").emit("news"); for (const room of "abc") emitter.to(room).emit("end")`)
			m.with(t).expect("b", "news", "[]", func() {})
		})
		run("serverSideEmit ←", func(t *testing.T) {
			e.Run(t, `emitter.serverSideEmit("tell", {x: 1})`)
			if got := <-events; got != `{"x":1}` {
				t.Errorf("the event has the argument %s", got)
			}
		})
		run("join, leave ←", func(t *testing.T) {
			m := m.with(t)
			e.Run(t, `emitter.in("all").socketsJoin(["new"]); emitter.in("a").socketsLeave("all")`)
			m.waitForSocketRooms(0, "a", "new")
			m.waitForSocketRooms(1, "b", "all", "new")
			m.waitForSocketRooms(2, "c", "all", "new")
			e.Run(t, `emitter.socketsLeave(["new"]); emitter.in("a").socketsJoin("all")`)
			m.waitForSocketRooms(0, "a", "all")
			m.waitForSocketRooms(1, "b", "all")
			m.waitForSocketRooms(2, "c", "all")
		})
		run("disconnect ←", func(t *testing.T) {
			var leaving []*nodetest.Client
			for _, url := range m.urls {
				c := n.Connect(t, url, nodetest.Options{Auth: map[string]any{"rooms": []string{"leaving"}}})
				c.MustNext("ready")
				leaving = append(leaving, c)
			}
			e.Run(t, `emitter.in("leaving").disconnectSockets(true)`)
			for _, c := range leaving {
				c.MustNext(nodetest.Disconnected)
			}
		})
		for _, column := range []string{"cluster", "broadcast →", "fetchSockets →", "fetchSockets ←", "ack →", "ack ←", "serverSideEmit →", "join, leave →", "disconnect →", "recovery →", "recovery ←"} {
			matrix.Nothing(t, "adapters", row, column, "An emitter has no clients, and sends without waiting for replies.")
		}
	}
}
