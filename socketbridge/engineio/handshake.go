package engineio

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/eiopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// handshake opens a connection.
func (s *Server) handshake(c *fiber.Ctx, transportName string) error {
	if c.Method() != fiber.MethodGet {
		return answer(c, ErrBadHandshakeMethod)
	}
	if s.isClosing() {
		return answer(c, errShuttingDown)
	}
	var key string
	if transportName == WebSocket {
		var err *Error
		if key, err = checkUpgrade(c); err != nil {
			return answer(c, err)
		}
	}
	conn, err := s.open(c, transportName)
	if err != nil {
		return answer(c, refusal(err))
	}
	if transportName == WebSocket {
		s.hijack(c, key, conn.serveWebSocket, func() { conn.end(transport.TransportError, errNotCarried) })
		return nil
	}
	if !conn.takeTurn() {
		return answer(c, errShuttingDown)
	}
	defer func() { <-conn.turn }()
	if err := conn.accept(); err != nil {
		conn.end(transport.ForcedClose, err)
		return answer(c, refusal(err))
	}
	packet := eiopacket.Packet{Type: eiopacket.Open, Data: s.openJSON(conn.id, Polling)}
	return answerPoll(c, eiopacket.Append(nil, packet))
}

// open admits a connection, lifts what it needs from the request, and makes it.
// When it fails, or Lift panics, all is undone.
func (s *Server) open(c *fiber.Ctx, transportName string) (conn *conn, err error) {
	addr := parseAddr(c.IP())
	if err := s.admission.admit(addr, time.Now()); err != nil {
		s.warnTooMany(err)
		return nil, err
	}
	request := s.newSnapshot(c)
	defer func() {
		if conn != nil {
			return
		}
		s.admission.leave(addr, time.Now())
		if request.lifted != nil && s.hooks.Release != nil {
			s.hooks.Release(request.lifted)
		}
	}()
	if s.hooks.Lift != nil {
		lifted, err := s.hooks.Lift(c)
		if err != nil {
			return nil, err
		}
		request.lifted = lifted
	}
	return s.add(request, addr, transportName)
}

// upgrade opens a WebSocket for a connection on polling. Whether there may be one
// is decided when it is open: a refusal is then a close, as clients know it.
func (s *Server) upgrade(c *fiber.Ctx, conn *conn) error {
	key, err := checkUpgrade(c)
	if err == nil && s.cfg.DisableUpgrades {
		err = ErrBadRequest
	}
	if err != nil {
		return answer(c, err)
	}
	s.hijack(c, key, conn.serveUpgrade, func() {})
	return nil
}

// isUpgrade tells a request to switch to WebSocket.
func isUpgrade(c *fiber.Ctx) bool {
	return hasToken(headerValues(c, fiber.HeaderUpgrade), "websocket")
}

// checkUpgrade checks the rest of RFC 6455, section 4.2.1, and returns the key.
func checkUpgrade(c *fiber.Ctx) (string, *Error) {
	keys := headerValues(c, "Sec-WebSocket-Key")
	versions := headerValues(c, "Sec-WebSocket-Version")
	switch {
	case c.Method() != fiber.MethodGet,
		!c.Request().Header.IsHTTP11(),
		!hasToken(headerValues(c, fiber.HeaderConnection), "upgrade"),
		len(keys) != 1:
		return "", ErrBadRequest
	case len(versions) != 1 || versions[0] != "13":
		return "", errVersion
	}
	if nonce, err := base64.StdEncoding.Strict().DecodeString(keys[0]); err != nil || len(nonce) != 16 {
		return "", ErrBadRequest
	}
	return keys[0], nil
}

// hijack answers with 101 and gives the network connection to serve, on a goroutine
// of its own. When that fails, or something outside this package made another
// answer of it, the client was not told that it may speak WebSocket, and lost is
// called instead.
func (s *Server) hijack(c *fiber.Ctx, key string, serve func(*reader), lost func()) {
	c.Status(fiber.StatusSwitchingProtocols)
	c.Set(fiber.HeaderUpgrade, "websocket")
	c.Set(fiber.HeaderConnection, "Upgrade")
	c.Set("Sec-WebSocket-Accept", acceptKey(key))
	if protocol := firstProtocol(headerValues(c, "Sec-WebSocket-Protocol")); protocol != "" {
		c.Set("Sec-WebSocket-Protocol", protocol)
	}
	request := c.Context() // fasthttp keeps it for us until the hijack handler returns
	// The answer is written here, with all that the app's middlewares made of it:
	// when fasthttp fails to write it, it tells nobody.
	request.HijackSetNoResponse(true)
	request.Hijack(func(nc net.Conn) {
		if !s.enter() {
			lost()
			return
		}
		s.stats.webSockets.Add(1)
		if !s.writeAnswer(nc, &request.Response) {
			lost()
			s.carried()
			return
		}
		if own, early := detach(nc); own != nil {
			go serve(newReader(s, own, early)) // Shutdown waits for it
			return
		}
		// What is left of the request would be held as long as the WebSocket lives:
		// several times what the connection itself needs.
		request.ResetUserValues()
		request.Request, request.Response = fasthttp.Request{}, fasthttp.Response{}
		r := newReader(s, nc, nil)
		r.lent = true
		serve(r)
	})
}

// carried counts a WebSocket that has ended.
func (s *Server) carried() {
	s.stats.webSockets.Add(-1)
	s.leave()
}

// writeAnswer writes a response and reports whether it was 101.
func (s *Server) writeAnswer(nc net.Conn, response *fasthttp.Response) bool {
	switched := response.StatusCode() == fiber.StatusSwitchingProtocols
	if !switched {
		response.SetConnectionClose()
	}
	_ = nc.SetWriteDeadline(time.Now().Add(s.cfg.Timeouts.Write))
	w := answerWriters.Get().(*bufio.Writer)
	defer answerWriters.Put(w)
	w.Reset(nc)
	defer w.Reset(nil)
	return response.Write(w) == nil && w.Flush() == nil && switched
}

var answerWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<10) }}

// acceptKey proves to the client that the server speaks WebSocket.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// firstProtocol selects what the client likes most of the subprotocols it offers:
// some clients give up when none is selected. They mean nothing here.
func firstProtocol(values []string) string {
	for _, v := range values {
		for p := range strings.SplitSeq(v, ",") {
			if p = strings.TrimSpace(p); isToken(p) && len(p) <= 128 {
				return p
			}
		}
	}
	return ""
}

// hasToken looks for a token in a header that is a list.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
