//go:build linux

package engineio

import (
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// newIdleConn returns a connection whose WebSocket has no reader yet, and its client.
func newIdleConn(t *testing.T) (*Server, *conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := accepted.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close()
	t.Cleanup(func() { _, _ = client.Close(), f.Close() })
	p := newPipeServer(t, &transporttest.Recorder{}, Config{})
	c := p.add(snapshot{}, WebSocket)
	c.reader = newReader(p.server, ownTCP{f}, nil)
	c.reader.conn = c
	t.Cleanup(func() {
		p.server.idle.unregister(c.reader)
		c.terminate(transport.ForcedClose, nil)
		p.server.idle.runs.Wait()
	})
	return p.server, c, client
}

// If the connection has ended already, nothing else would start a reader.
func TestIdle_WaitOfAnEndedConnection(t *testing.T) {
	s, c, _ := newIdleConn(t)
	c.state.Store(closed)
	defer c.state.Store(open) // so that the cleanup ends it
	if s.idle.wait(c) || c.idle.Load() {
		t.Error("a connection that has ended waits for its client")
	}
}

// The rest of a message has a deadline, which needs a reader that waits, also after a pong within
// the message.
func TestIdle_NotWithinAMessage(t *testing.T) {
	half := wsframe.AppendHeader(nil, wsframe.Header{Op: wsframe.Text, Masked: true, Length: 1})
	pong := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Pong, Masked: true})
	rest := wsframe.AppendHeader(nil, wsframe.Header{Fin: true, Op: wsframe.Continuation, Masked: true})
	p := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: -1, BytesPerSecond: -1}})
	c := p.add(snapshot{}, WebSocket)
	defer c.terminate(transport.ForcedClose, nil)
	r := newReader(p.server, nil, slices.Concat(half, []byte("4"), pong))
	r.conn = c
	if m, err := r.next(); err != nil || m.Op != wsframe.Pong {
		t.Fatalf("got %+v and %v, want the pong", m, err)
	}
	if !r.empty() || r.betweenMessages() {
		t.Errorf("all is read: %v, between messages: %v; want true, false", r.empty(), r.betweenMessages())
	}
	r.buf, r.from, r.to = rest, 0, len(rest)
	if m, err := r.next(); err != nil || m.Op != wsframe.Text {
		t.Fatalf("got %+v and %v, want the message", m, err)
	}
	if !r.betweenMessages() {
		t.Error("not between messages after the end of one")
	}
}

// If the descriptor cannot be waited for, its reader goes on.
func TestIdle_WaitFails(t *testing.T) {
	t.Run("no descriptor", func(t *testing.T) {
		s, c, _ := newIdleConn(t)
		_ = c.reader.nc.Close()
		if s.idle.wait(c) || c.idle.Load() || s.idle.registered != 0 {
			t.Error("a closed network connection waits for its client")
		}
	})
	t.Run("epoll refuses it", func(t *testing.T) {
		s, c, _ := newIdleConn(t)
		f, err := os.CreateTemp(t.TempDir(), "") // epoll does not take files
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		raw, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		c.reader.raw.conn = raw
		if s.idle.wait(c) || c.idle.Load() {
			t.Error("a file waits for its client")
		}
	})
}

// The goroutine and the epoll instance live as long as a WebSocket is registered.
func TestIdle_EndsWithTheLastWebSocket(t *testing.T) {
	s, c, _ := newIdleConn(t)
	if !s.idle.wait(c) {
		t.Fatal("the connection does not wait for its client")
	}
	epoll := s.idle.epoll
	if !c.idle.CompareAndSwap(true, false) { // no reader: the connection has no WebSocket
		t.Fatal("the connection is not idle")
	}
	s.idle.unregister(c.reader)
	c.reader.epoll = -1
	s.idle.runs.Wait()
	if err := epoll.SetDeadline(time.Time{}); err == nil {
		t.Error("the epoll instance is still open")
	}
	if c := s.idle.conn(0); c != nil {
		t.Errorf("%v is still known", c)
	}
}
