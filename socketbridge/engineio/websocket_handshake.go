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
)

// isWebSocketRequest reports whether a request asks to switch to WebSocket.
func isWebSocketRequest(c *fiber.Ctx) bool {
	return hasToken(headerValues(c, fiber.HeaderUpgrade), "websocket")
}

// canHijack reports whether a request came over a network connection that fasthttp's server
// can hand over. Fiber's adaptor for net/http and app.Test have none: they would answer with
// 101, and the client could not use it. The server counts the requests of a connection from 1,
// and the connection of app.Test has no port.
func canHijack(c *fiber.Ctx) bool {
	if c.Context().ConnRequestNum() == 0 {
		return false
	}
	tcp, ok := c.Context().RemoteAddr().(*net.TCPAddr)
	return !ok || tcp.Port != 0
}

// warnNoHijack logs, once, that WebSockets are refused.
func (s *Server) warnNoHijack() {
	s.notices.Report(&noHijackNotice, "")
}

// checkWebSocketRequest checks the remaining requirements of RFC 6455, section 4.2.1, and
// returns the Sec-WebSocket-Key.
func checkWebSocketRequest(c *fiber.Ctx) (string, *Error) {
	keys := headerValues(c, "Sec-WebSocket-Key")
	versions := headerValues(c, "Sec-WebSocket-Version")
	switch {
	case c.Method() != fiber.MethodGet,
		!c.Request().Header.IsHTTP11(),
		!hasToken(headerValues(c, fiber.HeaderConnection), "upgrade"),
		c.Request().Header.ContentLength() > 0, c.Request().Header.ContentLength() == -1, // the body would be read as frames
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

// hijack answers with 101 and passes the network connection to serve, on its own goroutine.
// It calls failed instead if the response cannot be written, or if a middleware of the app
// has turned it into something other than 101: the client then does not speak WebSocket.
func (s *Server) hijack(c *fiber.Ctx, key string, serve func(*reader), failed func()) {
	c.Status(fiber.StatusSwitchingProtocols)
	c.Set(fiber.HeaderUpgrade, "websocket")
	c.Set(fiber.HeaderConnection, "Upgrade")
	c.Set("Sec-WebSocket-Accept", acceptKey(key))
	if protocol := firstProtocol(headerValues(c, "Sec-WebSocket-Protocol")); protocol != "" {
		c.Set("Sec-WebSocket-Protocol", protocol)
	}
	request := c.Context() // fasthttp does not reuse it before the hijack handler returns
	// The hijack handler writes the response, with the headers of the app's middlewares.
	// fasthttp would not report it if the write failed.
	request.HijackSetNoResponse(true)
	request.Hijack(func(nc net.Conn) {
		if !s.addRunning() {
			failed()
			return
		}
		s.stats.webSockets.Add(1)
		if !s.writeSwitchResponse(nc, &request.Response) {
			failed()
			s.webSocketEnded()
			return
		}
		if own, early := detach(nc); own != nil {
			go serve(newReader(s, own, early)) // Shutdown waits for it
			return
		}
		// The request would otherwise be held as long as the WebSocket is open. It takes
		// several times the memory of the connection.
		request.ResetUserValues()
		request.Request, request.Response = fasthttp.Request{}, fasthttp.Response{}
		r := newReader(s, nc, nil)
		r.hijacked = true
		serve(r)
	})
}

// webSocketEnded undoes the counts that hijack made for a WebSocket.
func (s *Server) webSocketEnded() {
	s.stats.webSockets.Add(-1)
	s.removeRunning()
}

// writeSwitchResponse writes a response. It returns false if the write failed or if the
// status is not 101.
func (s *Server) writeSwitchResponse(nc net.Conn, response *fasthttp.Response) bool {
	switched := response.StatusCode() == fiber.StatusSwitchingProtocols
	if !switched {
		response.SetConnectionClose()
	}
	_ = nc.SetWriteDeadline(time.Now().Add(s.cfg.Timeouts.Write))
	w := responseWriters.Get().(*bufio.Writer)
	defer responseWriters.Put(w)
	w.Reset(nc)
	defer w.Reset(nil)
	return response.Write(w) == nil && w.Flush() == nil && switched
}

var responseWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<10) }}

// acceptKey returns the Sec-WebSocket-Accept for a Sec-WebSocket-Key.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// firstProtocol returns the first subprotocol that the client offers. Subprotocols mean
// nothing to this server, but some clients fail if none is selected.
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

// hasToken reports whether the values of a list header contain a token, in any case.
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
