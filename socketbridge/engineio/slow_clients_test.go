package engineio_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// D14: a client that does not read is disconnected; the others get all messages.
func TestD14_ASlowClientDelaysNobody(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{Limits: engineio.Limits{MaxQueueBytes: 100_000, MaxBacklogBytes: 4_000_000}})
	s.openWS() // never reads
	slow := s.nextConn()
	c := s.openWS()
	healthy := s.nextConn()
	const n = 1000
	payload := strings.Repeat("x", 10_000)
	received := make(chan int)
	go func() { // received below
		got := 0
		for ; got < n; got++ {
			if m, err := c.Next(context.Background()); err != nil || string(m.Data) != fmt.Sprint(got)+payload {
				break
			}
		}
		received <- got
	}()
	cut := 0
	for i := range n {
		m := transport.Message{Data: []byte(fmt.Sprint(i) + payload)}
		if slow.Conn.Send(0, m) != nil {
			cut++
		}
		for errors.Is(healthy.Conn.Send(transport.Volatile, m), transport.ErrQueueFull) { // waits for the healthy client
			runtime.Gosched()
		}
	}
	if cut == 0 {
		t.Error("10 MB were queued for a client that does not read")
	}
	if got := <-received; got != n {
		t.Errorf("the healthy client got %d of %d", got, n)
	}
	s.waitForEnd(slow, transport.TransportError)
}

// D16: Send to a client that has left returns ErrClosed at once.
func TestD16_SendToTheDead(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.openWS()
	a := s.nextConn()
	c.nc.Close()
	s.waitForEnd(a, transport.TransportClose)
	for range 300 {
		if err := a.Conn.Send(0, transport.Message{Data: []byte("x")}); !errors.Is(err, transport.ErrClosed) {
			t.Fatalf("Send returned %v", err)
		}
	}
	a.Conn.Close(transport.ForcedClose) // has no effect
}
