package redisadapter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func (m *mixedCluster) fetchSocketsOfOurs() {
	all, err := m.a.FetchSockets(m.t.Context())
	if err != nil || len(all) != 3 {
		m.t.Fatalf("fetched %d sockets, %v, want 3", len(all), err)
	}
	for _, r := range all {
		i := slices.Index(m.ids, r.ID())
		var n int
		if err := r.Data("n", &n); err != nil || n != i {
			m.t.Errorf("socket %d has the data %d, %v, want %d", i, n, err, i)
		}
		if !slices.Contains(r.Rooms(), "all") || !slices.Contains(r.Rooms(), r.ID()) {
			m.t.Errorf("socket %d is in the rooms %q, want all and its own among them", i, r.Rooms())
		}
		if hs := r.Handshake(); !strings.Contains(hs.Address, "127.0.0.1") || time.Since(hs.Time) > time.Hour || !strings.HasPrefix(hs.Header["host"], "127.0.0.1:") {
			m.t.Errorf("socket %d has the handshake %+v", i, hs)
		}
	}
	some, err := m.b.To("c").FetchSockets(m.t.Context())
	if err != nil || len(some) != 1 || some[0].ID() != m.ids[2] {
		m.t.Fatalf("sockets in the room c: %v, %v, want client c's", some, err)
	}
	answer, err := some[0].EmitWithAck(m.t.Context(), "ask")
	if err != nil || string(answer.Args()[0]) != `"2"` {
		m.t.Errorf("client c answered %s, %v, want 2", answer.Args(), err)
	}
	rooms, err := m.a.Of("/").AllRooms(m.t.Context())
	for _, want := range append([]string{"all", "a", "b", "c"}, m.ids...) {
		if !slices.Contains(rooms, want) {
			m.t.Errorf("rooms are %q, %v: %s is missing", rooms, err, want)
		}
	}
}

func (m *mixedCluster) fetchSocketsOfNodes() {
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
		m.t.Fatalf("Node fetched %d sockets, want 3", len(got))
	}
	for _, s := range got {
		i := slices.Index(m.ids, s.ID)
		if s.Data["n"] != i || !slices.Contains(s.Rooms, "all") || !slices.Contains(s.Rooms, s.ID) || !strings.Contains(s.Address, "127.0.0.1") || s.Issued < 1e12 || !s.UserAgent {
			m.t.Errorf("Node fetched the socket %+v, which lacks something", s)
		}
	}
}

func (m *mixedCluster) acksOfOurs() {
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
		m.t.Errorf("got the answers of clients %q, want 0, 1 and 2", got)
	}
	if got := answers(m.a.Except("a").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask", []byte{1})); got != "1,2" {
		m.t.Errorf("got the answers of clients %q, want 1 and 2", got)
	}
	if got := answers(m.a.To("elsewhere").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask")); got != "" {
		m.t.Errorf("got the answers of clients %q, want none", got)
	}
	all, err := m.a.To("all").Timeout(20*time.Second).EmitWithAck(m.t.Context(), "ask binary")
	if err != nil || len(all) != 3 {
		m.t.Fatalf("binary answers are %v, %v, want 3", all, err)
	}
	sum := 0
	for _, a := range all {
		var b []byte
		if err := a.Bind(&b); err != nil || len(b) != 1 {
			m.t.Fatalf("binary answer is %v, %v, want one byte", b, err)
		}
		sum += int(b[0])
	}
	if sum != 3 {
		m.t.Errorf("the binary answers have the sum %d, want 3", sum)
	}
	// One client does not answer: the other answers are returned after the timeout.
	timeout := 200 * time.Millisecond
	waitFor(m.t, "the answers before the timeout are returned", func() string {
		timeout *= 2
		m.clients[0].Answer("some", "here")
		m.clients[2].Answer("some", "here")
		all, err := m.a.To("all").Timeout(timeout).EmitWithAck(m.t.Context(), "some")
		if !errors.Is(err, socketbridge.ErrAckTimeout) || len(all) > 2 {
			m.t.Fatalf("answers are %v, %v, want at most 2 and ErrAckTimeout", all, err)
		}
		if len(all) < 2 {
			return fmt.Sprint(len(all), " answers")
		}
		return ""
	})
}

func (m *mixedCluster) acksOfNodes() {
	var got []string
	m.c.Run(m.t, "/", `return await nsp.timeout(20000).emitWithAck("ask", 1)`, &got)
	slices.Sort(got)
	if strings.Join(got, ",") != "0,1,2" {
		m.t.Errorf("Node got the answers of clients %q, want 0, 1 and 2", got)
	}
	var bins []nodetest.Binary
	m.c.Run(m.t, "/", `return await nsp.except("c").timeout(20000).emitWithAck("ask binary", args[0])`, &bins, []byte{7})
	if len(bins) != 2 || len(bins[0]) != 1 || bins[0][0]+bins[1][0] != 1 {
		m.t.Errorf("Node got the binary answers %v, want those of clients a and b", bins)
	}
	m.c.Run(m.t, "/", `return await nsp.to("elsewhere").timeout(20000).emitWithAck("ask")`, &got)
	if len(got) != 0 {
		m.t.Errorf("Node got the answers of clients %q, want none", got)
	}
}

// listen makes all servers listen for "tell", which they report, and "who", which they answer.
// Node's server reports in heard.
func (m *mixedCluster) listen() (next func() string) {
	events := make(chan string, 10)
	for name, io := range map[string]*socketbridge.Server{"a": m.a, "b": m.b} {
		io.OnServerSideEmit("tell "+m.t.Name(), func(e *socketbridge.ServerEvent) {
			args, _ := json.Marshal(e.Args())
			events <- fmt.Sprintf("%s %s %v", name, args, e.WantsAck())
		})
		io.OnServerSideEmit("who "+m.t.Name(), func(e *socketbridge.ServerEvent) {
			if err := e.Ack(name); err != nil {
				m.t.Error(err)
			}
		})
	}
	m.c.Run(m.t, "/", `nsp.on("tell " + args[0], (...args) => heard.push(args)); nsp.on("who " + args[0], (...args) => args.pop()("c"))`, nil, m.t.Name())
	return func() string {
		select {
		case text := <-events:
			return text
		case <-time.After(30 * time.Second):
			m.t.Fatal("no server-side event arrived")
			return ""
		}
	}
}

func (m *mixedCluster) serverSideEmitOfOurs() {
	next := m.listen()
	if err := m.a.ServerSideEmit("tell "+m.t.Name(), map[string]int{"x": 1}, "y"); err != nil {
		m.t.Fatal(err)
	}
	if got, want := next(), `b [{"x":1},"y"] false`; got != want {
		m.t.Errorf("the event is %s, want %s", got, want)
	}
	waitFor(m.t, "Node receives the event", func() string {
		var got json.RawMessage
		m.c.Run(m.t, "/", `return heard`, &got)
		if string(got) != `[[{"x":1},"y"]]` {
			return string(got)
		}
		return ""
	})
	answers, err := m.a.ServerSideEmitWithAck(m.t.Context(), "who "+m.t.Name())
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
		m.t.Errorf("servers %q answered, %v, want b and c", names, err)
	}
}

func (m *mixedCluster) serverSideEmitOfNodes() {
	next := m.listen()
	m.c.Run(m.t, "/", `nsp.serverSideEmit("tell " + args[0], 1, "é")`, nil, m.t.Name())
	got := []string{next(), next()}
	slices.Sort(got)
	if !slices.Equal(got, []string{`a [1,"é"] false`, `b [1,"é"] false`}) {
		m.t.Errorf("the events are %q, want [1,\"é\"] on a and b", got)
	}
	var names []string
	m.c.Run(m.t, "/", `return (await nsp.serverSideEmitWithAck("who " + args[0])).sort()`, &names, m.t.Name())
	if strings.Join(names, "") != "ab" {
		m.t.Errorf("Node got the answers of servers %q, want a and b", names)
	}
}
