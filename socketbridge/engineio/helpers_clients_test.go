package engineio_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// pollClient is a client on long-polling.
type pollClient struct {
	*site
	sid     string
	headers []string
	got     []transport.Message // messages of the last poll
	pings   int                 // pings received
	silent  bool                // does not answer pings
	ended   bool
}

// openPoll opens a connection on long-polling.
func (s *site) openPoll(headers ...string) *pollClient {
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
	a, err := p.tryDo("POST", p.query(), string(eiopacket.Append(nil, eiopacket.Packet{Type: eiopacket.Message, Binary: m.Binary, Data: m.Data})), p.headers...)
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
		if p.ended {
			return transport.Message{}, errEnded
		}
		a, err := p.tryDo("GET", p.query(), "", p.headers...)
		if err != nil {
			return transport.Message{}, err
		}
		if a.status != 200 {
			p.ended = true
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
					if _, err := p.tryDo("POST", p.query(), "3", p.headers...); err != nil {
						return transport.Message{}, err
					}
				}
			case eiopacket.Close:
				p.ended = true
			}
		}
	}
}

func (p *pollClient) Close() error {
	if !p.ended {
		p.ended = true
		_, err := p.tryDo("POST", p.query(), "1", p.headers...)
		return err
	}
	return nil
}

// upgrade upgrades a polling client to a WebSocket.
func (p *pollClient) upgrade() *wsClient {
	p.t.Helper()
	c, a := p.dialWS(websocket+"&sid="+p.sid, p.headers...)
	if c == nil {
		p.t.Fatalf("the upgrade was answered with %d %s", a.status, a.body)
		return nil
	}
	c.sid = p.sid
	c.sendText("2probe")
	if got := c.readText(); got != "3probe" {
		p.t.Fatalf("the probe was answered with %q", got)
	}
	c.sendText("5")
	return c
}

// wsClient is a client on a WebSocket that reads and writes single frames.
type wsClient struct {
	t     testing.TB
	nc    net.Conn
	r     *bufio.Reader
	sid   string
	pings int
}

// dial opens a network connection that is closed at the end of the test.
func (s *site) dial() net.Conn {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(waitLimit))
	return nc
}

// dialWS opens a WebSocket. If the response is not 101, it returns no client.
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
		t.Fatalf("no response to the upgrade: %v", err)
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

// openWS opens a connection on a WebSocket.
func (s *site) openWS(headers ...string) *wsClient {
	s.t.Helper()
	c, a := s.dialWS(websocket, headers...)
	if c == nil {
		s.t.Fatalf("the handshake was answered with %d %s", a.status, a.body)
		return nil
	}
	c.sid = parseOpen(s.t, c.readText()).SID
	return c
}

// frame is a frame from the server.
type frame struct {
	op   wsframe.Opcode
	data string
}

func (f frame) String() string { return fmt.Sprintf("%d:%.80q (%d bytes)", f.op, f.data, len(f.data)) }

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

// readText returns the next frame, which must be a text frame.
func (c *wsClient) readText() string {
	c.t.Helper()
	f, err := c.read()
	if err != nil || f.op != wsframe.Text {
		c.t.Fatalf("got frame %+v, %v", f, err)
	}
	return f.data
}

// readClose reads up to the server's close frame and returns its code.
func (c *wsClient) readClose() uint16 {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("the server closed without a close frame: %v", err)
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

// write writes bytes. It ignores errors: the server may have closed already.
func (c *wsClient) write(b string) { _, _ = io.WriteString(c.nc, b) }

// clientFrame returns a masked frame.
func clientFrame(fin bool, op wsframe.Opcode, data string) string {
	key := [4]byte{1, 2, 3, 4}
	masked := []byte(data)
	wsframe.Mask(key, masked)
	return string(wsframe.AppendHeader(nil, wsframe.Header{Fin: fin, Op: op, Masked: true, Key: key, Length: uint64(len(data))})) + string(masked)
}

// sendText sends a text frame.
func (c *wsClient) sendText(packet string) { c.write(clientFrame(true, wsframe.Text, packet)) }

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
			c.sendText("3")
		case f.op == wsframe.Text && strings.HasPrefix(f.data, "4"):
			return transport.Message{Data: []byte(f.data[1:])}, nil
		}
	}
}

func (c *wsClient) Close() error {
	c.write(clientFrame(true, wsframe.Close, "\x03\xe8"))
	return c.nc.Close()
}
