package socketbridge_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// The bytes that an idle connection may use, including its client's side in this process
// (300 bytes). An idle connection has no stack on Linux; what is measured are those of a few
// goroutines of the process.
const (
	maxIdleHeap  = 5_750
	maxIdleStack = 600
)

// TestMemoryOfIdleConnections measures the memory of an idle connection: its WebSocket,
// its Socket.IO state in one namespace, and its stored session. It measures the whole
// process, so it is not parallel.
func TestMemoryOfIdleConnections(t *testing.T) {
	const warm, conns = 50, 500
	s := newSite(t, options{bridge: socketbridge.Config{Mode: socketbridge.SessionPerConnection}})
	s.app.Post("/login", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("count", 0)
		return c.SendString("ok")
	})
	s.io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("r") })
	s.serve()

	clients := make([]net.Conn, 0, warm+conns)
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close()
		}
	})
	open := func(n int) (heap, stack int64) {
		cookies := make([]string, n)
		for i := range cookies {
			cookies[i] = loginCookie(t, s.url)
		}
		for _, cookie := range cookies {
			clients = append(clients, idleClient(t, s, cookie))
		}
		return memoryInUse()
	}
	heap0, stack0 := open(warm)
	heapProfile(t, ".0")
	heap1, stack1 := open(conns)
	heapProfile(t, ".1")
	heap, stack := (heap1-heap0)/conns, (stack1-stack0)/conns
	t.Logf("an idle connection uses %d bytes of heap and %d bytes of stack", heap, stack)
	if heap > maxIdleHeap || stack > maxIdleStack {
		t.Errorf("an idle connection uses %d bytes of heap and %d of stack, want at most %d and %d; set IDLE_PROFILE=file GODEBUG=memprofilerate=1 for a profile", heap, stack, maxIdleHeap, maxIdleStack)
	}
}

// memoryInUse returns the bytes of all reachable objects and of all stacks.
func memoryInUse() (heap, stack int64) {
	for range 3 { // the second one empties sync.Pools
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// heapProfile writes a heap profile if IDLE_PROFILE names a file. Comparing the second
// profile with the first (go tool pprof -diff_base) shows the memory of the connections.
func heapProfile(t *testing.T, ext string) {
	name := os.Getenv("IDLE_PROFILE")
	if name == "" {
		return
	}
	f, err := os.Create(name + ext)
	if err == nil {
		err = errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
	}
	if err != nil {
		t.Error(err)
	}
}

// loginCookie returns the cookie of a new session.
func loginCookie(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Post(url+"/login", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return cookie
}

// idleClient connects to the default namespace over a WebSocket and then does nothing.
func idleClient(t testing.TB, s *site, cookie string) net.Conn {
	t.Helper()
	host := strings.TrimPrefix(s.url, "http://")
	nc, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(nc, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	waitForText(t, nc, `"sid"`)
	if _, err := nc.Write([]byte{0x81, 0x82, 0, 0, 0, 0, '4', '0'}); err != nil {
		t.Fatal(err)
	}
	waitForText(t, nc, `40{"`)
	return nc
}

// waitForText reads until text has arrived.
func waitForText(t testing.TB, nc net.Conn, text string) {
	t.Helper()
	var got []byte
	for buf := make([]byte, 512); !bytes.Contains(got, []byte(text)); {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("got %q and error %v, want %s", got, err, text)
		}
		got = append(got, buf[:n]...)
	}
}
