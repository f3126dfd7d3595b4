package socketbridge_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// sessionConn is a discardConn whose client has a session. It reports each message sent.
type sessionConn struct {
	discardConn
	handle *fibersession.Handle
	sent   chan struct{}
}

func (c sessionConn) Lifted() any { return socketbridge.Lifted(c.handle) }

func (c sessionConn) Send(transport.Flags, ...transport.Message) error {
	c.sent <- struct{}{}
	return nil
}

// BenchmarkEvent measures one event on an otherwise idle socket, without the transport:
// the session is loaded, a handler reads it, and the answer is sent.
func BenchmarkEvent(b *testing.B) {
	store := fibersession.New(fibersession.Config{Logger: silent})
	h := newStoredSession(b, store, map[string]any{"n": 1})
	io := newServer(b, socketbridge.Config{Sessions: store, Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
	io.On("e", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) })
	benchmarkEvents(b, io, h)
}

// benchmarkEvents measures the event "e", up to its answer, of a client with the session of h.
func benchmarkEvents(b *testing.B, io *socketbridge.Server, h *fibersession.Handle) {
	conn := sessionConn{handle: h, sent: make(chan struct{}, 1)}
	r, err := io.Accept(conn)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Closed(transport.TransportClose, nil)
	send := func(text []byte) {
		if err := r.Receive(transport.Message{Data: text}); err != nil {
			b.Fatal(err)
		}
		<-conn.sent
	}
	send([]byte("0"))
	b.ReportAllocs()
	for b.Loop() {
		send([]byte(`20["e"]`))
	}
}
