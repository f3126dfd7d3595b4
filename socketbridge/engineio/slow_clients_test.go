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

// D14: one client that does not read is cut off; the others get everything.
func TestD14_ASlowClientDelaysNobody(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{Limits: engineio.Limits{MaxQueueBytes: 100_000}})
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
		for errors.Is(healthy.Conn.Send(transport.Volatile, m), transport.ErrQueueFull) { // at its pace
			runtime.Gosched()
		}
	}
	if cut == 0 {
		t.Error("a client that does not read has taken ten megabytes")
	}
	if got := <-received; got != n {
		t.Errorf("the healthy client got %d of %d", got, n)
	}
	s.waitForEnd(slow, transport.TransportError)
}

// D16: sending to a client that has gone returns at once, each time.
func TestD16_SendToTheDead(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.openWS()
	a := s.nextConn()
	c.nc.Close()
	s.waitForEnd(a, transport.TransportClose)
	for range 300 {
		if err := a.Conn.Send(0, transport.Message{Data: []byte("x")}); !errors.Is(err, transport.ErrClosed) {
			t.Fatalf("it returned %v", err)
		}
	}
	a.Conn.Close(transport.ForcedClose) // does nothing
}
