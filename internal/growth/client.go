package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// client is a WebSocket client in the default namespace.
type client struct {
	nc   net.Conn
	in   []byte
	from int
	to   int
	out  []byte
}

// patience bounds the connect, and each wait for an answer.
const patience = 30 * time.Second

// perAddress is the number of connections from one loopback address: a server's address and one
// of a client have 28,000 pairs of ports.
const perAddress = 20_000

// dial opens the nth connection to a server, from 127.0.0.1, 127.0.0.2 and so on.
func dial(addr string, n int) (net.Conn, error) {
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n/perAddress))},
		Timeout:   patience,
		Control: func(_, _ string, c syscall.RawConn) error {
			const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT: the port is chosen for the pair of addresses
			var err error
			return errors.Join(c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
			}), err)
		},
	}
	return d.Dial("tcp", addr)
}

// login returns the cookie of a new session.
func login(addr string) (string, error) {
	res, err := http.Post("http://"+addr+"/login", "", nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return cookie, nil
}

// connect opens the nth client of a server, with a cookie if it is not "".
func connect(addr, cookie string, n int) (*client, error) {
	nc, err := dial(addr, n)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, in: make([]byte, 512)}
	if err := c.handshake(addr, cookie); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) handshake(addr, cookie string) error {
	_ = c.nc.SetDeadline(time.Now().Add(patience))
	defer func() { _ = c.nc.SetDeadline(time.Time{}) }()
	if cookie != "" {
		cookie = "\r\nCookie: " + cookie
	}
	if _, err := io.WriteString(c.nc, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: "+addr+cookie+
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		return err
	}
	for !bytes.Contains(c.in[:c.to], []byte("\r\n\r\n")) {
		if err := c.read(); err != nil {
			return err
		}
	}
	c.from = bytes.Index(c.in, []byte("\r\n\r\n")) + 4
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 101")) {
		return fmt.Errorf("the server refused the WebSocket: %.100q", c.in[:c.to])
	}
	if err := c.expect("0{"); err != nil {
		return err
	}
	if err := c.send("40"); err != nil {
		return err
	}
	return c.expect("40{")
}

// send sends a packet of at most 65,535 bytes.
func (c *client) send(packet string) error {
	c.out = append(c.out[:0], 0x81)
	if n := len(packet); n < 126 {
		c.out = append(c.out, 0x80|byte(n))
	} else {
		c.out = append(c.out, 0x80|126, byte(n>>8), byte(n))
	}
	c.out = append(append(c.out, 0, 0, 0, 0), packet...) // masked with zeros
	_, err := c.nc.Write(c.out)
	return err
}

// next returns the next packet that is no ping, which it answers. It is valid until the next call.
func (c *client) next() ([]byte, error) {
	for {
		p := c.cut()
		switch {
		case p == nil:
			if err := c.read(); err != nil {
				return nil, err
			}
		case string(p) == "2":
			if err := c.send("3"); err != nil {
				return nil, err
			}
		default:
			return p, nil
		}
	}
}

// cut returns the next packet that has arrived, or nil.
func (c *client) cut() []byte {
	frame := c.in[c.from:c.to]
	if len(frame) < 2 {
		return nil
	}
	head, size := 2, int(frame[1])
	if size == 126 {
		if len(frame) < 4 {
			return nil
		}
		head, size = 4, int(frame[2])<<8|int(frame[3])
	}
	if len(frame) < head+size {
		return nil
	}
	c.from += head + size
	return frame[head : head+size]
}

func (c *client) read() error {
	if c.from > 0 {
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
	if c.to == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := c.nc.Read(c.in[c.to:])
	c.to += n
	return err
}

func (c *client) expect(prefix string) error {
	p, err := c.next()
	if err == nil && !bytes.HasPrefix(p, []byte(prefix)) {
		err = fmt.Errorf("got %q, want %s…", p, prefix)
	}
	return err
}

// connectAll opens n clients, each with a session of its own.
func connectAll(addr string, n int) ([]*client, error) {
	clients := make([]*client, n)
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				cookie, err := login(addr)
				if err == nil {
					clients[i], err = connect(addr, cookie, i)
				}
				errs[i] = err
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			closeAll(clients)
			return nil, err
		}
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			_ = c.nc.Close()
		}
	}
}
