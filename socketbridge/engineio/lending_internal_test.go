package engineio

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// A connection that has ended lends nothing, and leaves no loan behind for the watch.
func TestLend_OfAnEndedConnection(t *testing.T) {
	p := newPipeServer(t, &transporttest.Recorder{}, Config{})
	c := p.add(snapshot{}, WebSocket)
	c.reader = new(reader)
	c.state.Store(closed)
	if loan := c.Lend(); loan != 0 || c.loan.Load()%2 != 0 {
		t.Errorf("the loan %d of an ended connection is open (%d), want none", loan, c.loan.Load())
	}
	for i := range p.server.lending.slots {
		if p.server.lending.slots[i].conn.Load() != nil {
			t.Errorf("slot %d is taken", i)
		}
	}
	c.reader = nil
	c.state.Store(open)
	c.terminate("", nil)
	<-c.Done()
}
