package engineio

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// The tests that use pipeServer run in a bubble of testing/synctest, without Fiber and on
// connections of net.Pipe. Time passes there only while all goroutines wait. So the tests can
// check exactly when something happens, and that nothing else does.

// pipeServer is a server without Fiber.
type pipeServer struct {
	t        *testing.T
	server   *Server
	recorder *transporttest.Recorder
}

func newPipeServer(t *testing.T, recorder *transporttest.Recorder, cfg Config, hooks ...Hooks) *pipeServer {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return &pipeServer{t, New(recorder, cfg, hooks...), recorder}
}

// add creates a connection as a handshake does.
func (b *pipeServer) add(request snapshot, transportName string) *conn {
	b.t.Helper()
	if err := b.server.limiter.acquire(netip.Addr{}, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	c, err := b.server.addConn(request, netip.Addr{}, transportName)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// openPolling opens a connection on polling.
func (b *pipeServer) openPolling() (*conn, *transporttest.Accepted) {
	b.t.Helper()
	c := b.add(snapshot{}, Polling)
	c.receiverSem <- struct{}{}
	if err := c.accept(); err != nil {
		b.t.Fatal(err)
	}
	c.releaseReceiver()
	a, _ := b.recorder.Next(b.t.Context())
	return c, a
}

// pipeClient is the client's end of a WebSocket.
type pipeClient struct {
	nc     net.Conn
	frames chan string // frames from the server as "op:data"; closed at the end
	served chan struct{}
}

// serveHijacked serves nc as a connection that fasthttp closes. It returns after the end.
func (b *pipeServer) serveHijacked(nc net.Conn, serve func(*reader)) {
	b.server.addRunning()
	b.server.stats.webSockets.Add(1)
	r := newReader(b.server, nc, nil)
	r.hijacked = true
	serve(r)
}

// serve serves a connection over a pipe.
func (b *pipeServer) serve(handler func(*reader)) *pipeClient {
	client, server := net.Pipe()
	p := &pipeClient{client, make(chan string, 100), make(chan struct{})}
	go func() { // its end closes served
		b.serveHijacked(server, handler)
		close(p.served)
	}()
	go func() { // ends when the pipe is closed
		defer close(p.frames)
		r := bufio.NewReader(client)
		for {
			var head []byte
			for {
				c, err := r.ReadByte()
				if err != nil {
					return
				}
				head = append(head, c)
				if h, n, err := wsframe.ParseHeader(head); err != nil {
					return
				} else if n > 0 {
					data := make([]byte, h.Length)
					if _, err := io.ReadFull(r, data); err != nil {
						return
					}
					p.frames <- fmt.Sprintf("%d:%s", h.Op, data)
					break
				}
			}
		}
	}()
	return p
}

// openWebSocket opens a connection on a WebSocket.
func (b *pipeServer) openWebSocket() (*conn, *transporttest.Accepted, *pipeClient) {
	b.t.Helper()
	c := b.add(snapshot{}, WebSocket)
	p := b.serve(c.serveWebSocket)
	<-p.frames // the open packet
	a, _ := b.recorder.Next(b.t.Context())
	return c, a, p
}

// sendText sends a text frame.
func (p *pipeClient) sendText(packet string) {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Text, Masked: true, Length: uint64(len(packet))})
	_, _ = p.nc.Write(append(b, packet...))
}

// expectEnd waits for the end of the connection and checks its reason and its time.
func (b *pipeServer) expectEnd(a *transporttest.Accepted, begin time.Time, after time.Duration, want transport.Reason) {
	b.t.Helper()
	got, cause, err := a.End(b.t.Context())
	if err != nil || got != want {
		b.t.Errorf("it ended with %q (%v), %v; want %q", got, cause, err, want)
	}
	if took := time.Since(begin); took != after {
		b.t.Errorf("it ended after %v, want %v", took, after)
	}
}
