package engineio_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// waiting is a receiver whose Receive waits for the end of the connection.
type waiting struct {
	conn                        chan transport.Conn
	received, interrupted, over chan struct{}
}

func (w *waiting) Accept(c transport.Conn) (transport.Receiver, error) { w.conn <- c; return w, nil }

func (w *waiting) Receive(transport.Message) error {
	close(w.received)
	<-w.interrupted
	return nil
}

func (w *waiting) Interrupt() { close(w.interrupted) }

func (w *waiting) Closed(transport.Reason, error) { close(w.over) }

// A receiver that waits for the end of its connection is told of it, although Closed waits
// for the receiver.
func TestS11_InterruptEndsAReceive(t *testing.T) {
	t.Parallel()
	w := &waiting{make(chan transport.Conn, 1), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	s := open(t, nil, engineio.Config{Timeouts: engineio.Timeouts{Close: time.Millisecond}}, siteOptions{acceptor: w})
	ws, _ := s.dialWS("EIO=4&transport=websocket")
	ws.sendText("4hello")
	<-w.received
	(<-w.conn).Close(transport.ForcedClose)
	select {
	case <-w.over:
	case <-time.After(20 * time.Second):
		close(w.interrupted)
		t.Fatal("the connection has not ended")
	}
}
