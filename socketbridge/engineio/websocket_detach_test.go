package engineio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// A WebSocket on plain TCP is detached from fasthttp. One on TLS or on a wrapped connection is
// not. Clients see no difference: messages that arrive before the 101 are not lost, and neither
// are those after a pong, when another goroutine continues reading.
func TestWebSocket_WhereverItsConnectionComesFrom(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	cert.Close()
	secure := &tls.Config{Certificates: cert.TLS.Certificates}
	for name, c := range map[string]struct {
		wrap     func(net.Listener) net.Listener
		client   func(net.Conn) net.Conn
		hijacked bool
	}{
		"tcp":     {},
		"wrapped": {wrap: func(ln net.Listener) net.Listener { return wrappedListener{ln} }, hijacked: true},
		"tls": {
			wrap:     func(ln net.Listener) net.Listener { return tls.NewListener(ln, secure) },
			client:   func(nc net.Conn) net.Conn { return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) },
			hijacked: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, echoRecorder(), engineio.Config{}, siteOptions{wrap: c.wrap})
			nc := s.dial()
			if c.client != nil {
				nc = c.client(nc)
			}
			early := "4" + strings.Repeat("early", 300)
			client, a := handshakeWS(t, appendToRequest{nc, clientFrame(true, wsframe.Text, early)}, s.addr, "/socket.io/?"+websocket)
			if client == nil {
				t.Fatal(a)
			}
			parseOpen(t, client.readText())
			if got := client.readText(); got != early {
				t.Errorf("the message sent with the request came back as %q", got)
			}
			for range 3 {
				client.sendText("3")
				client.sendText("4x")
				if m, err := client.Next(context.Background()); err != nil || string(m.Data) != "x" {
					t.Errorf("%q, %v", m.Data, err)
				}
			}
			waitFor(t, func() bool { return hijackHandlerRuns() == c.hijacked })
			client.write(clientFrame(true, wsframe.Close, "\x03\xe8"))
			if code := client.readClose(); code != wsframe.NormalClosure {
				t.Errorf("close code is %d", code)
			}
			if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the server did not close: %v", err)
			}
			s.waitForEnd(s.nextConn(), transport.TransportClose)
			waitFor(t, func() bool { return s.idle() })
		})
	}
}

// hijackHandlerRuns reports whether fasthttp waits for a hijack handler.
func hijackHandlerRuns() bool {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
	return bytes.Contains(all.Bytes(), []byte("fasthttp.hijackConnHandler"))
}

// appendToRequest sends more together with the request.
type appendToRequest struct {
	net.Conn
	more string
}

func (c appendToRequest) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("GET ")) {
		_, err := c.Conn.Write(append(bytes.Clone(b), c.more...))
		return len(b), err
	}
	return c.Conn.Write(b)
}

type wrappedListener struct{ net.Listener }

type wrappedConn struct{ net.Conn }

func (l wrappedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return wrappedConn{nc}, err
}
