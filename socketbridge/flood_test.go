package socketbridge_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestFlood_LargestMessageIsLegal: a BytesPerSecond below MaxPayload still allows a burst
// of one largest message. It passes without a delay, the next one is delayed by the time
// in which the bucket refills, and neither of them is a flood.
func TestFlood_LargestMessageIsLegal(t *testing.T) {
	t.Parallel()
	const rate = 100 << 10
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{BytesPerSecond: rate}})
		maxPayload := io.Config().Engine.MaxPayload
		if maxPayload <= rate {
			t.Fatalf("MaxPayload is %d: the test shows nothing", maxPayload)
		}
		refill := time.Duration(float64(maxPayload) / rate * float64(time.Second))
		io.On("e", func(p *socketbridge.Packet) error { return p.Ack() })
		largest := `20["e","` + strings.Repeat("x", maxPayload-len(`20["e",""]`)) + `"]`

		c := join(t, io, "/")
		time.Sleep(time.Minute) // CONNECT has been counted too: the bucket is full again
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
