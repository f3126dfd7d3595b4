package socketbridge_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS11_HeapOfWaitingEvents sends events of nearly 1 MB to a handler that hangs, over three
// connections, until no more is read. It measures the whole process, so it is not parallel.
func TestS11_HeapOfWaitingEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
		io.On("slow", func(*socketbridge.Packet) error { <-hold; return nil })
		large := `2["slow","` + strings.Repeat("a", 990_000) + `"]`
		peers := []*peer{join(t, io, "/"), join(t, io, "/"), join(t, io, "/")}
		before, _ := memoryInUse()
		for _, c := range peers {
			go func() { // ends with the connection
				for range 100 {
					if c.conn.Text(large) != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
		after, _ := memoryInUse()
		t.Logf("%d MiB", (after-before)>>20)
		close(hold)
		for _, c := range peers {
			c.leave()
		}
	})
}
