package reliability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hostileLoad is what the hostile program does until it is told to stop.
type hostileLoad struct {
	Addr         string
	Drips        int // connections on which a byte arrives a second
	AbortsPerSec int // polls that are aborted
	JunkPerSec   int // bytes
}

// hostileCounts is what the hostile program has done.
type hostileCounts struct {
	Drips     int64 // connections that dripped, now
	Dripped   int64 // connections that dripped, in total
	Aborted   int64
	Junk      int64 // bytes that were written
	JunkConns int64
}

// R18: the quickstart, as it is, under slow requests, aborted polls and junk. Its clients keep
// their response times, and its memory stays bounded. The response times are compared with those
// before, and with those of another quickstart at the same time, because the attackers, the
// clients and whatever else runs on the machine slow both down. The attackers are on loopback, which is
// exempt from limits per address, so they can do more here than elsewhere. They run with the
// lowest priority, since elsewhere they have machines of their own.
func TestR18_HostileLoad(t *testing.T) {
	if !full {
		t.Skip("the short forms are the tests of each guard in package engineio (TestSlowRequestsAreCutOff, TestBodies_…, TestD20_…, TestTime_R18_…); make storm runs this")
	}
	calm, storm := 20*time.Second, 60*time.Second
	program := buildQuickstart(t)
	server, addr := startQuickstart(t, program)
	_, controlAddr := startQuickstart(t, program) // is not attacked
	attackers := startProgram(t, "hostile")
	clients, controls := newCountClients(t, addr), newCountClients(t, controlAddr)
	_ = countDuring(t, clients, 3*time.Second) // warms up
	before := countDuring(t, clients, calm)
	base := residentMiB(t, server.Process.Pid, "VmRSS")
	cpu := processCPU(t, server.Process.Pid)

	begin := time.Now()
	attackers.do("start", hostileLoad{addr, 2000, 1000, 100 << 20}, nil)
	_ = countDuring(t, clients, 5*time.Second) // until all attackers are connected
	var during, control []time.Duration
	var wg sync.WaitGroup
	wg.Go(func() { control = countDuring(t, controls, storm) }) // waited for below
	during = countDuring(t, clients, storm)
	wg.Wait()
	var counts hostileCounts
	attackers.do("stop", nil, &counts)
	seconds := int64(time.Since(begin) / time.Second)

	peak := residentMiB(t, server.Process.Pid, "VmHWM")
	used := processCPU(t, server.Process.Pid) - cpu
	p99, controlP99 := percentile(during, .99), percentile(control, .99)
	report(t, "R18", "%d drips (%d in total), %d aborted polls/s, %d MiB/s of junk on %d connections: p50 %v (control %v, before %v), p99 %v (control %v, before %v); RSS %d MiB before, %d MiB peak; the server used %.1f cores; load %s",
		counts.Drips, counts.Dripped, counts.Aborted/seconds, counts.Junk>>20/seconds, counts.JunkConns,
		percentile(during, .5), percentile(control, .5), percentile(before, .5), p99, controlP99, percentile(before, .99),
		base, peak, used.Seconds()/float64(seconds), load(t))
	if limit := 2 * max(controlP99, percentile(before, .99)); p99 > limit || peak >= 512 {
		t.Errorf("want a p99 of at most %v, and less than 512 MiB", limit)
	}
}

// buildQuickstart builds examples/quickstart.
func buildQuickstart(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/quickstart").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// startQuickstart starts examples/quickstart on a free port, with sessions in memory.
func startQuickstart(t *testing.T, program string) (cmd *exec.Cmd, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	_ = ln.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program)
	cmd.Env = append(os.Environ(), "ADDR="+addr, "STORAGE=memory://")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownSession
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("quickstart: %v", err)
		}
		_ = log.Close()
		text, _ := os.ReadFile(log.Name())
		t.Logf("quickstart wrote %d lines to its log", strings.Count(string(text), "\n"))
	})
	mustWaitFor(t, 20*time.Second, "quickstart answers", func() string {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return err.Error()
		}
		_ = nc.Close()
		return ""
	})
	return cmd, addr
}

// processCPU returns the CPU time of a process so far.
func processCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // in USER_HZ, 100 a second
}

// countClient is a client of the quickstart.
type countClient struct {
	*rawPeer
	sent int
}

func newCountClients(t *testing.T, addr string) []*countClient {
	t.Helper()
	all := make([]*countClient, 50)
	mustEach(t, len(all), func(i int) (err error) {
		all[i], err = newCountClient(addr)
		return err
	})
	return all
}

func newCountClient(addr string) (*countClient, error) {
	res, err := http.Post("http://"+addr+"/count", "", nil)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	p, err := dialPeer(net.Dialer{}, addr, cookie)
	return &countClient{rawPeer: p}, err
}

// count sends the event "count" and returns how long its answer took.
func (c *countClient) count() (time.Duration, error) {
	begin := time.Now()
	_ = c.nc.SetReadDeadline(begin.Add(30 * time.Second))
	if err := c.send(fmt.Sprintf(`2%d["count"]`, c.sent)); err != nil {
		return 0, err
	}
	answer := fmt.Sprintf("3%d[", c.sent)
	c.sent++
	for {
		got, err := c.next()
		if err != nil || strings.HasPrefix(got, answer) {
			return time.Since(begin), err
		}
	}
}

// countDuring lets each client count five times a second, and returns all response times.
func countDuring(t *testing.T, all []*countClient, d time.Duration) (times []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex // guards times
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { // waited for below
			time.Sleep(time.Duration(i) * 200 * time.Millisecond / time.Duration(len(all))) // not all at once
			for ctx.Err() == nil {
				took, err := c.count()
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
				time.Sleep(200 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return times
}

// hostileProgram attacks a server.
func hostileProgram() commands {
	var h *hostile
	return commands{
		"start": func(args json.RawMessage) (any, error) {
			var o hostileLoad
			if err := json.Unmarshal(args, &o); err != nil {
				return nil, err
			}
			h = &hostile{hostileLoad: o}
			h.start()
			return nil, syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19)
		},
		"stop": func(json.RawMessage) (any, error) { return h.stop(), nil },
	}
}

type hostile struct {
	hostileLoad
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	drips, dripped, aborted, junk, junkConns atomic.Int64
}

const (
	abortWorkers = 100
	junkWorkers  = 400
	junkChunk    = 64 << 10
)

func (h *hostile) start() {
	h.ctx, h.cancel = context.WithCancel(context.Background())
	for i := range h.Drips {
		h.wg.Go(func() { h.repeat(time.Second, func() { h.drip(i) }) }) // stop waits for it
	}
	for i := range abortWorkers {
		h.wg.Go(func() { h.repeat(2*abortWorkers*time.Second/time.Duration(h.AbortsPerSec), func() { h.abortTwo(i) }) }) // stop waits for it
	}
	perTick := h.JunkPerSec / junkChunk / 100
	budget := make(chan struct{}, 100*perTick) // what was not sent may follow within a second
	h.wg.Go(func() {                           // stop waits for it
		pace := time.NewTicker(10 * time.Millisecond)
		defer pace.Stop()
		for h.ctx.Err() == nil {
			<-pace.C
			for range perTick {
				select {
				case budget <- struct{}{}:
				default: // the server takes no more
				}
			}
		}
	})
	for i := range junkWorkers {
		h.wg.Go(func() { h.repeat(0, func() { h.sendJunk(i, budget) }) }) // stop waits for it
	}
}

func (h *hostile) stop() hostileCounts {
	c := hostileCounts{h.drips.Load(), h.dripped.Load(), h.aborted.Load(), h.junk.Load(), h.junkConns.Load()}
	h.cancel()
	h.wg.Wait()
	return c
}

// repeat calls fn at most once in each period until the end.
func (h *hostile) repeat(period time.Duration, fn func()) {
	time.Sleep(time.Duration(rand.Int64N(int64(period) + 1))) // not all at once
	for h.ctx.Err() == nil {
		next := time.After(period)
		fn()
		select {
		case <-next:
		case <-h.ctx.Done():
		}
	}
}

// dial connects from one of several addresses. The connection ends at the end of the attack.
func (h *hostile) dial(i int) (nc net.Conn, end func(), err error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%16))}, Timeout: 10 * time.Second}
	if nc, err = dialer.DialContext(h.ctx, "tcp", h.Addr); err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(h.ctx, func() { _ = nc.Close() })
	return nc, func() { stop(); _ = nc.Close() }, nil
}

// drip begins something, and continues it by one byte a second until the server ends it.
func (h *hostile) drip(i int) {
	nc, end, err := h.dial(i)
	if err != nil {
		return
	}
	defer end()
	post := func(path string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: " + h.Addr + "\r\nContent-Type: text/plain\r\nContent-Length: 900000\r\n\r\n4"
	}
	var begin string
	switch i % 6 {
	case 0:
		begin = "GET /socket.io/?EIO=4&tran"
	case 1:
		begin = "GET / HTTP/1.1\r\nHost: " + h.Addr + "\r\nX-"
	case 2:
		begin = post("/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA")
	case 3:
		begin = post("/count")
	case 4:
		sid, err := h.openPoll(nc)
		if err != nil {
			return
		}
		begin = post("/socket.io/?EIO=4&transport=polling&sid=" + sid)
	case 5:
		if err := h.openWebSocket(nc); err != nil {
			return
		}
		begin = "\x81\xff\x00\x00\x00\x00\x00\x0d\xbb\xa0\x00\x00\x00\x004" // a frame of 900,000 bytes
	}
	if _, err := io.WriteString(nc, begin); err != nil {
		return
	}
	h.dripped.Add(1)
	h.drips.Add(1)
	defer h.drips.Add(-1)
	closed := make(chan struct{})
	go func() { // ends with the connection, at the return at the latest
		defer close(closed)
		_, _ = io.Copy(io.Discard, nc)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
			if _, err := io.WriteString(nc, "x"); err != nil {
				return
			}
		}
	}
}

// openPoll opens a connection on long-polling and returns its ID.
func (h *hostile) openPoll(nc net.Conn) (sid string, err error) {
	answer, err := h.request(nc, "")
	_, rest, _ := strings.Cut(answer, `"sid":"`)
	if sid, _, _ = strings.Cut(rest, `"`); sid == "" && err == nil {
		err = fmt.Errorf("the handshake was answered with %q", answer)
	}
	return sid, err
}

// request sends a request with additional headers, and returns the first bytes of the answer.
func (h *hostile) request(nc net.Conn, headers string) (string, error) {
	transport := "polling"
	if headers != "" {
		transport = "websocket"
	}
	_, err := io.WriteString(nc, "GET /socket.io/?EIO=4&transport="+transport+" HTTP/1.1\r\nHost: "+h.Addr+"\r\n"+headers+"\r\n")
	if err != nil {
		return "", err
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 2048)
	n, err := nc.Read(b)
	_ = nc.SetReadDeadline(time.Time{})
	return string(b[:n]), err
}

// openWebSocket opens a WebSocket and joins the default namespace.
func (h *hostile) openWebSocket(nc net.Conn) error {
	answer, err := h.request(nc, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	if err == nil && !strings.HasPrefix(answer, "HTTP/1.1 101") {
		err = fmt.Errorf("the handshake was answered with %q", answer)
	}
	if err == nil {
		_, err = nc.Write(appendFrame(nil, "40"))
	}
	return err
}

// abortTwo opens a connection on long-polling, and aborts two polls of it. The second one ends
// it, because the first one still waits.
func (h *hostile) abortTwo(i int) {
	nc, end, err := h.dial(i)
	if err != nil {
		return
	}
	sid, err := h.openPoll(nc)
	end()
	if err != nil {
		return
	}
	for range 2 {
		if nc, end, err = h.dial(i); err != nil {
			return
		}
		_, _ = io.WriteString(nc, "GET /socket.io/?EIO=4&transport=polling&sid="+sid+" HTTP/1.1\r\nHost: "+h.Addr+"\r\n\r\n")
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		_ = nc.(*net.TCPConn).SetLinger(0) // a reset
		end()
		h.aborted.Add(1)
	}
}

// sendJunk opens a connection and writes to it until the server ends it.
func (h *hostile) sendJunk(i int, budget chan struct{}) {
	nc, end, err := h.dial(i)
	if err != nil {
		return
	}
	defer end()
	h.junkConns.Add(1)
	chunk := make([]byte, junkChunk)
	switch i % 4 {
	case 0: // bytes that are no HTTP
		for k := range chunk {
			chunk[k] = byte(rand.Uint32())
		}
	case 1: // a body for a connection that does not exist
		_, err = io.WriteString(nc, "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: "+h.Addr+"\r\nContent-Length: 1000000000\r\n\r\n")
	case 2: // pongs, which are no messages
		err = h.openWebSocket(nc)
		for k := 0; k+7 <= len(chunk); k += 7 {
			copy(chunk[k:], appendFrame(nil, "3"))
		}
		chunk = chunk[:len(chunk)/7*7]
	case 3: // small events
		err = h.openWebSocket(nc)
		event := appendFrame(nil, `42["none"]`)
		chunk = []byte(strings.Repeat(string(event), junkChunk/len(event)))
	}
	go func() { _, _ = io.Copy(io.Discard, nc) }() // ends with the connection, at the return at the latest
	for err == nil {
		select {
		case <-budget:
		case <-h.ctx.Done():
			return
		}
		var n int
		n, err = nc.Write(chunk)
		h.junk.Add(int64(n))
		if n == 0 { // the server had closed: another connection sends it
			select {
			case budget <- struct{}{}:
			default:
			}
		}
	}
}
