package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// S1: with defaults, whatever a handler or a broadcast sends in one go arrives at an official
// client, whole and in order: on each transport, during an upgrade, and with recovery.
func TestS1_OfficialClient(t *testing.T) {
	t.Parallel()
	text, large, binary := strings.Repeat("x", 1000), strings.Repeat("x", 600_000), []byte(strings.Repeat("x", 100_000))
	burst := func(rows int, emit func(event string, args ...any) error) error {
		for i := range rows {
			if err := emit("row", i, text); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
		}
		return errors.Join(emit("large", 0, large), emit("large", 1, large), emit("large", 2, strings.Repeat("x", 5_000_000)),
			emit("binary", 0, binary, binary, binary), emit("binary", 1, binary), emit("done"))
	}
	transports := map[string][]string{
		"polling": {"polling"}, "websocket": {"websocket"}, "upgrade": {"polling", "websocket"},
	}
	n := nodetest.Start(t)
	for name, cfg := range map[string]socketbridge.Config{
		"defaults":   {},
		"recovery":   {Recovery: socketbridge.Recovery{Window: time.Minute}},
		"shared log": {Recovery: socketbridge.Recovery{Window: time.Minute}, Adapter: adapter.NewMemory().Join()},
	} {
		t.Run(name, func(t *testing.T) {
			const few = 3000 // more than a queue takes without its sender waiting
			many := 20_000
			if testing.Short() || name == "shared log" {
				many = few
			}
			rows := func(namespace string) int {
				if namespace == "/handler" || os.Getenv("MATRIX") != "" {
					return many
				}
				return few
			}
			s := newSite(t, options{bridge: cfg})
			var failed sync.Map
			report := func(from string, err error) {
				if err != nil {
					failed.Store(from, err)
				}
			}
			s.io.Of("/handler").On("start", func(p *socketbridge.Packet) error {
				report("handler", burst(rows("/handler"), p.Socket().Emit))
				return nil
			})
			s.io.Of("/connection").OnConnection(func(sock *socketbridge.Socket) { report("OnConnection", burst(rows("/connection"), sock.Emit)) })
			s.io.Of("/middleware").Use(func(c *socketbridge.Connect) error {
				report("Use", burst(rows("/middleware"), c.Socket().Emit))
				return c.Next()
			})
			s.io.Of("/broadcast").OnConnection(func(sock *socketbridge.Socket) {
				report("broadcast", burst(rows("/broadcast"), s.io.Of("/broadcast").To(sock.ID()).Emit))
			})
			s.serve()
			for transport, names := range transports {
				if name != "defaults" && transport != "upgrade" && os.Getenv("MATRIX") == "" {
					continue
				}
				for _, namespace := range []string{"/handler", "/connection", "/middleware", "/broadcast"} {
					t.Run(transport+namespace, func(t *testing.T) {
						c := n.Connect(t, s.url+namespace, nodetest.Options{Transports: names, Count: []string{"row", "large", "binary"}})
						if namespace == "/handler" {
							c.Emit("start")
						}
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						if _, err := c.Next(ctx, "done"); err != nil {
							t.Errorf("not all arrived: %v; the client was disconnected: %v", err, c.Waiting(nodetest.Disconnected) > 0)
						}
						for event, want := range map[string]nodetest.Counted{
							"row": {N: rows(namespace), Size: 1000 * rows(namespace)}, "large": {N: 3, Size: 6_200_000}, "binary": {N: 2, Size: 200_000},
						} {
							if got := c.Counted(event); got != want {
								t.Errorf("%s: got %+v, want %+v", event, got, want)
							}
						}
						c.Close()
					})
				}
			}
			failed.Range(func(from, err any) bool { t.Errorf("%v: %v", from, err); return true })
			if st := s.io.Stats().Engine; st.SlowClosed != 0 {
				t.Errorf("%d connections were closed", st.SlowClosed)
			}
		})
	}
}

// slowPeer is a client that takes nothing, after n events were sent to it.
func slowPeer(t *testing.T, io *socketbridge.Server, n int) (*peer, *socketbridge.Socket) {
	t.Helper()
	p := join(t, io, "/")
	s := onlySocket(t, io)
	p.conn.Limit(n)
	for i := range n {
		if err := s.Emit("n", i); err != nil {
			t.Fatal(err)
		}
	}
	return p, s
}

// expectEvents checks that the client gets the numbers from…to-1, in order.
func (p *peer) expectEvents(from, to int) {
	p.t.Helper()
	for i := from; i < to; i++ {
		p.expect(fmt.Sprintf(`2["n",%d]`, i))
	}
}

// behind makes a client fall behind by one event, whose sender waits.
func behind(t *testing.T, io *socketbridge.Server) (*peer, *socketbridge.Socket, <-chan error) {
	t.Helper()
	p, s := slowPeer(t, io, 3)
	waiting := make(chan error, 1)
	go func() { waiting <- s.Emit("n", 3) }() // ends with the wait
	synctest.Wait()
	if len(waiting) != 0 {
		t.Fatalf("Emit did not wait: %v", <-waiting)
	}
	return p, s, waiting
}

// Emit queues its event and then waits. EmitWithAck waits first, so that an event whose
// context has ended is not sent.
func TestS1_SendersThatWait(t *testing.T) {
	emit := func(s *socketbridge.Socket) error { return s.Emit("n", 4) }
	ask := func(s *socketbridge.Socket) error {
		_, err := s.EmitWithAck(context.Background(), "n", 4)
		return err
	}
	recovery := socketbridge.Recovery{Window: time.Minute}
	tests := []struct {
		name   string
		cfg    func() socketbridge.Config
		send   func(s *socketbridge.Socket) error
		queued int // events while it waits
	}{
		{"Emit", func() socketbridge.Config { return socketbridge.Config{} }, emit, 5},
		{"Emit with recovery", func() socketbridge.Config { return socketbridge.Config{Recovery: recovery} }, emit, 5},
		{"Emit with a shared log", func() socketbridge.Config {
			return socketbridge.Config{Recovery: recovery, Adapter: adapter.NewMemory().Join()}
		}, emit, 5},
		{"EmitWithAck", func() socketbridge.Config { return socketbridge.Config{} }, ask, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := newServer(t, tt.cfg())
				synctest.Wait() // until the adapter runs
				p, s, first := behind(t, io)
				second := make(chan error, 1)
				go func() { second <- tt.send(s) }() // received below
				synctest.Wait()
				if len(second) != 0 {
					t.Fatalf("it did not wait: %v", <-second)
				}
				if got := len(p.conn.Sent()) - 1; got != tt.queued { // without CONNECT
					t.Errorf("%d events are queued, want %d", got, tt.queued)
				}
				for i := range 4 {
					if got := p.next(); !strings.HasPrefix(got, fmt.Sprintf(`2["n",%d`, i)) {
						t.Fatalf("event %d is %s", i, got)
					}
				}
				if err := <-first; err != nil {
					t.Errorf("the first Emit returned %v", err)
				}
				id, _, ok := strings.Cut(strings.TrimPrefix(p.next(), "2"), `["n",4`)
				if !ok {
					t.Fatal("another event came")
				}
				if id != "" {
					p.send("3" + id + "[]")
				}
				if err := <-second; err != nil {
					t.Errorf("it returned %v", err)
				}
			})
		})
	}
}

// Events that wait keep their places: of several goroutines, and among broadcasts.
func TestS1_Order(t *testing.T) {
	for name, cfg := range map[string]socketbridge.Config{
		"without recovery": {},
		"with recovery":    {Recovery: socketbridge.Recovery{Window: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := newServer(t, cfg)
				p, s := slowPeer(t, io, 10)
				var senders sync.WaitGroup
				for i := 10; i < 30; i++ {
					senders.Go(func() {
						if err := s.Emit("n", i); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				for i := range 30 {
					if got := p.next(); !strings.HasPrefix(got, fmt.Sprintf(`2["n",%d`, i)) {
						t.Errorf("event %d is %s", i, got)
					}
				}
				senders.Wait()
			})
		})
	}
}

// Every end of a socket or a connection, and the context, releases a sender that waits.
func TestS1_WaitEnds(t *testing.T) {
	emit := func(_ context.Context, s *socketbridge.Socket) error { return s.Emit("n", 0) }
	ask := func(ctx context.Context, s *socketbridge.Socket) error {
		_, err := s.EmitWithAck(ctx, "n", 0)
		return err
	}
	tests := []struct {
		name string
		send func(ctx context.Context, s *socketbridge.Socket) error
		end  func(p *peer, s *socketbridge.Socket, cancel func())
		want error
	}{
		{"Emit, Socket.Disconnect", emit, func(_ *peer, s *socketbridge.Socket, _ func()) { s.Disconnect() }, socketbridge.ErrDisconnected},
		{"Emit, Socket.Close", emit, func(_ *peer, s *socketbridge.Socket, _ func()) { s.Close() }, socketbridge.ErrDisconnected},
		{"Emit, the client leaves the namespace", emit, func(p *peer, _ *socketbridge.Socket, _ func()) { p.send("1") }, socketbridge.ErrDisconnected},
		{"Emit, the client leaves", emit, func(p *peer, _ *socketbridge.Socket, _ func()) { p.leave() }, socketbridge.ErrDisconnected},
		{"Emit, the engine shuts down", emit, func(p *peer, _ *socketbridge.Socket, _ func()) { p.conn.Close(transport.ShuttingDown) }, socketbridge.ErrDisconnected},
		{"EmitWithAck, Socket.Disconnect", ask, func(_ *peer, s *socketbridge.Socket, _ func()) { s.Disconnect() }, socketbridge.ErrDisconnected},
		{"EmitWithAck, canceled", ask, func(_ *peer, _ *socketbridge.Socket, cancel func()) { cancel() }, context.Canceled},
		{"EmitWithAck, deadline", ask, func(*peer, *socketbridge.Socket, func()) { time.Sleep(time.Hour) }, socketbridge.ErrAckTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := newServer(t, socketbridge.Config{})
				p, s, _ := behind(t, io)
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				sent := make(chan error, 1)
				go func() { sent <- tt.send(ctx, s) }() // received below
				synctest.Wait()
				if len(sent) != 0 {
					t.Fatalf("it did not wait: %v", <-sent)
				}
				tt.end(p, s, cancel)
				synctest.Wait()
				select {
				case err := <-sent:
					if !errors.Is(err, tt.want) {
						t.Errorf("it returned %v, want %v", err, tt.want)
					}
				default:
					t.Error("it still waits")
				}
				p.leave()
			})
		})
	}
}

// A handler that waits for its own client holds up only the events of its socket: the client's
// answers are received meanwhile, other sockets go on, and a broadcast passes by.
func TestS1_OnlyTheInboxWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		handled := make(events, 100)
		io.On("burst", func(p *socketbridge.Packet) error {
			for i := range 20 {
				if err := p.Socket().Emit("n", i); err != nil {
					return err
				}
			}
			handled.add("burst")
			return p.Ack()
		})
		io.On("next", func(*socketbridge.Packet) error { handled.add("next"); return nil })
		slow, other := join(t, io, "/"), join(t, io, "/")
		slow.conn.Limit(10)
		slow.send(`20["burst"]`)
		slow.send(`2["next"]`)
		synctest.Wait()
		if len(handled) != 0 {
			t.Fatalf("the handler did not wait: %s", <-handled)
		}
		other.send(`2["next"]`)
		handled.expect(t, "next")
		if err := io.Except(slow.sid).Emit("all"); err != nil {
			t.Error(err)
		}
		other.expect(`2["all"]`)
		slow.expectEvents(0, 20)
		slow.expect(`30[]`)
		handled.expect(t, "burst", "next")
	})
}

// Answers wait too: a client that asks for much at once gets it.
func TestS1_AnswersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		io.On("ask", func(p *socketbridge.Packet) error { return p.Ack("answer") })
		p := join(t, io, "/")
		p.conn.Limit(10)
		for i := range 100 {
			p.send(fmt.Sprintf(`2%d["ask"]`, i))
		}
		synctest.Wait()
		if got := len(p.conn.Sent()) - 1; got != 11 {
			t.Errorf("%d answers are queued, want 11", got)
		}
		for i := range 100 {
			p.expect(fmt.Sprintf(`3%d["answer"]`, i))
		}
	})
}

// A volatile event never waits: it is dropped while the client is behind.
func TestS1_VolatileIsDropped(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	p, s := slowPeer(t, io, 3)
	if err := io.To(s.ID()).Volatile().Emit("volatile"); err != nil {
		t.Error(err)
	}
	p.expectEvents(0, 3)
	if err := io.To(s.ID()).Emit("n", 3); err != nil {
		t.Error(err)
	}
	p.expectEvents(3, 4)
}

// A client that missed more events than may be queued before senders wait gets them all.
func TestS1_LongReplay(t *testing.T) {
	t.Parallel()
	const missed = 1200
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxBytesPerSession: 1 << 20}}}).counter()
	s.serve()
	a := s.agent()
	a.post("/incr")
	c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}, Reconnect: true, Count: []string{"row"}})
	if err := s.io.Emit("first"); err != nil {
		t.Fatal(err)
	}
	c.MustNext("first")
	c.Cut()
	c.MustNext(nodetest.Disconnected)
	for i := range missed {
		if err := s.io.Emit("row", i, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.io.Emit("done"); err != nil {
		t.Fatal(err)
	}
	c.MustNext("done")
	if got := c.Counted("row"); got != (nodetest.Counted{N: missed, Size: missed}) {
		t.Errorf("got %+v", got)
	}
	if st := c.State(); !st.Recovered {
		t.Error("the socket was not recovered")
	}
}

// The same burst to a plain WebSocket.
func TestS1_PlainWebSocket(t *testing.T) {
	t.Parallel()
	rows := 20_000
	if testing.Short() {
		rows = 3000
	}
	s := newSite(t, options{})
	text := strings.Repeat("x", 1000)
	failed := make(chan error, 1)
	s.io.Of("/plain").OnConnection(func(sock *socketbridge.Socket) {
		var err error
		for i := 0; i < rows && err == nil; i++ {
			err = sock.Emit("row", i, text)
		}
		failed <- errors.Join(err, sock.Emit("message", []byte(strings.Repeat("x", 3<<20))))
	})
	s.app.Get("/plain", s.io.Of("/plain").WebSocket())
	s.serve()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(4 << 20)
	for i := range rows {
		_, m, err := ws.Read(ctx)
		if err != nil || string(m) != fmt.Sprintf(`["row",%d,"%s"]`, i, text) {
			t.Fatalf("row %d is %.30s, %v", i, m, err)
		}
	}
	if _, m, err := ws.Read(ctx); err != nil || len(m) != 3<<20 {
		t.Errorf("got %d bytes, %v", len(m), err)
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// A client that reads nothing is disconnected. The handler that sends to it ends with
// ErrDisconnected, and the log has one line that names the setting.
func TestS1_StalledClient(t *testing.T) {
	t.Parallel()
	log := &testlog.Log{}
	s := newSite(t, options{
		log:    slog.New(slog.NewTextHandler(log, nil)),
		bridge: socketbridge.Config{Engine: engineio.Config{Timeouts: engineio.Timeouts{Write: 200 * time.Millisecond}}},
	})
	ended := make(chan error, 2)
	s.io.Of("/plain").OnConnection(func(sock *socketbridge.Socket) {
		for {
			if err := sock.Emit("row", strings.Repeat("x", 100_000)); err != nil {
				ended <- err
				return
			}
		}
	})
	s.app.Get("/plain", s.io.Of("/plain").WebSocket())
	s.serve()
	for range 2 {
		ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		if err := <-ended; !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("Emit returned %v", err)
		}
	}
	waitFor(t, "the connections to end", func() bool { return s.io.Stats().Engine.SlowClosed == 2 })
	const line = "the client reads too slowly"
	if text := log.String(); strings.Count(text, line) != 1 || !strings.Contains(text, "setting=Config.Timeouts.Write queued_bytes=") {
		t.Errorf("the log is\n%s", text)
	}
	if s.io.Stats().Engine.Waits == 0 {
		t.Error("no wait was counted")
	}
}
