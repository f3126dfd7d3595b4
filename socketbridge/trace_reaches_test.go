package socketbridge_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestN8_EmissionReaches: an emission knows which sockets it was for, by rooms, exceptions and
// its sender.
func TestN8_EmissionReaches(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	joined := make(chan *socketbridge.Socket, 2)
	io.OnConnection(func(s *socketbridge.Socket) { joined <- s })
	var sockets []*socketbridge.Socket
	for range 2 {
		r, err := io.Accept(discardConn{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Closed(transport.TransportClose, nil) })
		if err := r.Receive(transport.Message{Data: []byte("0")}); err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, <-joined)
	}
	a, b := sockets[0], sockets[1]
	if err := a.Join("r"); err != nil {
		t.Fatal(err)
	}
	var got [2]bool
	t.Cleanup(io.Observe(socketbridge.Trace{Emitted: func(e *socketbridge.Emission) { got = [2]bool{e.Reaches(a), e.Reaches(b)} }}))
	for name, tt := range map[string]struct {
		emit func() error
		want [2]bool
	}{
		"to all":            {func() error { return io.Emit("e") }, [2]bool{true, true}},
		"to a room":         {func() error { return io.To("r").Emit("e") }, [2]bool{true, false}},
		"except a room":     {func() error { return io.Except("r").Emit("e") }, [2]bool{false, true}},
		"by a socket":       {func() error { return a.Broadcast().Emit("e") }, [2]bool{false, true}},
		"to a socket":       {func() error { return b.Emit("e") }, [2]bool{false, true}},
		"to a socket's ID":  {func() error { return io.To(b.ID()).Emit("e") }, [2]bool{false, true}},
		"another namespace": {func() error { return io.Of("/other").Broadcast().Emit("e") }, [2]bool{false, false}},
	} {
		got = [2]bool{}
		if err := tt.emit(); err != nil || got != tt.want {
			t.Errorf("%s: reaches %v (%v), want %v", name, got, err, tt.want)
		}
	}
}
