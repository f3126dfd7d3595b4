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

// A WebSocket on bare TCP is taken out of fasthttp's hands; TLS and connections that
// a listener wraps stay there. Clients cannot tell: what they send too early, before
// they were answered, is not lost either, and pongs, after which another goroutine may
// go on reading, disturb nothing.
func TestWebSocket_WhereverItsConnectionComesFrom(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	cert.Close()
	secure := &tls.Config{Certificates: cert.TLS.Certificates}
	for name, c := range map[string]struct {
		wrap   func(net.Listener) net.Listener
		client func(net.Conn) net.Conn
		lent   bool
	}{
		"tcp":     {},
		"wrapped": {wrap: func(ln net.Listener) net.Listener { return wrapping{ln} }, lent: true},
		"tls": {
			wrap:   func(ln net.Listener) net.Listener { return tls.NewListener(ln, secure) },
			client: func(nc net.Conn) net.Conn { return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) },
			lent:   true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, echoing(), engineio.Config{}, siteOptions{wrap: c.wrap})
			nc := s.dial()
			if c.client != nil {
				nc = c.client(nc)
			}
			early := "4" + strings.Repeat("early", 300)
			client, a := handshakeWS(t, together{nc, clientFrame(true, wsframe.Text, early)}, s.addr, "/socket.io/?"+websocket)
			if client == nil {
				t.Fatal(a)
			}
			parseOpen(t, client.text())
			if got := client.text(); got != early {
				t.Errorf("what was sent with the request came back as %q", got)
			}
			for range 3 {
				client.say("3")
				client.say("4x")
				if m, err := client.Next(context.Background()); err != nil || string(m.Data) != "x" {
					t.Errorf("%q, %v", m.Data, err)
				}
			}
			eventually(t, func() bool { return holdsHijack() == c.lent })
			client.raw(clientFrame(true, wsframe.Close, "\x03\xe8"))
			if code := client.closed(); code != wsframe.NormalClosure {
				t.Errorf("the close frame has the code %d", code)
			}
			if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the server did not hang up: %v", err)
			}
			s.ended(s.next(), transport.TransportClose)
			eventually(t, func() bool { return s.engine.Stats() == engineio.Stats{} })
		})
	}
}

// holdsHijack says whether fasthttp waits for a hijack handler.
func holdsHijack() bool {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
	return bytes.Contains(all.Bytes(), []byte("fasthttp.hijackConnHandler"))
}

// together sends more with the first write.
type together struct {
	net.Conn
	more string
}

func (c together) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("GET ")) {
		_, err := c.Conn.Write(append(bytes.Clone(b), c.more...))
		return len(b), err
	}
	return c.Conn.Write(b)
}

type wrapping struct{ net.Listener }

type wrapped struct{ net.Conn }

func (l wrapping) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return wrapped{nc}, err
}
