package engineio_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

// Eight connections that send frames that are no messages, flat out, leave a healthy client
// alone. Each flooder connects again when it is closed. FLOOD_TIME is how long each kind of
// flood takes, such as 5s: `make flood`.
func TestR18_FramesThatAreNoMessagesUnderLoad(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("FLOOD_TIME"))
	if err != nil {
		t.Skip("FLOOD_TIME is not set: make flood runs this test, which measures under load")
	}
	if length > time.Minute {
		t.Fatal("FLOOD_TIME is a minute at most")
	}
	s := open(t, nil, engineio.Config{Limits: engineio.ConfigDefault.Limits}, siteOptions{acceptor: echoAcceptor{}})
	healthy := s.openWS()
	quiet := roundTrips(t, healthy, length)
	t.Logf("%-22s p50 %8v  p99 %8v", "no flood", quiet.p50, quiet.p99)
	for _, tt := range []struct{ name, first, frame string }{
		{"noops", "", clientFrame(true, wsframe.Text, "6")},
		{"pong packets", "", clientFrame(true, wsframe.Text, "3")},
		{"ping frames", "", clientFrame(true, wsframe.Ping, "")},
		{"pong frames", "", clientFrame(true, wsframe.Pong, "")},
		{"empty fragments", clientFrame(false, wsframe.Text, "4"), clientFrame(false, wsframe.Continuation, "")},
		{"after an error", clientFrame(true, wsframe.Text, "2"), clientFrame(true, wsframe.Text, "6")},
	} {
		var sent atomic.Int64
		stop := make(chan struct{})
		var flooders sync.WaitGroup
		for range 8 {
			flooders.Go(func() { flood(s.addr, tt.first, strings.Repeat(tt.frame, 8000), &sent, stop) })
		}
		during := roundTrips(t, healthy, length)
		close(stop)
		flooders.Wait()
		t.Logf("%-22s p50 %8v  p99 %8v  %6.2f MB/s taken from the flooders", tt.name, during.p50, during.p99,
			float64(sent.Load())/1e6/length.Seconds())
	}
}

// flood connects and sends b again and again, until stop is closed.
func flood(addr, first, b string, sent *atomic.Int64, stop chan struct{}) {
	for {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		over := make(chan struct{})
		var closer sync.WaitGroup
		closer.Go(func() {
			select {
			case <-stop:
			case <-over:
			}
			nc.Close()
		})
		closer.Go(func() { // takes what the server sends
			buf := make([]byte, 64<<10)
			for {
				if _, err := nc.Read(buf); err != nil {
					return
				}
			}
		})
		_, _ = fmt.Fprintf(nc, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", addr, first)
		for err == nil {
			var n int
			n, err = nc.Write([]byte(b))
			sent.Add(int64(n))
		}
		close(over)
		closer.Wait()
		select {
		case <-stop:
			return
		default:
		}
	}
}

type latency struct{ p50, p99 time.Duration }

// roundTrips measures one message after the other, 100 per second.
func roundTrips(t *testing.T, c *wsClient, length time.Duration) latency {
	_ = c.nc.SetDeadline(time.Now().Add(length + waitLimit))
	var all []time.Duration
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); {
		<-tick.C
		begin := time.Now()
		c.sendText("4x")
		if got := c.readText(); got != "4x" {
			if got == "2" {
				c.sendText("3")
				got = c.readText()
			}
			if got != "4x" {
				t.Fatalf("got %q", got)
			}
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return latency{all[len(all)/2].Round(time.Microsecond), all[len(all)*99/100].Round(time.Microsecond)}
}
