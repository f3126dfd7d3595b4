package engineio_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// echoAcceptor echoes every message and records nothing.
type echoAcceptor struct{}

func (echoAcceptor) Accept(c transport.Conn) (transport.Receiver, error) { return echo{c}, nil }

// countAll has limits that no benchmark reaches, so that all is counted.
var countAll = engineio.Config{Limits: engineio.Limits{PacketsPerSecond: 1 << 30, BytesPerSecond: 1 << 40}}

// BenchmarkEcho measures the round trip of a message on loopback, with the given number of
// messages in flight.
func BenchmarkEcho(b *testing.B) {
	for _, window := range []int{1, 16} {
		b.Run(fmt.Sprintf("websocket/window=%d", window), func(b *testing.B) {
			s := open(b, nil, countAll, siteOptions{acceptor: echoAcceptor{}})
			c := s.openWS()
			packet := `42["echo",1]`
			send := strings.Repeat(clientFrame(true, wsframe.Text, packet), window)
			receive := make([]byte, window*(2+len(packet)))
			b.ReportAllocs()
			for n := 0; n < b.N; n += window {
				c.write(send)
				if _, err := io.ReadFull(c.r, receive); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("polling", func(b *testing.B) {
		s := open(b, nil, countAll, siteOptions{acceptor: echoAcceptor{}})
		p := s.openPoll()
		b.ReportAllocs()
		for range b.N {
			p.post(`42["echo",1]`)
			if a := p.get(); a.status != 200 {
				b.Fatal(a)
			}
		}
	})
}

// BenchmarkBroadcast sends one message to many WebSockets.
func BenchmarkBroadcast(b *testing.B) {
	const n = 100
	recorder := &transporttest.Recorder{}
	s := open(b, recorder, engineio.Config{})
	var clients []*wsClient
	for range n {
		clients = append(clients, s.openWS())
	}
	m := transport.Message{Data: []byte(strings.Repeat("x", 100))}
	receive := make([]byte, 2+1+100)
	b.ReportAllocs()
	for b.Loop() {
		for _, a := range recorder.All() {
			if err := a.Conn.Send(0, m); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range clients {
			if _, err := io.ReadFull(c.r, receive); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkIdle reports the process's memory per idle WebSocket. It includes the client's
// end, so compare results rather than reading them as sizes.
func BenchmarkIdle(b *testing.B) {
	s := open(b, nil, engineio.Config{}, siteOptions{acceptor: echoAcceptor{}})
	heap := func() (bytes uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := heap()
	for range b.N {
		s.openWS()
	}
	b.ReportMetric(float64(heap()-before)/float64(b.N), "B/conn")
}

// BenchmarkPost measures a polling post on one connection.
func BenchmarkPost(b *testing.B) {
	for _, size := range []int{20, 20_000, 900_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			s := open(b, nil, engineio.Config{}, siteOptions{acceptor: discardAcceptor{}})
			p := s.openPoll()
			body := "4" + strings.Repeat("x", size-1)
			request := []byte(fmt.Sprintf("POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", p.query(), s.addr, size, body))
			nc := s.dial()
			response := make([]byte, 4096)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := nc.Write(request); err != nil {
					b.Fatal(err)
				}
				if n, err := nc.Read(response); err != nil || !strings.HasPrefix(string(response[:n]), "HTTP/1.1 200") {
					b.Fatalf("%s, %v", response[:n], err)
				}
			}
		})
	}
}

// BenchmarkPoll measures the answer to a poll.
func BenchmarkPoll(b *testing.B) {
	for _, size := range []int{20, 20_000, 200_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			recorder := &transporttest.Recorder{}
			s := open(b, recorder, engineio.Config{})
			p := s.openPoll()
			a := s.nextConn()
			request := []byte(fmt.Sprintf("GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\n\r\n", p.query(), s.addr))
			m := transport.Message{Data: []byte(strings.Repeat("x", size))}
			nc := s.dial()
			response := make([]byte, 64<<10)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := a.Conn.Send(0, m); err != nil {
					b.Fatal(err)
				}
				if _, err := nc.Write(request); err != nil {
					b.Fatal(err)
				}
				for got := 0; got < size; {
					n, err := nc.Read(response)
					if got += n; err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// discardAcceptor ignores every message.
type discardAcceptor struct{}

func (discardAcceptor) Accept(transport.Conn) (transport.Receiver, error) { return discard{}, nil }

type discard struct{}

func (discard) Receive(transport.Message) error { return nil }

func (discard) Closed(transport.Reason, error) {}
