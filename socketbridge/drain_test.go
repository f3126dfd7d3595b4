package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// drainPeers are clients whose ends are recorded, by the time since the drain began.
type drainPeers struct {
	t     *testing.T
	began time.Time
	all   []*peer
	wg    sync.WaitGroup

	mu   sync.Mutex
	ends []time.Duration
}

// joinPeers connects n clients. It runs in a bubble of synctest.
func joinPeers(t *testing.T, io *socketbridge.Server, n int) *drainPeers {
	d := &drainPeers{t: t, began: time.Now()}
	for range n {
		d.add(join(t, io, "/"))
	}
	return d
}

func (d *drainPeers) add(p *peer) {
	d.all = append(d.all, p)
	d.wg.Go(func() {
		if r := p.waitForClose(); r != transport.ShuttingDown {
			d.t.Errorf("a connection ended with %q, want %q", r, transport.ShuttingDown)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ends = append(d.ends, time.Since(d.began))
	})
}

// spacing waits for all ends, and returns the first, the last and the shortest time between two.
func (d *drainPeers) spacing() (first, last, shortest time.Duration) {
	d.wg.Wait()
	slices.Sort(d.ends)
	shortest = time.Hour
	for i := range d.ends[1:] {
		shortest = min(shortest, d.ends[i+1]-d.ends[i])
	}
	return d.ends[0], d.ends[len(d.ends)-1], shortest
}

// shutDownIn begins a shutdown. The result is received once it is over.
func shutDownIn(ctx context.Context, io *socketbridge.Server) <-chan error {
	done := make(chan error, 1)
	go func() { done <- io.Shutdown(ctx) }()
	return done
}

// M2: nothing is closed during Delay, and then one connection per 1/Rate. Until its own end, each
// connection works. Ready fails from the beginning; new connections are refused after Delay.
func TestM2_DrainKeepsItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, rate = 50, 10
		var log noticetest.Log
		io := socketbridge.New(socketbridge.Config{Drain: socketbridge.Drain{Delay: 5 * time.Second, Rate: rate}, Logger: log.Logger()})
		io.On("e", func(p *socketbridge.Packet) error { return p.Ack() })
		d := joinPeers(t, io, clients)
		done := shutDownIn(t.Context(), io)
		synctest.Wait()
		if err := io.Ready(t.Context()); !errors.Is(err, socketbridge.ErrShutdown) {
			t.Errorf("Ready returned %v during Delay, want ErrShutdown", err)
		}
		time.Sleep(4999 * time.Millisecond)
		d.add(join(t, io, "/")) // the load balancer has not noticed yet
		if n := io.Stats().Connections; n != clients+1 {
			t.Errorf("%d connections are left during Delay, want all %d", n, clients+1)
		}
		time.Sleep(time.Second)
		if n := io.Stats().Connections; n != clients+1-rate {
			t.Errorf("%d connections are left 1 s after Delay, want %d", n, clients+1-rate)
		}
		for _, a := range []transport.Acceptor{io, io.Of("/").Plain()} {
			if _, err := transporttest.Connect(a, nil); !errors.Is(err, socketbridge.ErrShutdown) || !errors.Is(err, engineio.ErrShuttingDown) {
				t.Errorf("a new connection got %v, want ErrShutdown, which is answered with 503", err)
			}
		}
		answered := 0
		for _, p := range d.all {
			if p.conn.Text(`21["e"]`) == nil {
				p.expect("31[]")
				answered++
			}
		}
		if answered != clients+1-rate {
			t.Errorf("%d connections answer, want all of those that are left", answered)
		}
		first, last, shortest := d.spacing()
		if first != 5*time.Second || shortest != time.Second/rate || last != 5*time.Second+clients*time.Second/rate {
			t.Errorf("the first connection was closed after %v, the last after %v, at least %v apart", first, last, shortest)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if since := time.Since(d.began); since != last {
			t.Errorf("Shutdown returned after %v, want %v, with the last connection", since, last)
		}
		log.Check(t, noticetest.Declared(t, ".")["draining"], io.Stats().Notices)
	})
}

// M2: a connection is closed after its events are handled and answered. Those that wait for slow
// handlers do not hold up the others, and when they end together, the pace still holds.
func TestM2_DrainFinishesEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const busy, idle, rate = 20, 20, 10
		io := socketbridge.New(socketbridge.Config{Drain: socketbridge.Drain{Rate: rate}, Logger: silent})
		gate := make(chan struct{})
		io.On("slow", func(p *socketbridge.Packet) error { <-gate; return p.Ack() })
		io.Of("/other").On("slow", func(p *socketbridge.Packet) error { <-gate; return p.Ack() })
		d := joinPeers(t, io, busy+idle)
		for i, p := range d.all[:busy] {
			if i%2 == 0 { // the second namespace of the connection is the busy one
				p.join("/other")
				p.send(`2/other,1["slow"]`)
			} else {
				p.send(`21["slow"]`)
			}
		}
		done := shutDownIn(t.Context(), io)
		time.Sleep(10 * time.Second)
		if n := io.Stats().Connections; n != busy {
			t.Errorf("%d connections are left, want the %d whose handlers run", n, busy)
		}
		for _, p := range d.all[:busy] {
			p.send(`22["slow"]`) // arrives during the drain, and is handled
		}
		close(gate)
		for i, p := range d.all[:busy] {
			got := []string{p.next(), p.next()}
			slices.Sort(got)
			want := []string{"31[]", "32[]"}
			if i%2 == 0 {
				want = []string{"3/other,1[]", "32[]"}
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("client %d got %v, want %v", i, got, want)
			}
		}
		_, last, shortest := d.spacing()
		if shortest < time.Second/rate {
			t.Errorf("two connections were closed within %v, want at least %v", shortest, time.Second/rate)
		}
		if last > 10*time.Second+busy*time.Second/rate {
			t.Errorf("the last connection was closed after %v", last)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// M2: events that arrive while connections wait for their turn can take long too. When they end
// together, the pace still holds.
func TestM2_DrainKeepsItsPaceAfterLateEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, rate = 20, 10
		io := socketbridge.New(socketbridge.Config{Drain: socketbridge.Drain{Rate: rate}, Logger: silent})
		first, late := make(chan struct{}), make(chan struct{})
		io.On("first", func(p *socketbridge.Packet) error { <-first; return p.Ack() })
		io.On("late", func(p *socketbridge.Packet) error { <-late; return p.Ack() })
		d := joinPeers(t, io, clients)
		for _, p := range d.all {
			p.send(`21["first"]`)
		}
		done := shutDownIn(t.Context(), io)
		time.Sleep(10 * time.Second)
		close(first) // all are free now, and wait for their turns
		synctest.Wait()
		for _, p := range d.all {
			_ = p.conn.Text(`22["late"]`) // fails for the one whose turn came at once
		}
		time.Sleep(10 * time.Second) // all turns are over
		close(late)
		_, last, shortest := d.spacing()
		if shortest < time.Second/rate {
			t.Errorf("two connections were closed within %v, want at least %v", shortest, time.Second/rate)
		}
		if want := 20*time.Second + clients*time.Second/rate; last > want {
			t.Errorf("the last connection was closed after %v, want at most %v", last, want)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// M2: a client that never stops sending is sent away too. What it sends is answered or dropped,
// and each answer arrives.
func TestM2_DrainOfABusyClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := socketbridge.New(socketbridge.Config{Drain: socketbridge.Drain{Rate: 10}, Logger: silent})
		var handled atomic.Int64
		io.On("e", func(p *socketbridge.Packet) error {
			handled.Add(1)
			time.Sleep(10 * time.Millisecond)
			return p.Ack()
		})
		d := joinPeers(t, io, 3)
		p, sent := d.all[0], 0
		sending := make(chan struct{})
		go func() { // ends with the connection
			defer close(sending)
			for p.conn.Text(fmt.Sprintf(`2%d["e"]`, sent)) == nil {
				sent++
				time.Sleep(9 * time.Millisecond) // faster than the handler
			}
		}()
		time.Sleep(100 * time.Millisecond)
		done := shutDownIn(t.Context(), io)
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-sending
		d.wg.Wait()
		var answers int64
		for _, m := range p.conn.Sent() {
			if strings.HasPrefix(string(m.Data), "3") {
				answers++
			}
		}
		if answers != handled.Load() {
			t.Errorf("%d events were handled and %d answers sent", handled.Load(), answers)
		}
		if d := time.Since(d.began); d > 2*time.Second {
			t.Errorf("the shutdown took %v", d)
		}
	})
}

// M2: if the context of Shutdown is too short for Delay and Rate, connections are closed evenly
// within three quarters of it, and the log says so.
func TestM2_DrainFitsIntoItsContext(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		drain       socketbridge.Drain
		first, last time.Duration
		shortest    time.Duration
	}{
		"a low Rate":        {socketbridge.Drain{Rate: 1}, 0, 5900 * time.Millisecond, 99 * time.Millisecond},
		"a long Delay":      {socketbridge.Drain{Delay: time.Minute}, 6 * time.Second, 6 * time.Second, 0},
		"both are too much": {socketbridge.Drain{Delay: time.Minute, Rate: 1}, 2 * time.Second, 5900 * time.Millisecond, 65 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log noticetest.Log
				io := socketbridge.New(socketbridge.Config{Drain: tt.drain, Logger: log.Logger()})
				d := joinPeers(t, io, 60)
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				done := shutDownIn(ctx, io)
				if tt.drain.Rate == 0 {
					time.Sleep(tt.first)
					synctest.Wait()
					if n := io.Stats().Connections; n != 60 {
						t.Errorf("%d connections are left after Delay", n)
					}
					if _, err := transporttest.Connect(io, nil); err == nil {
						t.Error("a connection is accepted after Delay")
					}
					for _, p := range d.all { // the engine does not close an in-memory connection
						p.conn.Close(transport.ShuttingDown)
					}
				}
				first, last, shortest := d.spacing()
				if first != tt.first || last > 6*time.Second || last < tt.last || shortest < tt.shortest {
					t.Errorf("the first connection was closed after %v, the last after %v, at least %v apart", first, last, shortest)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				log.Check(t, noticetest.Declared(t, ".")["drain_hurried"], io.Stats().Notices)
			})
		})
	}
}

// M2: a drain ends with its context, and when another call of Shutdown has less time.
func TestM2_DrainEndsEarly(t *testing.T) {
	t.Parallel()
	for _, second := range []bool{false, true} {
		t.Run(map[bool]string{false: "a handler outlasts the context", true: "a second call"}[second], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				io := socketbridge.New(socketbridge.Config{Drain: socketbridge.Drain{Delay: time.Second, Rate: 1}, Logger: silent})
				io.On("slow", func(p *socketbridge.Packet) error { <-p.Context().Done(); return nil })
				d := joinPeers(t, io, 5)
				d.all[0].send(`2["slow"]`)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				began, want := time.Now(), 20*time.Second
				first := shutDownIn(ctx, io)
				if second {
					time.Sleep(1500 * time.Millisecond)
					short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
					defer cancel()
					want = 2 * time.Second
					if err := io.Shutdown(short); err == nil {
						t.Error("the second call succeeded while a handler ran")
					}
				}
				d.wg.Wait()
				if took := time.Since(began); took != want {
					t.Errorf("the last connection was closed after %v, want %v", took, want)
				}
				<-first
			})
		})
	}
}

// M2: a client that a drain sends away gets the events that it misses on another node, once and
// in order, and its socket.
func TestM2_RecoveryAfterADrain(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, join func() *recordingLog) {
		nodes, logs := newRecoveryNodes(t, 2, socketbridge.Config{Drain: socketbridge.Drain{Rate: 1000}}, join)
		p := dial(t, nodes[0])
		p.send("0")
		hello := struct{ SID, PID string }{}
		if got := p.next(); json.Unmarshal([]byte(got[1:]), &hello) != nil || hello.PID == "" {
			t.Fatalf("CONNECT was answered with %s", got)
		}
		emit := func(n int) {
			t.Helper()
			if err := nodes[1].To("all").Emit("n", n); err != nil {
				t.Fatal(err)
			}
		}
		emit(1)
		var event []any
		if got := p.next(); json.Unmarshal([]byte(got[1:]), &event) != nil || len(event) != 3 {
			t.Fatalf("got %s, want an event with an offset", got)
		}
		done := shutDownIn(t.Context(), nodes[0])
		if r := p.waitForClose(); r != transport.ShuttingDown {
			t.Errorf("the connection ended with %q", r)
		}
		logs[0].waitForKept(t, hello.PID)
		emit(2)
		emit(3)
		back := dial(t, nodes[1])
		back.send(fmt.Sprintf(`0{"pid":%q,"offset":%q}`, hello.PID, event[2]))
		if got := back.next(); !strings.Contains(got, hello.SID) || !strings.Contains(got, hello.PID) {
			t.Errorf("CONNECT on the other node was answered with %s, want the same socket", got)
		}
		emit(4)
		for _, want := range []string{`2["n",2,`, `2["n",3,`, `2["n",4,`} {
			if got := back.next(); !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s…", got, want)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// M2: users whose sockets a drain sends to another node are online all the time, also if their
// own node drains for longer than Grace. Those that do not come back are reported offline.
func TestM2_PresenceDuringADrain(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	p := newSitePair(t, "memory://", socketbridge.Config{Presence: socketbridge.Presence{Grace: 8 * time.Second}, Drain: socketbridge.Drain{Delay: time.Second, Rate: 1}})
	var clients []*nodetest.Client
	var agents []*agent
	for _, name := range []string{"ada", "bob", "cyd"} {
		a := p.sites[0].loggedIn(name)
		agents, clients = append(agents, a), append(clients, p.connect(n, a, 0))
		p.calls.expect(t, name+" true")
	}
	done := shutDownIn(t.Context(), p.sites[0].io)
	for i := range clients[:2] { // closed in any order, 3 s apart at most
		clients[i].MustNext("disconnect")
		p.connect(n, agents[i].onSite(p.sites[1]), 1)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.calls.expect(t, "cyd false")
	p.expectNoCalls()
}

// M2: while a drain closes connections, the others can poll, post and upgrade. A handshake gets
// 503 with Retry-After, also one of a plain WebSocket; tickets are still issued.
func TestM2_RequestsDuringADrain(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{bridge: socketbridge.Config{Drain: socketbridge.Drain{Rate: 1}, Adapter: adapter.NewMemory().Join()}})
	s.app.Get("/readyz", s.io.ReadyHandler())
	s.app.Get("/ws", s.io.Of("/").WebSocket())
	s.io.On("e", func(p *socketbridge.Packet) error { return p.Ack("answer") })
	s.counter().serve()
	a := s.agent()
	a.post("/incr")
	pollers := make([]*poller, 8)
	for i := range pollers {
		pollers[i] = a.poller()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := shutDownIn(ctx, s.io)
	waitFor(t, "the drain to begin", func() bool {
		res, _ := a.ask("GET", "/socket.io/?EIO=4&transport=polling")
		return res.StatusCode == 503
	})
	for _, path := range []string{"/socket.io/?EIO=4&transport=polling", "/ws", "/readyz"} {
		headers := []string{}
		if path == "/ws" {
			headers = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
		}
		res, body := a.ask("GET", path, headers...)
		if res.StatusCode != 503 || path != "/readyz" && res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s is answered with %s and Retry-After %q, want 503 and 1", path, res.Status, res.Header.Get("Retry-After"))
		}
		if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "socketbridge") {
			t.Errorf("%s is answered with %q", path, body)
		}
	}
	if res, body := a.ask("POST", "/socket.io/ticket"); res.StatusCode != 200 {
		t.Errorf("a ticket is answered with %s %s, want 200", res.Status, body)
	}
	if _, status, err := a.try("POST", "/incr"); status != 200 || err != nil {
		t.Errorf("another request of the app is answered with %d %v", status, err)
	}
	answered := 0
	for _, p := range pollers {
		if p.send(a.cookie(), `421["e"]`) == 200 && strings.Contains(p.receive(a.cookie()), `431["answer"]`) {
			answered++
		}
	}
	if answered == 0 {
		t.Error("no polling connection works during the drain")
	}
	cancel() // the rest at once
	<-done
}
