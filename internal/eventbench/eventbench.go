// Package eventbench measures one event of a socket, up to its answer, without the transport. The
// benchmarks of several packages use it, so that their numbers can be compared.
package eventbench

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// Same returns packets for Run that are all the same: a text and its attachments.
func Same(text string, attachments ...[]byte) func() []transport.Message {
	packet := []transport.Message{{Data: []byte(text)}}
	for _, a := range attachments {
		packet = append(packet, transport.Message{Binary: true, Data: a})
	}
	return func() []transport.Message { return packet }
}

// Run connects a client, and measures packets that are answered: next is called for each of them,
// its messages are received one after the other, and Run waits for the answer. lifted is the
// session of the handshake, nil without one. The server must have no limits of rate.
func Run(b *testing.B, io transport.Acceptor, lifted any, next func() []transport.Message) {
	b.Helper()
	c := conn{transporttest.NewConn(nil), lifted, make(chan struct{}, 1)}
	r, err := io.Accept(c)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Closed(transport.TransportClose, nil)
	ask := func(packet []transport.Message) {
		for _, m := range packet {
			if err := r.Receive(m); err != nil {
				b.Fatal(err)
			}
		}
		<-c.answered
	}
	ask(Same("0")())
	b.ReportAllocs()
	for b.Loop() {
		ask(next())
	}
}

// conn signals each packet that is sent.
type conn struct {
	*transporttest.Conn
	lifted   any
	answered chan struct{}
}

func (c conn) Lifted() any { return c.lifted }

func (c conn) Send(transport.Flags, ...transport.Message) error {
	c.answered <- struct{}{}
	return nil
}
