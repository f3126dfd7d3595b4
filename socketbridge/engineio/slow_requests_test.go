package engineio_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// Row 28: the app's ReadTimeout ends requests that a client sends very slowly. The engine warns
// if it is not set (TestWarnings). It does not end an open WebSocket or a connection on polling.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: fiber.Config{ReadTimeout: 2 * time.Second, IdleTimeout: time.Minute}})
	ws, poll := s.bystander(), s.openPoll()
	starts := []string{
		"",
		"GET /socket.io/?EIO=4&tran",
		"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX-",
		fmt.Sprintf("POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: 10000\r\n\r\n4", poll.query(), s.addr),
	}
	var slow sync.WaitGroup
	for i := range 20 {
		nc := s.dial()
		slow.Go(func() { // waited for below
			_, _ = io.WriteString(nc, starts[i%len(starts)])
			closed := make(chan struct{})
			go func() { // waited for in the loop below
				defer close(closed)
				_, _ = io.Copy(io.Discard, nc) // until the server closes
			}()
			drip := time.NewTicker(20 * time.Millisecond)
			defer drip.Stop()
			for {
				select {
				case <-closed:
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

// isTimeout reports whether reading ended at the test's own deadline.
func isTimeout(nc net.Conn) bool {
	_, err := nc.Read(make([]byte, 1))
	var e net.Error
	ok := errors.As(err, &e)
	return ok && e.Timeout()
}
