package engineio_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// D2: clients come and go while the core sends to all of them at any time. No
// message may reach another client, and nothing may panic. Every message carries
// the ID of its connection.
func TestD2_NoMessageReachesAnotherClient(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	core := &transporttest.Recorder{OnAccept: func(c transport.Conn) error {
		senders.Go(func() { // the end of the test waits for it; it goes on after the client left
			for {
				select {
				case <-stop:
					return
				default:
				}
				if errors.Is(c.Send(0, transport.Message{Data: []byte(c.ID())}), transport.ErrClosed) {
					return
				}
				time.Sleep(20 * time.Microsecond)
			}
		})
		return nil
	}}
	// Of the queue's limits there is another test: here a machine may be slow.
	s := open(t, core, engineio.Config{Limits: engineio.Limits{MaxQueueMessages: 1 << 24, MaxQueueBytes: 1 << 30}})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for round := range rounds {
				var c *wsClient
				if (i+round)%2 == 0 {
					c = s.ws()
				} else {
					c = s.poll().upgradeTo()
				}
				for range 10 {
					f, err := c.read()
					if err != nil || f.data != "2" && f.data != "4"+c.sid {
						t.Errorf("the client of %s got %q, %v", c.sid, f.data, err)
						break
					}
				}
				if round%3 == 0 {
					_ = c.Close()
				} else {
					c.nc.Close()
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	senders.Wait()
	eventually(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().WebSockets == 0 })
	for _, a := range core.All() {
		if err := a.Err(); err != nil {
			t.Error(err)
		}
	}
}

// D10: what a body could be unpacked to does not matter, as nothing is unpacked.
func TestD10_CompressedBodiesAreRefused(t *testing.T) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if _, err := z.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	s := open(t, echoing(), engineio.Config{})
	p := s.poll()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := s.do("POST", p.query(), bomb.String(), "Content-Encoding", "gzip")
	runtime.ReadMemStats(&after)
	if a.status != 415 {
		t.Errorf("it was answered with %d %s", a.status, a.body)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", grown, bomb.Len())
	}
}

// D11: no compression is agreed on, and a compressed frame is an error.
func TestD11_NoCompressionOnWebSockets(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
	c, a := s.dialWS(websocket, "Sec-WebSocket-Extensions", "permessage-deflate")
	if ext := a.header.Get("Sec-WebSocket-Extensions"); ext != "" {
		t.Errorf("the extension %q was agreed on", ext)
	}
	c.text()
	c.raw("\xc1" + clientFrame(true, wsframe.Text, "4x")[1:])
	if code := c.closed(); code != 1002 {
		t.Errorf("the close code is %d", code)
	}
}

// D12: the default limit of a message is finite, and noticed at its header.
func TestD12_MessageSizeIsLimited(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.ws()
	c.raw(clientFrame(true, wsframe.Binary, strings.Repeat("x", 1_000_000)))
	a := s.next()
	if m, err := a.Next(s.context()); err != nil || len(m.Data) != 1_000_000 {
		t.Errorf("at the limit: %d bytes, %v", len(m.Data), err)
	}
	c.raw(string(wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: true, Length: 1_000_001})))
	if code := c.closed(); code != 1009 {
		t.Errorf("the close code is %d", code)
	}
}

// A length that is only announced costs nothing.
func TestWebSocket_MemoryComesWithTheBytes(t *testing.T) {
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 50
	for range n {
		c := s.ws()
		c.raw(string(wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: true, Length: 1_000_000})) + "x")
		s.next()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > n*100_000 {
		t.Errorf("%d bytes were allocated for %d announcements", grown, n)
	}
}

// D14: one client that does not read is cut off; the others get everything.
func TestD14_ASlowClientDelaysNobody(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{Limits: engineio.Limits{MaxQueueBytes: 100_000}})
	s.ws() // never reads
	slow := s.next()
	c := s.ws()
	healthy := s.next()
	const n = 1000
	payload := strings.Repeat("x", 10_000)
	received := make(chan int)
	go func() { // received below
		got := 0
		for ; got < n; got++ {
			if m, err := c.Next(context.Background()); err != nil || string(m.Data) != fmt.Sprint(got)+payload {
				break
			}
		}
		received <- got
	}()
	cut := 0
	for i := range n {
		m := transport.Message{Data: []byte(fmt.Sprint(i) + payload)}
		if slow.Conn.Send(0, m) != nil {
			cut++
		}
		for errors.Is(healthy.Conn.Send(transport.Volatile, m), transport.ErrQueueFull) { // at its pace
			runtime.Gosched()
		}
	}
	if cut == 0 {
		t.Error("a client that does not read has taken ten megabytes")
	}
	if got := <-received; got != n {
		t.Errorf("the healthy client got %d of %d", got, n)
	}
	s.ended(slow, transport.TransportError)
}

// D16: sending to a client that has gone returns at once, each time.
func TestD16_SendToTheDead(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.ws()
	a := s.next()
	c.nc.Close()
	s.ended(a, transport.TransportClose)
	for range 300 {
		if err := a.Conn.Send(0, transport.Message{Data: []byte("x")}); !errors.Is(err, transport.ErrClosed) {
			t.Fatalf("it returned %v", err)
		}
	}
	a.Conn.Close(transport.ForcedClose) // does nothing
}

// D17: an idle WebSocket is one goroutine, the one that reads, and an idle poll is
// the request that waits.
func TestD17_IdleConnectionsCostOneGoroutine(t *testing.T) {
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	const n = 20
	for range n {
		s.ws()
		_ = s.next().Conn.Send(0, transport.Message{Data: []byte("a writer has worked")})
		p := s.poll()
		s.next()
		go func() { _, _ = s.try("GET", p.query(), "") }() // ends with the site
	}
	eventually(t, func() bool { return s.engine.Stats().Polls == n })
	ours := func() (count int) {
		var all bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, "engineio.(*conn)") {
				count++
			}
		}
		return count
	}
	eventually(t, func() bool { return ours() <= 2*n })
	if got := ours(); got < 2*n {
		t.Errorf("%d goroutines for %d connections: the test does not see them", got, 2*n)
	}
}

// D20: clients that leave while they poll are not noticed by the HTTP server; the
// heartbeat has to.
func TestD20_AbortedPollsAreGone(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{PingInterval: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	for range 50 {
		p := s.poll()
		nc := s.dial()
		fmt.Fprintf(nc, "GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\n\r\n", p.query(), s.addr)
		nc.Close()
	}
	eventually(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().Polls == 0 })
	for _, a := range s.core.All() {
		s.ended(a, transport.PingTimeout)
	}
}

// Row 28, CVE-2026-48802: pongs that nobody asked for cost nothing.
func TestUnsolicitedPongsStartNothing(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
	c := s.ws()
	c.raw(strings.Repeat(clientFrame(true, wsframe.Text, "3"), 100_000))
	c.say("4done")
	if got := c.text(); got != "4done" {
		t.Errorf("the echo is %q", got)
	}
}

// R13: connections that end in every way, on every transport, leave nothing behind.
// FIBERBRIDGE_CYCLES sets how many come and go.
func TestConnectionsLeaveNothing(t *testing.T) {
	cycles := 1000
	if testing.Short() {
		cycles = 100
	}
	if n, err := strconv.Atoi(os.Getenv("FIBERBRIDGE_CYCLES")); err == nil {
		cycles = n
	}
	core := &counting{}
	s := open(t, nil, engineio.Config{PingInterval: 3 * time.Second, PingTimeout: 3 * time.Second, Timeouts: engineio.Timeouts{Close: 3 * time.Second}}, siteOptions{core: core})
	work := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range work {
				cycle(s, i)
			}
		})
	}
	for i := range cycles {
		work <- i
	}
	close(work)
	wg.Wait()
	eventually(t, func() bool {
		st := s.engine.Stats()
		return st == engineio.Stats{}
	})
	if opened, ended := core.counts(); opened != cycles || ended != cycles {
		t.Errorf("%d connections were opened and %d ended, of %d", opened, ended, cycles)
	}
}

// cycle opens a connection in one of four ways and leaves it in one of five.
func cycle(s *site, i int) {
	var c *wsClient
	p := (*pollClient)(nil)
	switch i % 4 {
	case 0, 1:
		c = s.ws()
	case 2:
		c = s.poll().upgradeTo()
	case 3:
		p = s.poll()
	}
	if p != nil {
		if i/4%2 == 0 {
			_ = p.Close()
		} // else it is silent, and its heartbeat ends it
		return
	}
	switch i / 4 % 5 {
	case 0:
		_ = c.Close()
	case 1:
		c.nc.Close()
	case 2: // a reset
		_ = c.nc.(interface{ SetLinger(int) error }).SetLinger(0)
		c.nc.Close()
	case 3:
		c.say("1")
		c.nc.Close()
	case 4: // silent
	}
}

// counting is a core that counts and keeps nothing.
type counting struct {
	mu            sync.Mutex
	opened, ended int
}

func (k *counting) Accept(transport.Conn) (transport.Receiver, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened++
	return k, nil
}
func (k *counting) Receive(transport.Message) error { return nil }
func (k *counting) Closed(transport.Reason, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended++
}
func (k *counting) counts() (int, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opened, k.ended
}

// No log may tell the ID of a connection, whatever happens to it.
func TestLogsDoNotTellIDs(t *testing.T) {
	t.Parallel()
	core := &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		if string(m.Data) == "panic" {
			panic("of the core")
		}
		return errors.New("refused")
	}}
	s := open(t, core, engineio.Config{Limits: engineio.Limits{MaxQueueMessages: 2}})
	var sids []string
	for _, body := range []string{"4panic", "4x", "nonsense", "1"} {
		p := s.poll()
		sids = append(sids, p.sid)
		a := s.next()
		if body == "4x" {
			for range 4 {
				_ = a.Conn.Send(0, transport.Message{Data: []byte("x")})
			}
		}
		p.post(body)
		s.do("GET", p.query(), "", "Origin", "https://evil.example")
		p.get()
	}
	log := s.log.String()
	for _, sid := range sids {
		if strings.Contains(log, sid) {
			t.Errorf("the log tells %s:\n%s", sid, log)
		}
	}
	for _, want := range []string{"the receiver panicked", "the client reads too slowly", "request refused because of its origin"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %q:\n%s", want, log)
		}
	}
}
