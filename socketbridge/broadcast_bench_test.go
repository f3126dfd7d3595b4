package socketbridge_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// sink is a connection that takes everything and keeps nothing.
type sink struct{ transport.Conn }

func (sink) ID() string                                       { return "sink" }
func (sink) Transport() string                                { return "websocket" }
func (sink) Handshake() *transport.Handshake                  { return &transport.Handshake{} }
func (sink) Lifted() any                                      { return nil }
func (sink) Send(transport.Flags, ...transport.Message) error { return nil }
func (sink) Close(transport.Reason)                           {}

// BenchmarkBroadcast is what an event to many costs before the transport.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			io := newServer(b, socketbridge.Config{})
			connected := make(chan struct{}, n)
			io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room"); connected <- struct{}{} })
			for range n {
				r, err := io.Accept(sink{})
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
				if err := to.Emit("news", "some text", 42); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
