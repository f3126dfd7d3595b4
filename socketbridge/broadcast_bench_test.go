package socketbridge_test

import (
	"fmt"
	"io"
	"sync"
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
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server := newServer(b, socketbridge.Config{})
			connected := make(chan struct{}, n)
			server.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room"); connected <- struct{}{} })
			for range n {
				r, err := server.Accept(discardConn{})
				if err != nil {
					b.Fatal(err)
				}
				defer r.Closed(transport.TransportClose, nil)
				if err := r.Receive(transport.Message{Data: []byte("0")}); err != nil {
					b.Fatal(err)
				}
				<-connected
			}
			to := server.To("room")
			b.ReportAllocs()
			for b.Loop() {
				if err := to.Emit("message", "some text", 42); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBroadcastCaller measures how long Emit keeps its caller, with clients on WebSockets
// that read. The time in which they get the message does not count.
func BenchmarkBroadcastCaller(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSite(b, options{})
			s.io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room") })
			s.serve()
			var reads sync.WaitGroup
			defer reads.Wait()
			received := make(chan error, n)
			for range n {
				nc := idleClient(b, s, "")
				defer nc.Close()
				reads.Go(func() { // ends with nc
					frame := make([]byte, len("\x81\x1c42"+`["message","some text",42]`))
					for {
						_, err := io.ReadFull(nc, frame)
						received <- err
						if err != nil {
							return
						}
					}
				})
			}
			to := s.io.To("room")
			b.ReportAllocs()
			for b.Loop() {
				if err := to.Emit("message", "some text", 42); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for range n {
					if err := <-received; err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
