package socketbridge_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestFlood_LargestMessageIsLegal checks that a BytesPerSecond below MaxPayload still allows
// a burst of one message of MaxPayload. It is not delayed, the next one is delayed until the
// bucket has refilled, and neither is a flood.
func TestFlood_LargestMessageIsLegal(t *testing.T) {
	t.Parallel()
	const rate = 100 << 10
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{BytesPerSecond: rate}})
		maxPayload := io.Config().Engine.MaxPayload
		if maxPayload <= rate {
			t.Fatalf("got MaxPayload %d, want more than %d: the test shows nothing", maxPayload, rate)
		}
		refill := time.Duration(float64(maxPayload) / rate * float64(time.Second))
		io.On("e", func(p *socketbridge.Packet) error { return p.Ack() })
		largest := `20["e","` + strings.Repeat("x", maxPayload-len(`20["e",""]`)) + `"]`

		c := join(t, io, "/")
		time.Sleep(time.Minute) // refills the bucket, from which CONNECT was taken
		for _, tt := range []struct {
			name  string
			pause time.Duration // before the message
			want  time.Duration // the delay
		}{
			{"the first", 0, 0},
			{"one right after it", 0, refill},
			{"one after a pause", refill, 0},
			{"one after half a pause", refill / 2, refill / 2},
		} {
			time.Sleep(tt.pause)
			begin := time.Now()
			c.send(largest)
			if d := time.Since(begin); d < tt.want-time.Millisecond || d > tt.want+time.Millisecond {
				t.Errorf("%s was delayed by %v, want %v", tt.name, d, tt.want)
			}
			c.expect("30[]")
		}
		select {
		case <-c.conn.Done():
			t.Error("the connection was closed as a flood")
		default:
		}
	})
}

func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int32
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: 10}})
		io.On("e", func(*socketbridge.Packet) error { handled.Add(1); return nil })
		c, begin := join(t, io, "/"), time.Now()
		for c.conn.Text(`2["e"]`) == nil {
			continue
		}
		if reason := c.waitForClose(); reason != transport.ForcedClose {
			t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
		}
		if d := time.Since(begin); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("closed after %v, want 3 to 4 s", d)
		}
		synctest.Wait()
		if n := handled.Load(); n < 40 || n > 60 {
			t.Errorf("got %d handled events, want 40 to 60", n)
		}
	})
}
