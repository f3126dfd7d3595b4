package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// N9: events count by name and outcome.
func TestN9_Metrics_Events(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	server.On("good", func(p *socketbridge.Packet) error { return p.Ack(1) })
	server.On("bad", func(*socketbridge.Packet) error { return errors.New("the database is away") })
	server.On("no", func(*socketbridge.Packet) error { return &socketbridge.EventError{Code: "not_yours"} })
	server.On("args", func(p *socketbridge.Packet) error { return p.Bind(new(int)) })
	contract.Event[int, int]("typed").Handle(server, func(_ *socketbridge.Packet, n int) (int, error) { return n, nil })
	server.On("panic", func(*socketbridge.Packet) error { panic("a mistake") })
	server.On("exit", func(*socketbridge.Packet) error { runtime.Goexit(); return nil })
	server.OnConnection(func(s *socketbridge.Socket) {
		s.On("own", func(p *socketbridge.Packet) error { return p.Ack(2) })
	})
	p := join(t, server)
	for range 3 {
		p.call("good")
	}
	for _, event := range []string{"bad", "no", "args", "typed", "panic", "exit", "own"} {
		p.call(event)
	}
	p.send(`2["made up"]`)
	p.call("good")
	p.leave()
	shutdown(t, server)

	m := scrape(t, r)
	expect(t, m, "fiberbridge_event_duration_seconds", map[string]float64{
		"good ok": 4, "bad error": 1, "no refused": 1, "args bad_arguments": 1, "typed invalid_argument": 1, "panic panic": 1, "exit panic": 1, "own ok": 1, "_other ok": 1,
	})
	expect(t, m, "fiberbridge_event_wait_seconds", map[string]float64{"": 12})
	expect(t, m, "fiberbridge_connect_duration_seconds", map[string]float64{"ok": 1})
	expect(t, m, "fiberbridge_disconnects_total", map[string]float64{"transport_close": 1})
	if got := values(m["fiberbridge_notices_total"]); got["event_unhandled bridge"] != 1 || got["handler_panic bridge"] != 2 {
		t.Errorf("notices: %v, want 1 event_unhandled and 2 handler_panic", got)
	}
}

// N9: a duration is the one of the handler, and the wait that before it.
func TestN9_Metrics_Durations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, socketbridge.Config{})
		r := register(t, metrics.Config{Server: server})
		server.On("slow", func(p *socketbridge.Packet) error { time.Sleep(2 * time.Second); return p.Ack(1) })
		p := join(t, server)
		p.send(`2["slow"]`)
		p.send(`2["slow"]`) // waits for 2 s
		synctest.Wait()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		p.leave()
		synctest.Wait()
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if h := m.GetHistogram(); h != nil {
					sums[f.GetName()] += h.GetSampleSum()
					if len(h.GetBucket()) == 0 || h.Schema == nil {
						t.Errorf("%s lacks classic or native buckets", f.GetName())
					}
				}
			}
		}
		if handled, waited := sums["fiberbridge_event_duration_seconds"], sums["fiberbridge_event_wait_seconds"]; handled != 4 || waited != 2 {
			t.Errorf("handled for %v s and waited for %v s, want 4 and 2", handled, waited)
		}
	})
}

// N9: connects and disconnects count by outcome and reason.
func TestN9_Metrics_Connects(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	server.Use(func(c *socketbridge.Connect) error {
		var auth struct{ Token string }
		_ = c.Auth(&auth)
		switch auth.Token {
		case "plain":
			return errors.New("not on the list")
		case "shown":
			return &socketbridge.ConnectError{Message: "not on the list"}
		case "silent":
			return nil
		case "panic":
			panic("a mistake")
		}
		return c.Next()
	})
	for _, token := range []string{"plain", "shown", "silent", "panic"} {
		if _, answer := connect(t, server, `{"token":"`+token+`"}`); !strings.HasPrefix(answer, "4") {
			t.Errorf("%s was answered with %s, want a refusal", token, answer)
		}
	}
	server.OnConnection(func(s *socketbridge.Socket) {
		s.On("out", func(p *socketbridge.Packet) error { p.Socket().Disconnect(); return nil })
	})
	gone := make(chan socketbridge.Reason, 8)
	server.OnConnection(func(s *socketbridge.Socket) {
		s.OnDisconnect(func(reason socketbridge.Reason) { gone <- reason })
	})
	join(t, server).leave()
	join(t, server).send("1")
	join(t, server).send(`2["out"]`)
	join(t, server).conn.Leave("a reason of an own transport", nil)
	for range 4 {
		<-gone
	}
	p := join(t, server)
	m := scrape(t, r)
	expect(t, m, "fiberbridge_sockets", map[string]float64{"": 1})
	p.conn.Leave(transport.PingTimeout, nil)
	shutdown(t, server)

	m = scrape(t, r)
	expect(t, m, "fiberbridge_connect_duration_seconds", map[string]float64{"ok": 5, "refused": 3, "panic": 1})
	expect(t, m, "fiberbridge_disconnects_total", map[string]float64{
		"transport_close": 1, "client_namespace_disconnect": 1, "server_namespace_disconnect": 1, "_other": 1, "ping_timeout": 1,
	})
	expect(t, m, "fiberbridge_sockets", map[string]float64{})
}

// N9: emits, and the answers that they wait for.
func TestN9_Metrics_EmitsAndAcks(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	sockets := make(chan *socketbridge.Socket, 1)
	server.OnConnection(func(s *socketbridge.Socket) { sockets <- s })
	p := join(t, server)
	s := <-sockets
	ctx := context.Background()

	_ = s.Emit("hello")
	_ = server.Emit("all")
	p.next()
	p.next()
	answered := make(chan error, 1)
	go func() { // received below
		_, err := s.EmitWithAck(ctx, "question")
		answered <- err
	}()
	id := strings.TrimSuffix(strings.TrimPrefix(p.next(), "2"), `["question"]`)
	p.send("3" + id + `["yes"]`)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if _, err := s.Timeout(time.Millisecond).EmitWithAck(ctx, "question"); !errors.Is(err, socketbridge.ErrAckTimeout) {
		t.Error(err)
	}
	if _, err := server.Timeout(time.Millisecond).EmitWithAck(ctx, "question"); !errors.Is(err, socketbridge.ErrAckTimeout) {
		t.Error(err)
	}
	asked := make(chan error, 1)
	if err := s.EmitWithAckFunc("question", func(_ socketbridge.Answer, err error) { asked <- err }); err != nil {
		t.Fatal(err)
	}
	p.leave()
	if err := <-asked; !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Error(err)
	}
	shutdown(t, server)
	_ = s.Emit("late")

	m := scrape(t, r)
	expect(t, m, "fiberbridge_emits_total", map[string]float64{"ok socket": 4, "ok broadcast": 2, "disconnected socket": 1})
	expect(t, m, "fiberbridge_ack_duration_seconds", map[string]float64{"ok socket": 1, "timeout socket": 1, "timeout broadcast": 1, "disconnected socket": 1})
}

// N9: what the official client causes, over a real network.
func TestN9_Metrics_RealClient(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	t.Run("sessions", func(t *testing.T) { testSessions(t, n) })
	t.Run("recovery", func(t *testing.T) { testRecovery(t, n) })
}

// testSessions checks the operations of sessions, their failures, and what sockets are told.
func testSessions(t *testing.T, n *nodetest.Node) {
	st := faulty.New(memory.New(), nil)
	t.Cleanup(func() { _ = st.Close() })
	store := newStore(t, fibersession.Config{Storage: st})
	server := newServer(t, socketbridge.Config{Sessions: store})
	r := register(t, metrics.Config{Server: server, Sessions: store})
	server.On("save", func(p *socketbridge.Packet) error { p.Session().Set("n", 2); return p.Ack(1) })
	server.On("end", func(p *socketbridge.Packet) error { return p.Session().Destroy(p.Context()) })
	url := serve(t, store, server)
	c := n.Dial(t, url, nodetest.Options{Cookie: login(t, url), Transports: []string{"websocket"}})
	c.MustConnect()
	c.MustCall("save")
	st.SetPlan(faulty.OnMethod("CompareAndSwap", faulty.Fault{Fail: errors.New("the storage is away")}))
	if answer := c.MustCall("save").String(); !strings.Contains(answer, socketbridge.CodeSessionUnavailable) {
		t.Errorf("an event whose save failed was answered with %s", answer)
	}
	st.SetPlan(nil)
	m := scrape(t, r)
	expect(t, m, "fiberbridge_connections", map[string]float64{"websocket": 1})
	expect(t, m, "fiberbridge_sessions", map[string]float64{"": 1})
	c.Emit("end")
	c.MustNext(nodetest.Disconnected)
	shutdown(t, server)

	m = scrape(t, r)
	expect(t, m, "fiberbridge_event_duration_seconds", map[string]float64{"save ok": 1, "save session_unavailable": 1, "end ok": 1})
	got := values(m["fiberbridge_session_duration_seconds"])
	if got["save ok"] != 2 || got["save session_unavailable"] != 1 || got["destroy ok"] != 1 {
		t.Errorf("session operations: %v, want 2 saves, a failed one, and 1 destroy", got)
	}
	expect(t, m, "fiberbridge_store_failures_total", map[string]float64{"": 1})
	if got := values(m["fiberbridge_session_changes_total"]); got["changed"] != 1 || got["ended"] != 1 {
		t.Errorf("changes: %v, want 1 changed and 1 ended", got)
	}
	if n := values(m["fiberbridge_notices_total"])["storage_failed sessions"]; n != 1 {
		t.Errorf("%v notices storage_failed, want 1", n)
	}
}

// N9: messages between nodes count on both.
func TestN9_Metrics_Adapter(t *testing.T) {
	t.Parallel()
	hub := adapter.NewMemory()
	a, b := newServer(t, socketbridge.Config{Adapter: hub.Join()}), newServer(t, socketbridge.Config{Adapter: hub.Join()})
	ra, rb := register(t, metrics.Config{Server: a}), register(t, metrics.Config{Server: b})
	ctx := context.Background()
	for n := 0; n != 2; runtime.Gosched() {
		n, _ = a.Nodes(ctx)
	}
	p := join(t, b)
	const family = "fiberbridge_adapter_duration_seconds"
	before := scrape(t, ra)[family]
	_ = a.Emit("news")
	p.next()
	if all, err := a.FetchSockets(ctx); err != nil || len(all) != 1 {
		t.Errorf("FetchSockets: %d sockets, error %v", len(all), err)
	}
	if sent := difference(scrape(t, ra)[family], before); sent["broadcast publish ok"] != 1 || sent["fetch request ok"] != 1 {
		t.Errorf("node a sent %v, want a broadcast and a request for sockets", sent)
	}
	shutdown(t, b)
	if got := values(scrape(t, rb)[family]); got["broadcast deliver ok"] != 1 || got["fetch deliver ok"] != 1 {
		t.Errorf("node b handled %v, want a broadcast and a fetch", got)
	}
}

// testRecovery checks clients that come back, with and without their socket.
func testRecovery(t *testing.T, n *nodetest.Node) {
	store := newStore(t, fibersession.Config{})
	server := newServer(t, socketbridge.Config{Sessions: store, Recovery: socketbridge.Recovery{Window: time.Minute}})
	r := register(t, metrics.Config{Server: server})
	gone := make(chan struct{}, 2)
	server.OnConnection(func(s *socketbridge.Socket) {
		s.OnDisconnect(func(socketbridge.Reason) { gone <- struct{}{} })
	})
	server.On("e", func(p *socketbridge.Packet) error { return p.Ack(1) })
	url := serve(t, store, server)
	options := nodetest.Options{Cookie: login(t, url), Transports: []string{"websocket"}, Reconnect: true}
	c := n.Dial(t, url, options)
	c.MustConnect()
	c.Cut()
	<-gone
	c.MustNext(nodetest.Disconnected)
	c.MustConnect()
	if !c.State().Recovered {
		t.Error("the client was not recovered")
	}
	options.Auth = map[string]string{"pid": "made-up", "offset": ""}
	n.Dial(t, url, options).MustConnect()
	shutdown(t, server)
	expect(t, scrape(t, r), "fiberbridge_recovery_duration_seconds", map[string]float64{"ok": 1, "no_state": 1})
}

// N9: clients cannot make series, by names of events or otherwise.
func TestN9_Metrics_NamesOfClientsMakeNoSeries(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	server.OnConnection(func(s *socketbridge.Socket) { s.OnAny(func(*socketbridge.Packet) error { return nil }) })
	server.On("known", func(p *socketbridge.Packet) error { return p.Ack(1) })
	p := join(t, server)
	p.call("known")
	p.send(`2["made up"]`)
	p.call("known")
	before := series(t, r)
	for i := range 10_000 {
		p.send(fmt.Sprintf(`2["event-%d"]`, i))
	}
	p.call("known")
	if after := series(t, r); after != before {
		t.Errorf("10,000 names of events made %d series, want none", after-before)
	}
	shutdown(t, server)
	expect(t, scrape(t, r), "fiberbridge_event_duration_seconds", map[string]float64{"known ok": 3, "_other ok": 10_001})
}

// N9: an app that registers handlers for any number of names has a bounded number of series.
func TestN9_Metrics_EventsAreBounded(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	const more = 50
	for i := range measure.MaxEvents + more {
		server.On(fmt.Sprintf("event-%d", i), func(p *socketbridge.Packet) error { return p.Ack(1) })
	}
	p := join(t, server)
	for i := range measure.MaxEvents + more {
		p.call(fmt.Sprintf("event-%d", i))
	}
	p.call("event-0")
	shutdown(t, server)
	got := values(scrape(t, r)["fiberbridge_event_duration_seconds"])
	if len(got) != measure.MaxEvents+1 || got["_other ok"] != more || got["event-0 ok"] != 2 {
		t.Errorf("%d series, %v others and %v of event-0, want %d, %d and 2", len(got), got["_other ok"], got["event-0 ok"], measure.MaxEvents+1, more)
	}
}

// N9: odd names of events do not break the scrape. The empty one counts as one of a client.
func TestN9_Metrics_OddNames(t *testing.T) {
	t.Parallel()
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server})
	for _, event := range []string{"", "with \"quotes\"\n", "_other"} {
		server.On(event, func(p *socketbridge.Packet) error { return p.Ack(1) })
	}
	p := join(t, server)
	for _, event := range []string{"", "with \"quotes\"\n", "_other", "unknown"} {
		if event == "unknown" {
			p.send(`2["unknown"]`)
			continue
		}
		p.call(event)
	}
	shutdown(t, server)
	expect(t, scrape(t, r), "fiberbridge_event_duration_seconds", map[string]float64{"with \"quotes\"\n ok": 1, "_other ok": 3})
}

// N9: after Close nothing is counted, and the collector can still be collected.
func TestN9_Metrics_Close(t *testing.T) {
	t.Parallel()
	server, store := newServer(t, socketbridge.Config{}), newStore(t, fibersession.Config{})
	m := metrics.New(metrics.Config{Server: server, Sessions: store})
	r := register(t, metrics.Config{Server: server, ConstLabels: map[string]string{"server": "b"}})
	r.MustRegister(prometheus.WrapCollectorWithPrefix("closed_", m))
	server.On("e", func(p *socketbridge.Packet) error { return p.Ack(1) })
	p := join(t, server)
	p.call("e")
	m.Close()
	m.Close()
	p.call("e")
	shutdown(t, server)
	families := scrape(t, r)
	if n := values(families["closed_fiberbridge_event_duration_seconds"])["e ok"]; n != 1 {
		t.Errorf("the closed collector counted %v events, want 1", n)
	}
	if n := values(families["fiberbridge_event_duration_seconds"])["e ok b"]; n != 2 {
		t.Errorf("the other collector counted %v events, want 2", n)
	}
}

// N9: a process with two servers tells them apart by a label, and cannot forget it.
func TestN9_Metrics_TwoServers(t *testing.T) {
	t.Parallel()
	a, b := newServer(t, socketbridge.Config{}), newServer(t, socketbridge.Config{})
	store := newStore(t, fibersession.Config{})
	r := register(t, metrics.Config{Server: a, Sessions: store, ConstLabels: map[string]string{"server": "a"}})
	r.MustRegister(metrics.New(metrics.Config{Server: b, ConstLabels: map[string]string{"server": "b"}}))
	join(t, a)
	join(t, b)
	join(t, b)
	expect(t, scrape(t, r), "fiberbridge_sockets", map[string]float64{"a": 1, "b": 2})
	if err := r.Register(metrics.New(metrics.Config{Server: b, ConstLabels: map[string]string{"server": "b"}})); err == nil {
		t.Error("two collectors with the same labels were registered")
	}
}

// N9: a collector without a server or a store has nothing of it, and one without both is a
// mistake.
func TestN9_Metrics_Parts(t *testing.T) {
	t.Parallel()
	for name := range scrape(t, register(t, metrics.Config{Server: newServer(t, socketbridge.Config{})})) {
		if strings.HasPrefix(name, "fiberbridge_store_") || strings.HasPrefix(name, "fiberbridge_session_duration") {
			t.Errorf("a collector without a store has %s", name)
		}
	}
	for name := range scrape(t, register(t, metrics.Config{Sessions: newStore(t, fibersession.Config{})})) {
		if !strings.HasPrefix(name, "fiberbridge_store_") && name != "fiberbridge_session_duration_seconds" && name != "fiberbridge_notices_total" {
			t.Errorf("a collector without a server has %s", name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New accepted an empty Config")
		}
	}()
	metrics.New(metrics.Config{})
}

// N9: a scrape makes no call to the storage, so that it answers while the storage hangs.
func TestN9_Metrics_ScrapeWithoutStorage(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	t.Cleanup(func() { _ = st.Close() })
	store := newStore(t, fibersession.Config{Storage: st})
	server := newServer(t, socketbridge.Config{Sessions: store})
	r := register(t, metrics.Config{Server: server, Sessions: store})
	login(t, serve(t, store, server))
	before := st.Calls()
	scrape(t, r)
	if n := st.Calls() - before; n != 0 {
		t.Errorf("a scrape made %d calls of the storage, want none", n)
	}
}
