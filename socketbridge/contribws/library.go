package contribws

import (
	"strings"
	"time"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// library runs contrib/socketio as a server of its own, on connections in memory. It holds
// nothing that belongs to a request or to the network: whatever it keeps, or uses too late,
// belongs to a single client.
type library struct {
	connect    func(kws *socketio.Websocket) // Config.Connect, or nil
	endTimeout time.Duration
	notices    *notice.Board
	server     *fasthttp.Server
}

func newLibrary(cfg Config) *library {
	l := &library{connect: cfg.Connect, endTimeout: cfg.EndTimeout, notices: notice.New(cfg.Logger)}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) error {
		copyRequest(c, c.Context().Conn().(*libraryConn).conn)
		return c.Next()
	}, socketio.New(l.onConnect, websocket.Config{RecoverHandler: l.onEnd}))
	l.server = &fasthttp.Server{
		Handler:           app.Handler(),
		KeepHijackedConns: true, // otherwise late goroutines of the library could use the next client's connection
		NoDefaultDate:     true,
		ReadBufferSize:    1 << 10,
		WriteBufferSize:   1 << 10,
	}
	return l
}

// copyRequest copies the client's handshake, without the session's cookie, to the request
// that the library sees.
func copyRequest(c *fiber.Ctx, k *conn) {
	hs, h := k.Handshake(), &c.Request().Header
	for name, values := range hs.Header {
		if name == "Connection" || name == "Upgrade" || strings.HasPrefix(name, "Sec-Websocket-") {
			continue // the library's own handshake has these
		}
		for _, value := range values {
			h.Set(name, value)
		}
	}
	for name, value := range hs.Cookies {
		h.SetCookie(name, value)
	}
	for name, values := range hs.Query {
		for _, value := range values {
			c.Context().QueryArgs().Add(name, value)
		}
	}
	for name, value := range hs.Locals {
		c.Locals(name, value)
	}
	c.Locals(localsKey, k)
}

// serve passes a connection to the library. It returns while the library still serves the
// connection; see waitForEnd.
func (l *library) serve(k *conn) {
	if err := l.server.ServeConn(k.libraryConn); err != nil {
		l.notices.Report(&notAcceptedNotice, "", "error", err)
		close(k.libraryDone)
	}
}

// onConnect is called by the library for each connection, before it starts goroutines.
func (l *library) onConnect(kws *socketio.Websocket) {
	k := kws.Locals(localsKey).(*conn)
	k.kws = kws
	// The library reuses the shared struct for other clients while goroutines of this one may
	// still use it, so kws gets a copy. The maps in it are not reused.
	own, shared := *kws.Conn, kws.Conn
	shared.Conn = nil
	kws.Conn = &own
	kws.Locals = func(key string) any { return own.Locals(key) }
	kws.Query, kws.Cookies = own.Query, own.Cookies
	kws.Params = func(key string, def ...string) string {
		if v, ok := k.params[key]; ok || len(def) == 0 {
			return v
		}
		return def[0]
	}
	kws.SetAttribute(connAttribute, &connHolder{k})
	kws.Emit(nil, socketio.PongMessage) // written after the listeners of "connect" have returned
	if l.connect == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil { // recovered here so that the library cleans up as usual
			reportPanic(l.notices, "Config.Connect", v)
			k.Close(transport.TransportClose)
		}
	}()
	l.connect(kws)
}

// onEnd is deferred by the library around each connection.
func (l *library) onEnd(c *websocket.Conn) {
	k := c.Locals(localsKey).(*conn)
	if v := recover(); v != nil {
		reportPanic(l.notices, socketio.EventConnect, v)
	}
	k.Close(transport.TransportClose) // if the library ended the connection, the client may reconnect
	close(k.libraryDone)
}

// waitForEnd returns when the library has released a connection, or after EndTimeout.
func (l *library) waitForEnd(k *conn) {
	t := time.NewTimer(l.endTimeout)
	defer t.Stop()
	select {
	case <-k.libraryDone:
	case <-t.C:
		l.notices.Report(&stillRunningNotice, "", "waited", l.endTimeout)
	}
}
