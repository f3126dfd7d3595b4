package reliability_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// slowSize is the size of R9.
type slowSize struct {
	stalled, healthy int
	broadcasts       int
	pause            time.Duration // between broadcasts
	write            time.Duration // Timeouts.Write
}

// R9: clients that stop reading are closed and reported, and cost the others nothing. The
// server runs in a process of its own, the stalled clients in another. The test of each limit
// is in package engineio.
func TestR9_SlowConsumers(t *testing.T) {
	size := scaled(
		slowSize{200, 20, 200, time.Millisecond, 300 * time.Millisecond},
		slowSize{10_000, 100, 1000, 20 * time.Millisecond, engineio.ConfigDefault.Timeouts.Write})
	server, clients := startProgram(t, "ticker"), startProgram(t, "stalled")
	var addr string
	server.do("start", tickerStart{Write: size.write}, &addr)
	clients.do("connect", stalledConnect{addr, size.stalled}, nil)
	peers := make([]*rawPeer, size.healthy)
	for i := range peers {
		p, err := dialPeer(net.Dialer{}, addr, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.nc.Close() }()
		peers[i] = p
	}
	base := residentMiB(t, server.cmd.Process.Pid, "VmRSS")

	var wg sync.WaitGroup
	delays := make([][]time.Duration, len(peers))
	for i, p := range peers {
		wg.Go(func() { // waited for below
			for n := range size.broadcasts {
				delay, err := nextTick(p, n)
				if err != nil {
					t.Errorf("healthy client %d got %d of %d broadcasts: %v", i, n, size.broadcasts, err)
					return
				}
				delays[i] = append(delays[i], delay)
			}
		})
	}
	var calls tickerCalls
	server.do("broadcast", tickerBroadcast{size.broadcasts, size.pause}, &calls)
	wg.Wait()
	var stats tickerStats
	mustWaitFor(t, time.Minute, "the stalled clients are closed", func() string {
		server.do("stats", nil, &stats)
		if stats.Sockets != size.healthy {
			return fmt.Sprintf("%d sockets, want %d", stats.Sockets, size.healthy)
		}
		return ""
	})
	if stats.Slow != int64(size.stalled) || stats.Notices != uint64(size.stalled) || stats.Reasons[string(transport.TransportError)] != size.stalled || len(stats.Reasons) != 1 {
		t.Errorf("closed as slow: %d, notice=slow_client: %d, reasons: %v; want %d of each, all %q",
			stats.Slow, stats.Notices, stats.Reasons, size.stalled, transport.TransportError)
	}

	var all []time.Duration
	for _, d := range delays {
		all = append(all, d...)
	}
	peak := residentMiB(t, server.cmd.Process.Pid, "VmHWM")
	p99, callP99 := percentile(all, .99), percentile(calls.Wall, .99)
	report(t, "R9", "%d stalled and %d healthy clients, %d broadcasts of 1 KiB: healthy p50 %v, p99 %v, max %v; call p50 %v, p99 %v, max %v, of its CPU time p99 %v; RSS %d MiB idle, %d MiB peak; load %s",
		size.stalled, size.healthy, size.broadcasts, percentile(all, .5), p99, percentile(all, 1), percentile(calls.Wall, .5), callP99, percentile(calls.Wall, 1),
		percentile(calls.CPU, .99), base, peak, load(t))
	if full && (p99 > 250*time.Millisecond || callP99 > 20*time.Millisecond || peak >= 2048) {
		t.Error("want a p99 of at most 250 ms, a p99 of the call of at most 20 ms, and less than 2048 MiB")
	}
}

// nextTick waits for broadcast n and returns how long it took to arrive.
func nextTick(p *rawPeer, n int) (time.Duration, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(time.Minute))
	got, err := p.next()
	if err != nil {
		return 0, err
	}
	var args struct{ N, At int64 }
	text, _ := strings.CutPrefix(got, `2["tick",`)
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&args); err != nil || args.N != int64(n) {
		return 0, fmt.Errorf("got %.60q, want tick %d: %w", got, n, err)
	}
	return time.Duration(time.Now().UnixNano() - args.At), nil
}

type tickerStart struct{ Write time.Duration }

type tickerBroadcast struct {
	N     int
	Pause time.Duration
}

// tickerCalls are the durations of all calls of Emit. On a busy machine, CPU is what they cost.
type tickerCalls struct{ Wall, CPU []time.Duration }

type tickerStats struct {
	Sockets int
	Slow    int64
	Notices uint64 // of slow_client
	Reasons map[string]int
}

// tickerProgram is a server that broadcasts numbered events of 1 KiB.
func tickerProgram() commands {
	var (
		n       *soloNode
		mu      sync.Mutex // guards reasons
		reasons = map[string]int{}
	)
	return commands{
		"start": func(args json.RawMessage) (any, error) {
			var o tickerStart
			if err := json.Unmarshal(args, &o); err != nil {
				return nil, err
			}
			var err error
			if n, err = newSoloNode(socketbridge.Config{
				Engine: engineio.Config{Timeouts: engineio.Timeouts{Write: o.Write}},
				Trace: socketbridge.Trace{Disconnected: func(_ *socketbridge.Socket, r socketbridge.Reason) {
					mu.Lock()
					defer mu.Unlock()
					reasons[string(r)]++
				}},
			}); err != nil {
				return nil, err
			}
			n.serve()
			return n.addr, nil
		},
		"broadcast": func(args json.RawMessage) (any, error) {
			var o tickerBroadcast
			if err := json.Unmarshal(args, &o); err != nil {
				return nil, err
			}
			payload := strings.Repeat("x", 1024)
			pace := time.NewTicker(o.Pause)
			defer pace.Stop()
			runtime.LockOSThread() // so that the thread's CPU time is that of the calls
			defer runtime.UnlockOSThread()
			var calls tickerCalls
			for i := range o.N {
				cpu, begin := threadCPU(), time.Now()
				if err := n.io.Emit("tick", map[string]int64{"N": int64(i), "At": begin.UnixNano()}, payload); err != nil {
					return nil, err
				}
				calls.Wall = append(calls.Wall, time.Since(begin))
				calls.CPU = append(calls.CPU, threadCPU()-cpu)
				<-pace.C
			}
			return calls, nil
		},
		"stats": func(json.RawMessage) (any, error) {
			st := n.io.Stats()
			mu.Lock()
			defer mu.Unlock()
			return tickerStats{st.Sockets, st.Engine.SlowClosed, st.Engine.Notices["slow_client"], maps.Clone(reasons)}, nil
		},
	}
}

type stalledConnect struct {
	Addr string
	N    int
}

// stalledProgram opens sockets and never reads from them again. Their receive buffers and
// segments are those of a small device on a real network: between two sockets on loopback, the
// kernel alone would take more than all broadcasts.
func stalledProgram() commands {
	var conns []*rawPeer // open until the program ends
	return commands{"connect": func(args json.RawMessage) (any, error) {
		var o stalledConnect
		if err := json.Unmarshal(args, &o); err != nil {
			return nil, err
		}
		conns = make([]*rawPeer, o.N)
		errs := make(chan error, o.N)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() { // waited for below
				for i := int(next.Add(1)) - 1; i < o.N; i = int(next.Add(1)) - 1 {
					dialer := net.Dialer{
						LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/4000))},
						Control:   smallBuffers,
					}
					var err error
					if conns[i], err = dialPeer(dialer, o.Addr, ""); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		select {
		case err := <-errs:
			return nil, err
		default:
			return len(conns), nil
		}
	}}
}

// smallBuffers limits what the kernel takes for a connection whose client does not read.
func smallBuffers(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096); err == nil {
			err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400))
		}
	}); e != nil {
		return e
	}
	return err
}
