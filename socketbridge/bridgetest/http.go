package bridgetest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/inmemory"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// fasthttp, Fiber and the storage in memory start goroutines on their first use, which never end.
// They must not belong to the bubble of a test.
func init() {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	req, err := http.NewRequest(http.MethodGet, "http://example.com/", nil)
	if err == nil {
		_, err = roundTrip(app, req, &netConn{})
	}
	if err = errors.Join(err, memory.New().Close()); err != nil {
		panic("bridgetest: " + err.Error())
	}
}

// roundTrip passes a request to an app over a connection in memory. The app's server handles it
// on this goroutine, so that a panic that the app does not recover ends the test.
func roundTrip(app *fiber.App, req *http.Request, conn connection) (*http.Response, error) {
	nc := conn.network()
	if err := req.Write(&nc.request); err != nil {
		return nil, fmt.Errorf("bridgetest: writing the request: %w", err)
	}
	app.Handler() // builds the routes
	if err := app.Server().ServeConn(conn); err != nil && nc.response.Len() == 0 {
		return nil, fmt.Errorf("bridgetest: the app did not answer: %w", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(&nc.response), req)
	if err != nil {
		return nil, fmt.Errorf("bridgetest: reading the response: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // in memory, closing does not fail
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("bridgetest: reading the response: %w", err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// connection is a netConn, or one that adds something to it.
type connection interface {
	net.Conn
	network() *netConn
}

// netConn is the server's end of a connection in memory that carries one request.
type netConn struct {
	remote            net.IP
	request, response bytes.Buffer
}

func (c *netConn) network() *netConn              { return c }
func (c *netConn) Read(p []byte) (int, error)     { return c.request.Read(p) }
func (c *netConn) Write(p []byte) (int, error)    { return c.response.Write(p) }
func (*netConn) Close() error                     { return nil }
func (*netConn) SetDeadline(time.Time) error      { return nil }
func (*netConn) SetReadDeadline(time.Time) error  { return nil }
func (*netConn) SetWriteDeadline(time.Time) error { return nil }
func (*netConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2)} }
func (c *netConn) RemoteAddr() net.Addr           { return &net.TCPAddr{IP: c.remote} }

// tlsState makes a connection one that fasthttp takes for TLS.
type tlsState struct{}

func (tlsState) Handshake() error { return nil }
func (tlsState) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}
}

// secureConn is a netConn over TLS.
type secureConn struct {
	*netConn
	tlsState
}

// handshakeConn is a netConn that the server takes a connection from. It implements
// inmemory.Client.
type handshakeConn struct {
	*netConn
	conn *conn
}

func (c handshakeConn) NewConn(hs *transport.Handshake) inmemory.Conn {
	c.conn.begin(hs)
	return c.conn
}

// secureHandshakeConn is a handshakeConn over TLS.
type secureHandshakeConn struct {
	handshakeConn
	tlsState
}
