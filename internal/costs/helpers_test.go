package costs_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// app is an app with sessions and sockets on loopback.
type app struct {
	fiber  *fiber.App
	io     *socketbridge.Server
	addr   string
	joined chan *socketbridge.Socket
	socket *socketbridge.Socket // the last one that has connected
}

func newApp(t *testing.T, cfg socketbridge.Config) *app {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store := fibersession.New(fibersession.Config{Logger: log})
	cfg.Sessions, cfg.Logger = store, log
	cfg.Limits = socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1, MaxConnsPerSession: -1}
	cfg.Engine.Limits.MaxConnsPerIP, cfg.Engine.Limits.ConnRatePerIP = -1, -1
	a := &app{
		fiber:  fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute}),
		io:     socketbridge.New(cfg),
		joined: make(chan *socketbridge.Socket, 1),
	}
	a.io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room"); a.joined <- s })
	a.io.On("echo", func(p *socketbridge.Packet) error { return p.Ack(p.Args()[0]) })
	a.io.On("read", func(p *socketbridge.Packet) error { return p.Ack(p.Session().Get("n")) })
	a.io.On("incr", func(p *socketbridge.Packet) error {
		n, _ := p.Session().Get("n").(int)
		p.Session().Set("n", n+1)
		return p.Ack(n + 1)
	})
	a.fiber.Use(store.Handler(), a.io.Handler())
	a.fiber.Post("/login", func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("n", 0); return nil })
	a.fiber.Post("/incr", func(c *fiber.Ctx) error {
		s := fibersession.FromContext(c)
		n, _ := s.Get("n").(int)
		s.Set("n", n+1)
		return c.SendString(strconv.Itoa(n + 1))
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	a.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- a.fiber.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(t, a.io.Shutdown(ctx))
		must(t, a.fiber.ShutdownWithContext(ctx))
		must(t, <-served)
		must(t, store.Close())
	})
	return a
}

// last returns the socket of the client that connected last.
func (a *app) last() *socketbridge.Socket { return a.socket }

// login returns the cookie of a new session.
func (a *app) login(t *testing.T) string {
	t.Helper()
	res, err := http.Post("http://"+a.addr+"/login", "", nil)
	must(t, err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return cookie
}

// request returns a call of the app's handler, without the network.
func (a *app) request(t *testing.T, cookie string) func() {
	handler := a.fiber.Handler()
	var ctx fasthttp.RequestCtx
	n := 0
	return func() {
		ctx.Request.Reset()
		ctx.Response.Reset()
		ctx.Request.Header.SetMethod(fiber.MethodPost)
		ctx.Request.SetRequestURI("/incr")
		ctx.Request.Header.Set("Cookie", cookie)
		handler(&ctx)
		if n++; string(ctx.Response.Body()) != strconv.Itoa(n) {
			t.Fatalf("got %q, want %d", ctx.Response.Body(), n)
		}
	}
}

// client is a WebSocket client that does not allocate.
type client struct {
	t    *testing.T
	nc   net.Conn
	out  []byte
	in   [512]byte
	from int
	to   int
}

// connect opens a WebSocket and joins the default namespace.
func (a *app) connect(t *testing.T, cookie string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", a.addr)
	must(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(2*time.Minute)))
	_, err = io.WriteString(nc, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: "+a.addr+"\r\nCookie: "+cookie+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	must(t, err)
	c := &client{t: t, nc: nc}
	for end := []byte("\r\n\r\n"); !strings.HasSuffix(string(c.in[:c.from]), string(end)); c.from++ { // the response
		_, err := io.ReadFull(nc, c.in[c.from:c.from+1])
		must(t, err)
	}
	c.from = 0
	c.next() // the handshake
	c.send("40")
	if got := string(c.next()); !strings.HasPrefix(got, `40{"sid"`) {
		t.Fatalf("got %q", got)
	}
	a.socket = <-a.joined
	return c
}

// send sends a packet of at most 125 bytes.
func (c *client) send(packet string) {
	c.out = append(append(c.out[:0], 0x81, 0x80|byte(len(packet)), 0, 0, 0, 0), packet...)
	if _, err := c.nc.Write(c.out); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next packet, which is valid until the next call.
func (c *client) next() []byte {
	for {
		if frame := c.in[c.from:c.to]; len(frame) >= 2 {
			head, size := 2, int(frame[1])
			if size == 126 && len(frame) >= 4 {
				head, size = 4, int(frame[2])<<8|int(frame[3])
			}
			if len(frame) >= head+size {
				c.from += head + size
				return frame[head : head+size]
			}
		}
		c.to = copy(c.in[:], c.in[c.from:c.to])
		c.from = 0
		n, err := c.nc.Read(c.in[c.to:])
		if err != nil {
			c.t.Fatal(err)
		}
		c.to += n
	}
}

func (c *client) want(packet string) {
	if got := c.next(); string(got) != packet {
		c.t.Fatalf("got %q, want %q", got, packet)
	}
}

func (c *client) ask(packet, answer string) {
	c.send(packet)
	c.want(answer)
}
