package socketbridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// newServer creates a server that is shut down at the end of the test.
func newServer(t testing.TB, cfg socketbridge.Config) *socketbridge.Server {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	io := socketbridge.New(cfg)
	t.Cleanup(func() { shutdown(t, io) })
	return io
}

// shutdown shuts a server down, which must succeed within 10 s.
func shutdown(t testing.TB, io *socketbridge.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := io.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown failed: %v", err)
	}
}

// silent discards log lines that a test does not check.
var silent = slog.New(slog.DiscardHandler)

// peer is a client that speaks the protocol by hand over an in-memory connection.
type peer struct {
	t    testing.TB
	conn *transporttest.Conn
	sid  string
}

// dial connects without joining a namespace.
func dial(t testing.TB, io *socketbridge.Server) *peer {
	t.Helper()
	conn, err := transporttest.Connect(io, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	t.Cleanup(p.leave)
	return p
}

// join connects to a namespace.
func join(t testing.TB, io *socketbridge.Server, namespace string) *peer {
	t.Helper()
	p := dial(t, io)
	p.join(namespace)
	return p
}

func (p *peer) join(namespace string) {
	p.t.Helper()
	prefix := "0"
	if namespace != "/" {
		prefix += namespace + ","
	}
	p.send(prefix)
	got := p.next()
	var body struct{ Sid string }
	if !strings.HasPrefix(got, prefix) || json.Unmarshal([]byte(got[len(prefix):]), &body) != nil || body.Sid == "" {
		p.t.Fatalf("CONNECT was answered with %s, want a sid", got)
	}
	p.sid = body.Sid
}

// send delivers a packet that the server must accept.
func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Text(text); err != nil {
		p.t.Fatalf("sending %s: %v", text, err)
	}
}

// next returns the next text message from the server.
func (p *peer) next() string {
	p.t.Helper()
	m := p.nextMessage()
	if m.Binary {
		p.t.Fatalf("got a binary message of %d bytes, want text", len(m.Data))
	}
	return string(m.Data)
}

func (p *peer) nextMessage() transport.Message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := p.conn.Next(ctx)
	if err != nil {
		p.t.Fatalf("no message from the server: %v", err)
	}
	return m
}

// expect checks the next text messages from the server.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.next(); got != w {
			p.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// waitForClose waits for the end of the connection and returns its reason.
func (p *peer) waitForClose() transport.Reason {
	p.t.Helper()
	select {
	case <-p.conn.Done():
	case <-time.After(time.Minute):
		p.t.Fatal("the connection is still open after a minute")
	}
	reason, _ := p.conn.Reason()
	return reason
}

// leave ends the connection from the client's side.
func (p *peer) leave() { p.conn.Leave(transport.TransportClose, nil) }

// events records events in order.
type events chan string

func (e events) add(format string, args ...any) { e <- fmt.Sprintf(format, args...) }

// expect checks the next events.
func (e events) expect(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-e:
			if got != w {
				t.Fatalf("got %q, want %q", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("got nothing within 20 s, want %q", w)
		}
	}
}

// onlySocket returns the server's only socket.
func onlySocket(t testing.TB, io *socketbridge.Server) *socketbridge.Socket {
	t.Helper()
	all := io.Sockets()
	if len(all) != 1 {
		t.Fatalf("got %d sockets, want 1", len(all))
	}
	return all[0]
}
