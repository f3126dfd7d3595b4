package transporttest_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryPeer is the Peer of an in-memory Conn.
type memoryPeer struct{ c *transporttest.Conn }

func (p memoryPeer) Send(_ context.Context, m transport.Message) error {
	return p.c.Deliver(transport.Message{Binary: m.Binary, Data: append([]byte(nil), m.Data...)})
}
func (p memoryPeer) Next(ctx context.Context) (transport.Message, error) { return p.c.Next(ctx) }
func (p memoryPeer) Close() error {
	p.c.Leave(transport.TransportClose, nil)
	return nil
}

func dialMemory(_ testing.TB, a transport.Acceptor) (transporttest.Peer, error) {
	c, err := transporttest.Connect(a, nil)
	c.Limit(1000)
	return memoryPeer{c}, err
}

func TestConn(t *testing.T) { transporttest.TestConn(t, dialMemory) }

// If the Recorder missed violations of the contract, every transport would pass.
func TestRecorder_DetectsViolations(t *testing.T) {
	ctx := t.Context()
	connect := func() (*transporttest.Recorder, *transporttest.Accepted, *transporttest.Conn) {
		r := &transporttest.Recorder{}
		c, err := transporttest.Connect(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return r, a, c
	}
	t.Run("overlap", func(t *testing.T) {
		r, a, c := connect()
		entered, release := make(chan struct{}), make(chan struct{})
		r.OnReceive = func(*transporttest.Accepted, transport.Message) error {
			entered <- struct{}{}
			<-release
			return nil
		}
		go c.Text("1")
		<-entered
		go a.Receive(transport.Message{})
		<-entered
		close(release)
		c.Leave(transport.TransportClose, nil)
		if a.Err() == nil {
			t.Error("overlapping calls were not detected")
		}
	})
	t.Run("after the end", func(t *testing.T) {
		_, a, c := connect()
		c.Leave(transport.TransportClose, nil)
		a.Receive(transport.Message{})
		if a.Err() == nil {
			t.Error("a Receive after Closed was not detected")
		}
	})
	t.Run("two ends", func(t *testing.T) {
		_, a, c := connect()
		c.Leave(transport.TransportClose, nil)
		a.Closed(transport.TransportClose, nil)
		if a.Err() == nil {
			t.Error("a second call of Closed was not detected")
		}
	})
}

func TestConn_DataIsOverwrittenAfterReceive(t *testing.T) {
	var kept []byte
	r := &transporttest.Recorder{OnReceive: func(_ *transporttest.Accepted, m transport.Message) error {
		kept = m.Data
		return nil
	}}
	c, err := transporttest.Connect(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Text("secret"); err != nil {
		t.Fatal(err)
	}
	if string(kept) == "secret" {
		t.Error("the data of a message was not overwritten after Receive")
	}
	c.Leave(transport.TransportClose, nil)
	if err := c.Text("late"); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Text after the end returned %v, want ErrClosed", err)
	}
}

func TestConn_ClosedDuringAcceptCallsClosed(t *testing.T) {
	r := &transporttest.Recorder{OnAccept: func(c transport.Conn) error {
		c.Close(transport.ForcedClose)
		return nil
	}}
	if _, err := transporttest.Connect(r, nil); err != nil {
		t.Fatal(err)
	}
	reason, _, err := r.All()[0].End(t.Context())
	if reason != transport.ForcedClose || err != nil {
		t.Errorf("Closed was called with reason %q, error %v", reason, err)
	}
}
