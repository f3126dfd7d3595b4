package engineio_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/lxzan/gws"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// Clients that others wrote read the RFC as they understood it.
func TestClients_Coder(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
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

// gwsHandler gives what a gws client gets to the test.
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
	s := open(t, echoing(), engineio.Config{})
	h := &gwsHandler{messages: make(chan string, 10), closed: make(chan error, 1)}
	c, _, err := gws.NewClient(h, &gws.ClientOption{Addr: "ws://" + s.addr + "/socket.io/?" + websocket, PermessageDeflate: gws.PermessageDeflate{Enabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	go c.ReadLoop() // closed tells its end
	if got := <-h.messages; !strings.HasPrefix(got, "1:0{") {
		t.Fatalf("the first is %q", got)
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

// The engine needs no more of a network connection than net.Conn, and no more of
// Fiber than its defaults.
func TestOverEveryKindOfServer(t *testing.T) {
	t.Parallel()
	echo := func(t *testing.T, s *site, c *wsClient) {
		t.Helper()
		big := strings.Repeat("x", 200_000)
		c.say("4hello")
		c.say("4" + big)
		if got := c.text(); got != "4hello" {
			t.Errorf("the echo is %q", got)
		}
		if got := c.text(); got != "4"+big {
			t.Errorf("the large echo has %d bytes", len(got))
		}
		c.raw(clientFrame(true, 8, "\x03\xe8"))
		if code := c.closed(); code != 1000 {
			t.Errorf("the close code is %d", code)
		}
	}
	configs := map[string]fiber.Config{
		"the defaults":        {},
		"reduced memory":      {ReduceMemoryUsage: true},
		"small buffers":       {ReadBufferSize: 1024, WriteBufferSize: 512},
		"immutable":           {Immutable: true},
		"no keep-alive":       {DisableKeepalive: true},
		"streamed bodies":     {StreamRequestBody: true},
		"a write timeout":     {WriteTimeout: patience},
		"case and strictness": {CaseSensitive: true, StrictRouting: true},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			s := open(t, echoing(), engineio.Config{}, siteOptions{fiber: cfg})
			echo(t, s, s.ws())
			p := s.poll()
			big := "4" + strings.Repeat("x", 200_000)
			if a := p.post(big); a.status != 200 {
				t.Fatalf("the post was answered with %d %s", a.status, a.body)
			}
			if a := p.get(); a.body != big {
				t.Errorf("the poll has %d bytes", len(a.body))
			}
			echo(t, s, p.upgradeTo())
		})
	}
	t.Run("TLS", func(t *testing.T) {
		ts := httptest.NewUnstartedServer(http.NotFoundHandler())
		ts.StartTLS()
		cert := ts.TLS.Certificates[0]
		trust := ts.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		trust.ServerName = "example.com"
		ts.Close()
		s := open(t, echoing(), engineio.Config{}, siteOptions{wrap: func(ln net.Listener) net.Listener {
			return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
		}})
		nc := tls.Client(s.dial(), trust)
		c, a := handshakeWS(t, nc, "example.com", "/socket.io/?"+websocket, "Origin", "https://example.com")
		if c == nil {
			t.Fatalf("it was answered with %d %s", a.status, a.body)
		}
		if !s.next().Conn.Handshake().Secure {
			t.Error("the handshake is not secure")
		}
		parseOpen(t, c.text())
		echo(t, s, c)
	})
}

// A streamed body is not read further than its limit.
func TestStreamedBodies(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{MaxPayload: 1000}, siteOptions{fiber: fiber.Config{StreamRequestBody: true}})
	post := func(p *pollClient, header, body string) string {
		nc := s.dial()
		fmt.Fprintf(nc, "POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\n%s\r\n\r\n%s", p.query(), s.addr, header, body)
		status := make([]byte, len("HTTP/1.1 200"))
		_, _ = nc.Read(status)
		return string(status[9:])
	}
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("4", n)) }
	p := s.poll()
	// fasthttp itself reads the first bytes; the rest never comes, and is not missed.
	if got := post(p, "Content-Length: 100000", strings.Repeat("4", 20_000)); got != "413" {
		t.Errorf("a length over the limit, before the body is there: %s", got)
	}
	if got := post(p, "Transfer-Encoding: chunked", chunk(600)+chunk(600)); got != "413" {
		t.Errorf("chunks over the limit: %s", got)
	}
	if got := post(p, "Transfer-Encoding: chunked", chunk(600)+chunk(400)+"0\r\n\r\n"); got != "200" {
		t.Errorf("chunks at the limit: %s", got)
	}
	// What a refused request leaves unread must not be taken for the next request.
	nc := s.dial()
	inner := "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n\r\n"
	fmt.Fprintf(nc, "POST /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n", p.query(), s.addr)
	_, _ = nc.Write([]byte(strings.Repeat(" ", 8<<10)))
	first := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(nc, first); err != nil || string(first) != "HTTP/1.1 400" {
		t.Errorf("%q, %v", first, err)
	}
	_, _ = nc.Write([]byte(inner))
	if rest, _ := io.ReadAll(nc); bytes.Contains(rest, []byte("HTTP/1.1")) {
		t.Errorf("two answers to one request: %q", rest)
	}
	a := s.next()
	if m, err := a.Next(context.Background()); err != nil || !bytes.Equal(m.Data, bytes.Repeat([]byte("4"), 999)) {
		t.Errorf("the core got %d bytes, %v", len(m.Data), err)
	}
}
