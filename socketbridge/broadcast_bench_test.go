package socketbridge_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// discardConn is a connection that discards everything sent to it.
type discardConn struct{ transport.Conn }

func (discardConn) ID() string                                       { return "sink" }
func (discardConn) Transport() string                                { return "websocket" }
func (discardConn) Handshake() *transport.Handshake                  { return &transport.Handshake{} }
func (discardConn) Lifted() any                                      { return nil }
func (discardConn) Send(transport.Flags, ...transport.Message) error { return nil }
func (discardConn) Drained() (<-chan struct{}, error)                { return nil, nil }
func (discardConn) Close(transport.Reason)                           {}

// BenchmarkBroadcast measures a broadcast to many sockets without the transport.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			io := newServer(b, socketbridge.Config{})
			connected := make(chan struct{}, n)
			io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room"); connected <- struct{}{} })
			for range n {
				r, err := io.Accept(discardConn{})
				if err != nil {
					b.Fatal(err)
				}
				defer r.Closed(transport.TransportClose, nil)
				if err := r.Receive(transport.Message{Data: []byte("0")}); err != nil {
					b.Fatal(err)
				}
				<-connected
			}
			to := io.To("room")
			b.ReportAllocs()
			for b.Loop() {
				if err := to.Emit("message", "some text", 42); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
