package engineio_test

import (
	"bytes"
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
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// D17: an idle WebSocket takes no goroutine on Linux, and elsewhere its reader. An idle poll
// takes only its waiting request.
func TestD17_GoroutinesOfIdleConnections(t *testing.T) {
	s := open(t, echoRecorder(), engineio.Config{})
	const n = 20
	for range n {
		c := s.openWS()
		c.sendText("4hello")
		c.readText()
		_ = s.nextConn().Conn.Send(0, transport.Message{Data: []byte("a writer has worked")})
		p := s.openPoll()
		s.nextConn()
		go func() { _, _ = s.tryDo("GET", p.query(), "") }() // ends when the site is shut down
	}
	waitFor(t, func() bool { return s.engine.Stats().Polls == n })
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
	want := n
	if runtime.GOOS != "linux" {
		want = 2 * n
	}
	waitFor(t, func() bool { return ours() <= want })
	if got := ours(); got < want {
		t.Errorf("%d goroutines for %d connections: the test does not find them", got, 2*n)
	}
}

// D20: the HTTP server does not notice that the client of a waiting poll has left. The
// heartbeat ends its connection.
func TestD20_AbortedPollsAreGone(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{PingInterval: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	for range 50 {
		p := s.openPoll()
		nc := s.dial()
		fmt.Fprintf(nc, "GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\n\r\n", p.query(), s.addr)
		nc.Close()
	}
	waitFor(t, func() bool { return s.engine.Stats().Connections == 0 && s.engine.Stats().Polls == 0 })
	for _, a := range s.recorder.All() {
		s.waitForEnd(a, transport.PingTimeout)
	}
}

// R13: connections leave nothing behind, whatever their transport and however they end.
// FIBERBRIDGE_CYCLES sets the number of connections.
func TestConnectionsLeaveNothing(t *testing.T) {
	cycles := 1000
	if testing.Short() {
		cycles = 100
	}
	if n, err := strconv.Atoi(os.Getenv("FIBERBRIDGE_CYCLES")); err == nil {
		cycles = n
	}
	acceptor := &countingAcceptor{}
	s := open(t, nil, engineio.Config{PingInterval: 3 * time.Second, PingTimeout: 3 * time.Second, Timeouts: engineio.Timeouts{Close: 3 * time.Second}}, siteOptions{acceptor: acceptor})
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
	waitFor(t, func() bool {
		return s.idle()
	})
	if opened, ended := acceptor.counts(); opened != cycles || ended != cycles {
		t.Errorf("%d connections were opened and %d ended, want %d", opened, ended, cycles)
	}
}

// cycle opens a connection in one of four ways and leaves it in one of five.
func cycle(s *site, i int) {
	var c *wsClient
	p := (*pollClient)(nil)
	switch i % 4 {
	case 0, 1:
		c = s.openWS()
	case 2:
		c = s.openPoll().upgrade()
	case 3:
		p = s.openPoll()
	}
	if p != nil {
		if i/4%2 == 0 {
			_ = p.Close()
		} // else it stays silent, and its heartbeat ends it
		return
	}
	switch i / 4 % 5 {
	case 0:
		_ = c.Close()
	case 1:
		c.nc.Close()
	case 2: // with a reset
		_ = c.nc.(interface{ SetLinger(int) error }).SetLinger(0)
		c.nc.Close()
	case 3:
		c.sendText("1")
		c.nc.Close()
	case 4: // stays silent
	}
}

// countingAcceptor only counts its connections.
type countingAcceptor struct {
	mu            sync.Mutex
	opened, ended int
}

func (k *countingAcceptor) Accept(transport.Conn) (transport.Receiver, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opened++
	return k, nil
}
func (k *countingAcceptor) Receive(transport.Message) error { return nil }
func (k *countingAcceptor) Closed(transport.Reason, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended++
}
func (k *countingAcceptor) counts() (int, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.opened, k.ended
}
