package engineio_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestWebSocket(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	t.Run("text", func(t *testing.T) {
		c := s.openWS()
		c.sendText("4hello")
		if got := c.readText(); got != "4hello" {
			t.Errorf("got %q back", got)
		}
	})
	t.Run("binary", func(t *testing.T) {
		c := s.openWS()
		c.write(clientFrame(true, wsframe.Binary, "\x01\x02\x03"))
		if f, err := c.read(); err != nil || f != (frame{wsframe.Binary, "\x01\x02\x03"}) {
			t.Errorf("got %+v back, %v", f, err)
		}
	})
	t.Run("binary from a client with forceBase64", func(t *testing.T) {
		c := s.openWS()
		c.sendText("bAQID")
		if f, err := c.read(); err != nil || f != (frame{wsframe.Binary, "\x01\x02\x03"}) {
			t.Errorf("got %+v back, %v", f, err)
		}
	})
	t.Run("many frames at once", func(t *testing.T) {
		c := s.openWS()
		var all strings.Builder
		for i := range 1000 {
			all.WriteString(clientFrame(true, wsframe.Text, fmt.Sprintf("4%d", i)))
		}
		go c.write(all.String()) // ends when the server has read it
		for i := range 1000 {
			if got := c.readText(); got != fmt.Sprintf("4%d", i) {
				t.Fatalf("message %d came back as %q", i, got)
			}
		}
	})
	t.Run("the client closes with a packet", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		c := s.openWS()
		a := s.nextConn()
		c.sendText("1")
		if code := c.readClose(); code != wsframe.NormalClosure {
			t.Errorf("close code is %d", code)
		}
		c.nc.Close()
		s.waitForEnd(a, transport.TransportClose)
	})
	t.Run("the client closes with a frame", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		c := s.openWS()
		a := s.nextConn()
		c.write(clientFrame(true, wsframe.Close, "\x0f\xa0bye"))
		if code := c.readClose(); code != 4000 {
			t.Errorf("close code is %d, want the client's", code)
		}
		s.waitForEnd(a, transport.TransportClose) // does not wait for the client to close
	})
	t.Run("the client disconnects", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		c := s.openWS()
		a := s.nextConn()
		c.nc.Close()
		s.waitForEnd(a, transport.TransportClose)
	})
	t.Run("the server closes", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{Timeouts: engineio.Timeouts{Close: time.Hour}})
		c := s.openWS()
		a := s.nextConn()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last message")})
		a.Conn.Close(transport.ForcedClose)
		if got := c.readText(); got != "4last message" {
			t.Errorf("got %q before the close frame", got)
		}
		if code := c.readClose(); code != wsframe.NormalClosure {
			t.Errorf("close code is %d", code)
		}
		if _, err := c.read(); err != io.EOF { // a client may wait for the server to close
			t.Errorf("after the close frame, read returned %v, want EOF", err)
		}
		c.sendText("4not received")
		c.write(clientFrame(true, wsframe.Close, "\x03\xe8"))
		s.waitForEnd(a, transport.ForcedClose)
		if r := a.Received(); len(r) != 0 {
			t.Errorf("the receiver got %v after Close", r)
		}
	})
}

// A WebSocket ping is answered with its own payload and nothing else (CVE-2026-45736).
func TestWebSocket_PingsAreAnswered(t *testing.T) {
	t.Parallel()
	c := open(t, echoRecorder(), engineio.Config{}).openWS()
	for n := range 126 {
		c.write(clientFrame(true, wsframe.Ping, strings.Repeat("p", n)))
	}
	c.write(clientFrame(true, wsframe.Pong, "unsolicited"))
	c.write(clientFrame(false, wsframe.Text, "4a") + clientFrame(true, wsframe.Ping, "between") + clientFrame(true, wsframe.Continuation, "b"))
	for n := range 126 {
		if f, err := c.read(); err != nil || f != (frame{wsframe.Pong, strings.Repeat("p", n)}) {
			t.Fatalf("ping %d was answered with %+v, %v", n, f, err)
		}
	}
	if f, err := c.read(); err != nil || f != (frame{wsframe.Pong, "between"}) {
		t.Errorf("a ping between fragments was answered with %+v, %v", f, err)
	}
	if got := c.readText(); got != "4ab" {
		t.Errorf("got %q back", got)
	}
}

// A pong that waits for the network keeps the payload of its ping, whatever arrives meanwhile.
func TestWebSocket_PongsWaitWithTheirPayload(t *testing.T) {
	t.Parallel()
	recorder := &transporttest.Recorder{}
	ln := &gatedListener{writing: make(chan struct{}), open: make(chan struct{})}
	s := open(t, recorder, engineio.Config{}, siteOptions{wrap: func(inner net.Listener) net.Listener { ln.Listener = inner; return ln }})
	c := s.openWS()
	a := s.nextConn()
	release := sync.OnceFunc(func() { close(ln.open) })
	defer release()
	ln.closed.Store(true)
	c.write(clientFrame(true, wsframe.Ping, "the first"))
	select {
	case <-ln.writing: // the pongs of later pings wait in the queue
	case <-s.context().Done():
		t.Fatal("the first ping was not answered")
	}
	c.write(clientFrame(true, wsframe.Ping, strings.Repeat("p", 40)))
	for range 2 { // the second is read over the ping, even if the first arrived with it
		c.sendText("4" + strings.Repeat("m", 60))
		if _, err := a.Next(s.context()); err != nil {
			t.Fatal(err)
		}
	}
	release()
	for _, want := range []string{"the first", strings.Repeat("p", 40)} {
		if f, err := c.read(); err != nil || f != (frame{wsframe.Pong, want}) {
			t.Errorf("the ping %q was answered with %+v, %v", want, f, err)
		}
	}
}

// gatedListener accepts connections whose writes wait until open is closed, once closed is set.
// Each sends to writing before it waits.
type gatedListener struct {
	net.Listener
	closed  atomic.Bool
	writing chan struct{}
	open    chan struct{}
}

type gatedConn struct {
	net.Conn
	gate *gatedListener
}

func (l *gatedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return gatedConn{nc, l}, err
}

func (c gatedConn) Write(b []byte) (int, error) {
	if c.gate.closed.Load() {
		select {
		case c.gate.writing <- struct{}{}:
		case <-c.gate.open:
		}
		<-c.gate.open
	}
	return c.Conn.Write(b)
}
