package engineio

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// capture makes the server log to the result.
func (b *pipeServer) capture() *testlog.Log {
	log := &testlog.Log{}
	b.server.notices = notice.New(slog.New(slog.NewTextHandler(log, nil)))
	return log
}

// openUnread opens a WebSocket whose client reads nothing on its own.
func (b *pipeServer) openUnread() (*conn, *transporttest.Accepted, net.Conn) {
	b.t.Helper()
	c := b.add(snapshot{}, WebSocket)
	c.plain = true // no open packet, which would have to be read
	client, server := net.Pipe()
	go b.serveHijacked(server, c.serveWebSocket) // ends with the connection
	a, err := b.recorder.Next(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return c, a, client
}

func text(n int) transport.Message { return transport.Message{Data: []byte(strings.Repeat("x", n))} }

func waits(t *testing.T, c *conn) <-chan struct{} {
	t.Helper()
	ch, err := c.Drained()
	if err != nil || ch == nil {
		t.Fatalf("Drained returned %v, %v, want a channel", ch, err)
	}
	return ch
}

func isOpen(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return false
	default:
		return true
	}
}

// A client that reads slowly is not cut off: neither by the deadline of a large write, nor
// because of a ping that is queued behind it. Once it stops, it is.
func TestS1_SlowWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		log := b.capture()
		c, a, client := b.openUnread()
		if err := c.Send(transport.Paced, text(3<<20)); err != nil {
			t.Fatal(err)
		}
		_ = c.Send(0, text(100))
		drained := waits(t, c)
		buf := make([]byte, 10_000)
		for range 100 { // longer than any timeout
			time.Sleep(9 * time.Second)
			if _, err := client.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if a.Err() != nil || c.state.Load() != open || !isOpen(drained) {
			t.Fatalf("the connection of a slow client has state %d", c.state.Load())
		}
		// The client took the last bytes a second before the deadline, and has one more.
		b.expectEnd(a, time.Now(), 19*time.Second, transport.TransportError)
		if isOpen(drained) {
			t.Error("the sender still waits")
		}
		if _, err := c.Drained(); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Drained returned %v after the end", err)
		}
		synctest.Wait() // the log is written after the end
		for _, want := range []string{"the client reads too slowly", "setting=Config.Timeouts.Write", "queued_bytes=3145828", "queued_messages=3", "nothing_taken_for=10s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not contain %q:\n%s", want, log)
			}
		}
		if st := b.server.Stats(); st.SlowClosed != 1 || st.Waits != 1 {
			t.Errorf("Stats are %+v", st)
		}
		client.Close()
	})
}

// On polling, a client shows progress by its polls.
func TestS1_SlowPolling(t *testing.T) {
	for name, interval := range map[string]time.Duration{"with a ping behind the messages": 0, "without": 12 * time.Hour} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testSlowPolling(t, interval) }) })
	}
}

func testSlowPolling(t *testing.T, interval time.Duration) {
	b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: interval})
	log := b.capture()
	c, a := b.openPolling()
	for range 100 {
		_ = c.Send(transport.Paced, text(100_000))
	}
	drained := waits(t, c)
	for range 40 { // takes two messages each
		time.Sleep(19 * time.Second)
		body, err := c.poll(nil)
		if err != nil || len(body) > pollSize+10 {
			t.Fatalf("the poll got %d bytes, %v", len(body), err)
		}
		if strings.HasSuffix(string(body), "\x1e2") {
			_ = c.post([]byte("3"))
		}
	}
	if !isOpen(drained) {
		t.Fatal("the sender was released while the queue is above its limits")
	}
	b.expectEnd(a, time.Now(), 20*time.Second, transport.TransportError)
	if isOpen(drained) {
		t.Error("the sender still waits")
	}
	synctest.Wait() // the log is written after the end
	for _, want := range []string{"the client reads too slowly", "setting=Config.PingTimeout", "queued_bytes=2000000", "nothing_taken_for=20s"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not contain %q:\n%s", want, log)
		}
	}
}

// A client that polls slowly, but is not behind, is left to the heartbeat.
func TestS1_PollingBelowTheLimitsIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: time.Hour})
		c, a := b.openPolling()
		_ = c.Send(0, text(2<<20)) // above the limit, and taken at once
		if _, err := c.poll(nil); err != nil {
			t.Fatal(err)
		}
		_ = c.Send(0, text(1<<20))
		time.Sleep(30 * time.Minute)
		if c.state.Load() != open {
			t.Error("the connection was closed")
		}
		c.terminate(transport.ForcedClose, nil)
		<-a.Conn.Done()
	})
}

// During an upgrade the client does not poll. Timeouts.Upgrade bounds that.
func TestS1_UpgradeIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{PingInterval: time.Hour, Timeouts: Timeouts{Upgrade: 5 * time.Minute}})
		c, a := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		for range 1025 {
			_ = c.Send(transport.Paced, text(1))
		}
		drained := waits(t, c)
		time.Sleep(4 * time.Minute)
		p.sendText("5")
		for range 1025 {
			if f := <-p.frames; f != "1:4x" {
				t.Fatalf("got %q", f)
			}
		}
		<-drained
		p.nc.Close()
		<-a.Conn.Done()
		<-p.served
	})
}

func TestS1_Drained(t *testing.T) {
	tests := []struct {
		name  string
		msgs  [][]transport.Message // of one call each
		waits bool
	}{
		{"at the limits", [][]transport.Message{{text(1000)}, {text(0)}, {text(0)}}, false},
		{"too many", [][]transport.Message{{text(0)}, {text(0)}, {text(0)}, {text(0)}}, true},
		{"too large", [][]transport.Message{{text(1000)}, {text(1)}}, true},
		{"attachments do not count", [][]transport.Message{{text(9), text(9), text(9)}, {text(9), text(9)}}, false},
		{"attachments are not small", [][]transport.Message{{text(9), text(999)}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{MaxQueueMessages: 3, MaxQueueBytes: 1000}})
			c, a := b.openPolling()
			for _, msgs := range tt.msgs {
				if err := c.Send(transport.Paced, msgs...); err != nil {
					t.Fatal(err)
				}
			}
			if ch, err := c.Drained(); err != nil || (ch != nil) != tt.waits {
				t.Errorf("Drained returned %v, %v", ch, err)
			}
			c.terminate(transport.ForcedClose, nil)
			<-a.Conn.Done()
		})
	}
}

// Every end of a connection releases the senders that wait.
func TestS1_EndReleasesSenders(t *testing.T) {
	for name, end := range map[string]func(b *pipeServer, c *conn){
		"Close":     func(_ *pipeServer, c *conn) { c.Close(transport.ForcedClose) },
		"terminate": func(_ *pipeServer, c *conn) { c.terminate(transport.TransportClose, nil) },
		"Shutdown":  func(b *pipeServer, _ *conn) { go func() { _ = b.server.Shutdown(b.t.Context()) }() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{})
				c, a := b.openPolling()
				_ = c.Send(transport.Paced, text(2<<20))
				drained, begin := waits(t, c), time.Now()
				end(b, c)
				<-drained
				if took := time.Since(begin); took != 0 {
					t.Errorf("the sender was released after %v", took)
				}
				<-a.Conn.Done()
			})
		})
	}
}

// A sender that does not wait is never held up, and one connection can be behind by a bounded
// size only. Messages of senders that wait do not count.
func TestS1_BacklogOfOneConnection(t *testing.T) {
	b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{MaxQueueBytes: 1000, MaxBacklogBytes: 40_000}})
	log := b.capture()
	c, a := b.openPolling()
	if err := c.Send(transport.Paced, text(1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(0, text(20_000)); err != nil {
		t.Fatalf("a single message above the limit: %v", err)
	}
	_, _ = c.poll(nil)
	_, _ = c.poll(nil)
	sent := 0
	for c.Send(0, text(1000-packetOverhead)) == nil {
		sent++
	}
	if sent != 10 {
		t.Errorf("%d messages of 1,000 bytes were queued, want 10: a quarter of 40,000 bytes", sent)
	}
	if r, cause, _ := a.End(t.Context()); r != transport.TransportError || !errors.Is(cause, transport.ErrQueueFull) {
		t.Errorf("it ended with %q, %v", r, cause)
	}
	if !strings.Contains(log.String(), "setting=Config.Limits.MaxBacklogBytes") {
		t.Errorf("the log does not name the setting:\n%s", log)
	}
	if st := b.server.Stats(); st.Backlog != 0 {
		t.Errorf("the backlog is %d after the end", st.Backlog)
	}
}

// R9: most clients are stalled and the application broadcasts all the time. The memory behind
// the queues stays within the budget. The stalled clients are closed, those that have
// taken nothing for longest first, and no other.
func TestS1_R9_BacklogOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget = 1_000_000
		b := newPipeServer(t, &transporttest.Recorder{}, Config{
			PingInterval: time.Hour, PingTimeout: time.Hour, Timeouts: Timeouts{Write: time.Hour},
			Limits: Limits{MaxQueueBytes: 10_000, MaxBacklogBytes: budget},
		})
		log := b.capture()
		const clients, healthy = 100, 5
		var conns []*conn
		var ends []*transporttest.Accepted
		for range clients {
			c, a := b.openPolling()
			conns, ends = append(conns, c), append(ends, a)
		}
		received := make([]int, healthy)
		sent := 0
		broadcast := func(distinct bool) {
			m := text(1000)
			for _, c := range conns {
				if distinct {
					m = text(1000)
				}
				_ = c.Send(0, m)
			}
			sent++
			for i, c := range conns[:healthy] {
				body, err := c.poll(nil)
				if err != nil {
					t.Fatalf("a healthy client was closed after %d broadcasts: %v", sent, err)
				}
				received[i] += strings.Count(string(body), "4x")
			}
			if got := b.server.backlog.size(); got > budget+clients*(1000+packetOverhead) {
				t.Fatalf("the backlog is %d bytes, want at most %d and one broadcast", got, budget)
			}
		}
		alive := func() (n int) {
			for _, c := range conns[healthy:] {
				if c.state.Load() == open {
					n++
				}
			}
			return n
		}
		// Shared data counts once: 95 stalled clients hold 100 broadcasts above their limit.
		for range 110 {
			broadcast(false)
		}
		if n := alive(); n != clients-healthy {
			t.Fatalf("%d stalled clients are left while the budget is not used up: %d bytes", n, b.server.backlog.size())
		}
		// The second half takes something. So the first half goes before it.
		time.Sleep(time.Minute)
		for _, c := range conns[clients/2:] {
			_, _ = c.poll(nil)
		}
		for alive() == clients-healthy {
			broadcast(true)
		}
		for i, c := range conns[healthy:] {
			if c.state.Load() == closed && i+healthy >= clients/2 {
				t.Errorf("client %d was closed, but others have taken nothing for longer", i+healthy)
			}
		}
		for range 500 {
			broadcast(true)
		}
		for i, n := range received {
			if n != sent {
				t.Errorf("healthy client %d got %d of %d", i, n, sent)
			}
		}
		if st := b.server.Stats(); st.SlowClosed != int64(clients-healthy-alive()) || st.SlowClosed == 0 {
			t.Errorf("Stats are %+v, and %d stalled clients are left", st, alive())
		}
		if n := strings.Count(log.String(), "reads too slowly"); n == 0 || n > 1+int(time.Since(b.server.started)/time.Minute) {
			t.Errorf("the log has %d lines", n)
		}
		for _, c := range conns {
			c.terminate(transport.ForcedClose, nil)
		}
		for _, a := range ends {
			<-a.Conn.Done()
		}
		if st := b.server.Stats(); st.Backlog != 0 || b.server.backlog.refs != nil {
			t.Errorf("the backlog is %d at the end", st.Backlog)
		}
	})
}

// A message of any size goes through, alone or after others.
func TestS1_LargeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{MaxBacklogBytes: 4_000_000}})
		c, a, p := b.openWebSocket()
		for i, n := range []int{600_000, 600_000, 5_000_000, 20_000_000, 600_000} {
			flags := transport.Paced
			if i == 4 {
				flags = 0
			}
			if err := c.Send(flags, text(n)); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{600_000, 600_000, 5_000_000, 20_000_000, 600_000} {
			if f := <-p.frames; len(f) != n+3 {
				t.Errorf("got a frame of %d bytes, want %d", len(f), n)
			}
		}
		p.nc.Close()
		<-a.Conn.Done()
		<-p.served
	})
}

// A heartbeat or a WebSocket ping does not cost a busy connection its life, and a flood of
// pings queues nothing.
func TestS1_PingsWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{MaxQueueMessages: 10}, PingInterval: 2 * time.Second})
		c, a, client := b.openUnread()
		for i := range 20 {
			_ = c.Send(transport.Paced, transport.Message{Data: fmt.Append(nil, i)})
		}
		for range 100 {
			_, _ = client.Write([]byte{0x89, 0x80, 0, 0, 0, 0})
		}
		time.Sleep(5 * time.Second) // the heartbeat's ping is queued
		synctest.Wait()
		if l := c.out.Load(); c.state.Load() != open || l.Items != 21 {
			t.Errorf("state %d, %d packets are queued, want 20 and the ping", c.state.Load(), l.Items)
		}
		client.Close()
		<-a.Conn.Done()
	})
}
