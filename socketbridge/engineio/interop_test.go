package engineio_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/lxzan/gws"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// Independent WebSocket clients can connect: here coder/websocket, below gws.
func TestClients_Coder(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	ctx := s.context()
	c, _, err := coder.Dial(ctx, "ws://"+s.addr+"/socket.io/?"+websocket, &coder.DialOptions{CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	if _, data, err := c.Read(ctx); err != nil || data[0] != '0' {
		t.Fatalf("%q, %v", data, err)
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 500_000} {
		message := "4" + strings.Repeat("ü", size/2)
		w, err := c.Writer(ctx, coder.MessageText) // in fragments
		if err != nil {
			t.Fatal(err)
		}
		for rest := message; rest != ""; {
			n := min(len(rest), 10_001)
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if kind, data, err := c.Read(ctx); err != nil || kind != coder.MessageText || string(data) != message {
			t.Fatalf("%d bytes of text: %v, %d bytes, %v", size, kind, len(data), err)
		}
		if err := c.Write(ctx, coder.MessageBinary, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if kind, data, err := c.Read(ctx); err != nil || kind != coder.MessageBinary || string(data) != message {
			t.Fatalf("%d bytes: %v, %d bytes, %v", size, kind, len(data), err)
		}
	}
	read := c.CloseRead(ctx)
	if err := c.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := c.Close(coder.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
	<-read.Done()
}

// gwsHandler passes the events of a gws client to the test.
type gwsHandler struct {
	gws.BuiltinEventHandler
	messages chan string
	closed   chan error
}

func (h *gwsHandler) OnMessage(_ *gws.Conn, m *gws.Message) {
	h.messages <- fmt.Sprintf("%d:%s", m.Opcode, m.Bytes())
	m.Close()
}
func (h *gwsHandler) OnPong(_ *gws.Conn, payload []byte) { h.messages <- "pong:" + string(payload) }
func (h *gwsHandler) OnClose(_ *gws.Conn, err error)     { h.closed <- err }

func TestClients_GWS(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	h := &gwsHandler{messages: make(chan string, 10), closed: make(chan error, 1)}
	c, _, err := gws.NewClient(h, &gws.ClientOption{Addr: "ws://" + s.addr + "/socket.io/?" + websocket, PermessageDeflate: gws.PermessageDeflate{Enabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	go c.ReadLoop() // its end is sent to closed
	if got := <-h.messages; !strings.HasPrefix(got, "1:0{") {
		t.Fatalf("first message is %q", got)
	}
	for _, size := range []int{0, 1, 126, 70_000} {
		message := strings.Repeat("x", size)
		_ = c.WriteMessage(gws.OpcodeText, []byte("4"+message))
		if got := <-h.messages; got != "1:4"+message {
			t.Errorf("%d bytes of text came back as %d", size, len(got))
		}
		_ = c.WriteMessage(gws.OpcodeBinary, []byte(message))
		if got := <-h.messages; got != "2:"+message {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
	}
	_ = c.WritePing([]byte("p"))
	if got := <-h.messages; got != "pong:p" {
		t.Errorf("the ping was answered with %q", got)
	}
	_ = c.WriteClose(1000, nil)
	<-h.closed
}

// The engine works with every configuration of Fiber, and with network connections that
// implement no more than net.Conn.
func TestOverEveryKindOfServer(t *testing.T) {
	t.Parallel()
	echo := func(t *testing.T, s *site, c *wsClient) {
		t.Helper()
		big := strings.Repeat("x", 200_000)
		c.sendText("4hello")
		c.sendText("4" + big)
		if got := c.readText(); got != "4hello" {
			t.Errorf("got %q back", got)
		}
		if got := c.readText(); got != "4"+big {
			t.Errorf("got %d bytes back", len(got))
		}
		c.write(clientFrame(true, 8, "\x03\xe8"))
		if code := c.readClose(); code != 1000 {
			t.Errorf("close code is %d", code)
		}
	}
	configs := map[string]fiber.Config{
		"the defaults":        {},
		"reduced memory":      {ReduceMemoryUsage: true},
		"small buffers":       {ReadBufferSize: 1024, WriteBufferSize: 512},
		"immutable":           {Immutable: true},
		"no keep-alive":       {DisableKeepalive: true},
		"streamed bodies":     {StreamRequestBody: true},
		"a write timeout":     {WriteTimeout: waitLimit},
		"case and strictness": {CaseSensitive: true, StrictRouting: true},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			s := open(t, echoRecorder(), engineio.Config{}, siteOptions{fiber: cfg})
			echo(t, s, s.openWS())
			p := s.openPoll()
			big := "4" + strings.Repeat("x", 200_000)
			if a := p.post(big); a.status != 200 {
				t.Fatalf("the post was answered with %d %s", a.status, a.body)
			}
			if a := p.get(); a.body != big {
				t.Errorf("poll response has %d bytes", len(a.body))
			}
			echo(t, s, p.upgrade())
		})
	}
	t.Run("TLS", func(t *testing.T) {
		ts := httptest.NewUnstartedServer(http.NotFoundHandler())
		ts.StartTLS()
		cert := ts.TLS.Certificates[0]
		trust := ts.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		trust.ServerName = "example.com"
		ts.Close()
		s := open(t, echoRecorder(), engineio.Config{}, siteOptions{wrap: func(ln net.Listener) net.Listener {
			return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
		}})
		nc := tls.Client(s.dial(), trust)
		c, a := handshakeWS(t, nc, "example.com", "/socket.io/?"+websocket, "Origin", "https://example.com")
		if c == nil {
			t.Fatalf("response is %d %s", a.status, a.body)
		}
		if !s.nextConn().Conn.Handshake().Secure {
			t.Error("the handshake is not secure")
		}
		parseOpen(t, c.readText())
		echo(t, s, c)
	})
}
