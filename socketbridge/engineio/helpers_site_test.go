package engineio_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// patience bounds what a test waits for; one that passes never needs it.
const patience = 20 * time.Second

// site is a Fiber app with an engine on a real loopback listener.
type site struct {
	t      testing.TB
	engine *engineio.Server
	core   *transporttest.Recorder
	addr   string
	client *http.Client
	log    *testlog.Log
}

// echoing is a core that sends every message back.
func echoing() *transporttest.Recorder {
	return &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		return a.Conn.Send(0, transport.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)})
	}}
}

type siteOptions struct {
	core   transport.Acceptor // instead of the recorder
	hooks  engineio.Hooks
	fiber  fiber.Config
	before func(app *fiber.App) // mounts what comes before the engine
	wrap   func(net.Listener) net.Listener
}

// open starts a site that ends with the test, after which nothing may be left.
func open(t testing.TB, core *transporttest.Recorder, cfg engineio.Config, options ...siteOptions) *site {
	t.Helper()
	var o siteOptions
	if len(options) > 0 {
		o = options[0]
	}
	s := &site{t: t, core: core, log: &testlog.Log{}}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if o.core == nil {
		o.core = core
	}
	s.engine = engineio.New(o.core, cfg, o.hooks)
	o.fiber.DisableStartupMessage = true
	if o.fiber.ReadTimeout == 0 {
		o.fiber.ReadTimeout = time.Minute
	}
	app := fiber.New(o.fiber)
	if o.before != nil {
		o.before(app)
	}
	app.Use(s.engine.Handler())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	if o.wrap != nil {
		ln = o.wrap(ln)
	}
	s.client = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }() // the cleanup waits for it
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		now, end := context.WithCancel(ctx)
		end()
		_ = s.engine.Shutdown(now) // without waiting for clients that are not there any more
		if err := s.engine.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.client.CloseIdleConnections()
		if err := app.ShutdownWithContext(ctx); err != nil {
			t.Errorf("the app's Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Listener: %v", err)
		}
		if st := s.engine.Stats(); st.Connections != 0 || st.Polls != 0 || st.Posts != 0 {
			t.Errorf("after Shutdown there is left: %+v", st)
		}
	})
	return s
}

// context returns one that ends when a test has waited too long.
func (s *site) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// url returns the engine's address with a query.
func (s *site) url(query string) string { return "http://" + s.addr + "/socket.io/?" + query }

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the protocol's error code, or -1.
func (a answer) code() int {
	var e struct {
		Code    *int
		Message string
	}
	if json.Unmarshal([]byte(a.body), &e) != nil || e.Code == nil || e.Message == "" {
		return -1
	}
	return *e.Code
}

// do sends a request with header pairs.
func (s *site) do(method, query, body string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, query, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, query, err)
	}
	return a
}

func (s *site) try(method, query, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, s.url(query), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}, err
}

// opened is the content of an open packet.
type opened struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(t testing.TB, packet string) opened {
	t.Helper()
	var o opened
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(packet, "0")))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || !strings.HasPrefix(packet, "0") || o.SID == "" {
		t.Fatalf("not an open packet: %q, %v", packet, err)
	}
	return o
}

const (
	polling   = "EIO=4&transport=polling"
	websocket = "EIO=4&transport=websocket"
)

// pollClient is a client on long-polling.
type pollClient struct {
	*site
	sid     string
	headers []string
	got     []transport.Message // came with the last poll
	pings   int                 // answered
	silent  bool                // do not answer pings
	gone    bool
}

// poll opens a connection on long-polling.
func (s *site) poll(headers ...string) *pollClient {
	s.t.Helper()
	a := s.do("GET", polling, "", headers...)
	if a.status != 200 {
		s.t.Fatalf("the handshake was answered with %d %s", a.status, a.body)
		return nil
	}
	return &pollClient{site: s, sid: parseOpen(s.t, a.body).SID, headers: headers}
}

func (p *pollClient) query() string { return polling + "&sid=" + p.sid }

// get polls once.
func (p *pollClient) get() answer { p.t.Helper(); return p.do("GET", p.query(), "", p.headers...) }

// post sends a body.
func (p *pollClient) post(body string) answer {
	p.t.Helper()
	return p.do("POST", p.query(), body, p.headers...)
}

func (p *pollClient) Send(_ context.Context, m transport.Message) error {
	a, err := p.try("POST", p.query(), string(eiopacket.Append(nil, eiopacket.Packet{Type: eiopacket.Message, Binary: m.Binary, Data: m.Data})), p.headers...)
	if err == nil && (a.status != 200 || a.body != "ok") {
		err = fmt.Errorf("post: %d %s", a.status, a.body)
	}
	return err
}

var errEnded = errors.New("the server has ended the connection")

func (p *pollClient) Next(ctx context.Context) (transport.Message, error) {
	for {
		if len(p.got) > 0 {
			m := p.got[0]
			p.got = p.got[1:]
			return m, nil
		}
		if p.gone {
			return transport.Message{}, errEnded
		}
		a, err := p.try("GET", p.query(), "", p.headers...)
		if err != nil {
			return transport.Message{}, err
		}
		if a.status != 200 {
			p.gone = true
			return transport.Message{}, fmt.Errorf("poll: %d %s", a.status, a.body)
		}
		for packet, err := range eiopacket.Payload([]byte(a.body)) {
			if err != nil {
				return transport.Message{}, err
			}
			switch packet.Type {
			case eiopacket.Message:
				p.got = append(p.got, transport.Message{Binary: packet.Binary, Data: bytes.Clone(packet.Data)})
			case eiopacket.Ping:
				p.pings++
				if !p.silent {
					if _, err := p.try("POST", p.query(), "3", p.headers...); err != nil {
						return transport.Message{}, err
					}
				}
			case eiopacket.Close:
				p.gone = true
			}
		}
	}
}

func (p *pollClient) Close() error {
	if !p.gone {
		p.gone = true
		_, err := p.try("POST", p.query(), "1", p.headers...)
		return err
	}
	return nil
}

// wsClient is a client on a WebSocket, frame by frame.
type wsClient struct {
	t     testing.TB
	nc    net.Conn
	r     *bufio.Reader
	sid   string
	pings int
}

// dial opens a network connection that ends with the test.
func (s *site) dial() net.Conn {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// dialWS opens a WebSocket and returns the answer when it is not 101.
func (s *site) dialWS(query string, headers ...string) (*wsClient, answer) {
	s.t.Helper()
	return handshakeWS(s.t, s.dial(), s.addr, "/socket.io/?"+query, headers...)
}

func handshakeWS(t testing.TB, nc net.Conn, host, target string, headers ...string) (*wsClient, answer) {
	t.Helper()
	req, _ := http.NewRequest("GET", "http://"+host+target, nil)
	req.Header = http.Header{
		"Upgrade":               {"websocket"},
		"Connection":            {"Upgrade"},
		"Sec-Websocket-Key":     {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Version": {"13"},
	}
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			req.Host = headers[i+1]
		case headers[i+1] == "":
			req.Header.Del(headers[i])
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	if err := req.Write(nc); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	res, err := http.ReadResponse(r, req)
	if err != nil {
		t.Fatalf("no answer to the upgrade: %v", err)
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if res.StatusCode != 101 {
		b, _ := io.ReadAll(res.Body)
		a.body = string(b)
		nc.Close()
		return nil, a
	}
	if got := res.Header.Get("Sec-Websocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, section 1.3
		t.Errorf("Sec-WebSocket-Accept is %q", got)
	}
	return &wsClient{t: t, nc: nc, r: r}, a
}

// ws opens a connection on a WebSocket.
func (s *site) ws(headers ...string) *wsClient {
	s.t.Helper()
	c, a := s.dialWS(websocket, headers...)
	if c == nil {
		s.t.Fatalf("the handshake was answered with %d %s", a.status, a.body)
		return nil
	}
	c.sid = parseOpen(s.t, c.text()).SID
	return c
}

// frame is what a server sends.
type frame struct {
	op   wsframe.Opcode
	data string
}

// read returns the next frame.
func (c *wsClient) read() (frame, error) {
	var head []byte
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return frame{}, err
		}
		head = append(head, b)
		h, n, err := wsframe.ParseHeader(head)
		if err != nil {
			return frame{}, err
		}
		if n == 0 {
			continue
		}
		if h.Masked || !h.Fin {
			return frame{}, errors.New("a server's frame is masked or fragmented")
		}
		data := make([]byte, h.Length)
		_, err = io.ReadFull(c.r, data)
		return frame{h.Op, string(data)}, err
	}
}

// text returns the next frame, which must be text.
func (c *wsClient) text() string {
	c.t.Helper()
	f, err := c.read()
	if err != nil || f.op != wsframe.Text {
		c.t.Fatalf("the frame is %+v, %v", f, err)
	}
	return f.data
}

// closed reads until the server's close frame and returns its code.
func (c *wsClient) closed() uint16 {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("the server hung up without a close frame: %v", err)
		}
		if f.op == wsframe.Close {
			code, err := wsframe.ParseClose([]byte(f.data))
			if err != nil {
				c.t.Fatal(err)
			}
			return code
		}
	}
}

// raw writes bytes. A server that has hung up already may refuse them.
func (c *wsClient) raw(b string) { _, _ = io.WriteString(c.nc, b) }

// clientFrame builds a frame as clients send it.
func clientFrame(fin bool, op wsframe.Opcode, data string) string {
	key := [4]byte{1, 2, 3, 4}
	masked := []byte(data)
	wsframe.Mask(key, masked)
	return string(wsframe.AppendHeader(nil, wsframe.Header{Fin: fin, Op: op, Masked: true, Key: key, Length: uint64(len(data))})) + string(masked)
}

// say sends a text frame.
func (c *wsClient) say(packet string) { c.raw(clientFrame(true, wsframe.Text, packet)) }

func (c *wsClient) Send(_ context.Context, m transport.Message) error {
	f := clientFrame(true, wsframe.Text, "4"+string(m.Data))
	if m.Binary {
		f = clientFrame(true, wsframe.Binary, string(m.Data))
	}
	_, err := io.WriteString(c.nc, f)
	return err
}

func (c *wsClient) Next(context.Context) (transport.Message, error) {
	for {
		f, err := c.read()
		switch {
		case err != nil:
			return transport.Message{}, err
		case f.op == wsframe.Binary:
			return transport.Message{Binary: true, Data: []byte(f.data)}, nil
		case f.op == wsframe.Close:
			return transport.Message{}, errEnded
		case f.op == wsframe.Text && f.data == "2":
			c.pings++
			c.say("3")
		case f.op == wsframe.Text && strings.HasPrefix(f.data, "4"):
			return transport.Message{Data: []byte(f.data[1:])}, nil
		}
	}
}

func (c *wsClient) Close() error {
	c.raw(clientFrame(true, wsframe.Close, "\x03\xe8"))
	return c.nc.Close()
}

// upgradeTo moves a polling client to a WebSocket, as clients do: it lets its poll
// end before it says "5".
func (p *pollClient) upgradeTo() *wsClient {
	p.t.Helper()
	c, a := p.dialWS(websocket+"&sid="+p.sid, p.headers...)
	if c == nil {
		p.t.Fatalf("the upgrade was answered with %d %s", a.status, a.body)
		return nil
	}
	c.sid = p.sid
	c.say("2probe")
	if got := c.text(); got != "3probe" {
		p.t.Fatalf("the probe was answered with %q", got)
	}
	c.say("5")
	return c
}

// next returns the core's end of the connection that was accepted next.
func (s *site) next() *transporttest.Accepted {
	s.t.Helper()
	a, err := s.core.Next(s.context())
	if err != nil {
		s.t.Fatalf("no connection was accepted: %v", err)
	}
	return a
}

// ended waits for the end of a connection, and checks its reason.
func (s *site) ended(a *transporttest.Accepted, want transport.Reason) error {
	s.t.Helper()
	got, cause, err := a.End(s.context())
	if err != nil {
		s.t.Fatalf("the end: %v", err)
	}
	if got != want {
		s.t.Errorf("the connection ended with %q (%v), not %q", got, cause, want)
	}
	return cause
}

// innocent opens a connection and returns a check that it still works.
func (s *site) innocent() (check func()) {
	s.t.Helper()
	c := s.ws()
	return func() {
		s.t.Helper()
		c.say("4still here")
		if m, err := c.Next(context.Background()); err != nil || string(m.Data) != "still here" {
			s.t.Errorf("an innocent connection was disturbed: %q, %v", m.Data, err)
		}
	}
}
