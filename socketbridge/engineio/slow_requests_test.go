package engineio_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// Row 28: who sends a request bit by bit is cut off by the ReadTimeout of the app,
// which the engine asks for at start (TestWarnings). Connections that are in use are
// not: a WebSocket outlives that timeout, and so does one whose polls wait.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{ReadTimeout: 2 * time.Second, IdleTimeout: time.Minute}})
	ws, poll := s.bystander(), s.openPoll()
	starts := []string{
		"",
		"GET /socket.io/?EIO=4&tran",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX-",
		fmt.Sprintf("POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n4", poll.query(), s.addr),
	}
	var slow sync.WaitGroup
	for i := range 20 {
		nc := s.dial()
		slow.Go(func() { // waited for below
			_, _ = io.WriteString(nc, starts[i%len(starts)])
			gone := make(chan struct{})
			go func() { // waited for right below
				defer close(gone)
				_, _ = io.Copy(io.Discard, nc) // until the server hangs up
			}()
			drip := time.NewTicker(20 * time.Millisecond)
			defer drip.Stop()
			for {
				select {
				case <-gone:
					if isTimeout(nc) {
						t.Errorf("a client that began with %q is still connected", starts[i%len(starts)])
					}
					return
				case <-drip.C:
					_, _ = io.WriteString(nc, "x")
				}
			}
		})
	}
	slow.Wait()
	ws()
	if a := poll.post("4still here"); a.status != 200 {
		t.Errorf("the connection on polling has ended: %d %s", a.status, a.body)
	}
}

// isTimeout says whether reading ended at this test's own deadline.
func isTimeout(nc net.Conn) bool {
	_, err := nc.Read(make([]byte, 1))
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
