package contribws

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// library runs contrib/socketio as a server of its own, over pipes. So it has
// nothing that belongs to a request or to the network: whatever it keeps, or uses
// too late, is of one client alone.
type library struct {
	cfg    Config
	server *fasthttp.Server
}

func newLibrary(r *route) *library {
	l := &library{cfg: r.cfg}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) error {
		dress(c, c.Context().Conn().(*pipe).conn)
		return c.Next()
	}, socketio.New(l.begin, websocket.Config{RecoverHandler: l.end}))
	l.server = &fasthttp.Server{
		Handler:           app.Handler(),
		KeepHijackedConns: true, // or the library's late goroutines would meet the next client's pipe
		NoDefaultDate:     true,
		ReadBufferSize:    1 << 10,
		WriteBufferSize:   1 << 10,
	}
	return l
}

// dress gives the library's request what is kept of the client's: copies, without
// the session's cookie.
func dress(c *fiber.Ctx, k *conn) {
	hs, h := k.Handshake(), &c.Request().Header
	for name, values := range hs.Header {
		if name == "Connection" || name == "Upgrade" || strings.HasPrefix(name, "Sec-Websocket-") {
			continue // of the real handshake
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

// serve hands a connection to the library, which then goes on by itself: wait waits
// for it.
func (l *library) serve(k *conn) {
	if err := l.server.ServeConn(k.pipe); err != nil {
		l.cfg.Logger.Error("contribws: a connection was not taken for the listeners", "error", err)
		close(k.over)
	}
}

// begin is called by the library for each connection, before it starts goroutines.
func (l *library) begin(kws *socketio.Websocket) {
	k := kws.Locals(localsKey).(*conn)
	k.kws = kws
	own, shared := *kws.Conn, kws.Conn
	shared.Conn = nil // it will be used again for others, and may still be used by them; its maps are not
	kws.Conn = &own
	kws.Locals = func(key string) any { return own.Locals(key) }
	kws.Query, kws.Cookies = own.Query, own.Cookies
	kws.Params = func(key string, def ...string) string {
		if v, ok := k.params[key]; ok || len(def) == 0 {
			return v
		}
		return def[0]
	}
	kws.SetAttribute(tagKey, &tag{k})
	kws.Emit(nil, socketio.PongMessage) // written when the listeners of "connect" have returned
	if l.cfg.Connect == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil { // here, so that the library knows of no panic and cleans up
			logPanic(l.cfg.Logger, "Config.Connect", v)
			k.Close(transport.TransportClose)
		}
	}()
	l.cfg.Connect(kws)
}

// end is deferred by the library around each connection.
func (l *library) end(c *websocket.Conn) {
	k := c.Locals(localsKey).(*conn)
	if v := recover(); v != nil {
		logPanic(l.cfg.Logger, socketio.EventConnect, v)
	}
	k.Close(transport.TransportClose) // if it is the library that ended: the client may come back
	close(k.over)
}

// wait returns when the library has let go of a connection, or is too slow to.
func (l *library) wait(k *conn) {
	t := time.NewTimer(l.cfg.EndTimeout)
	defer t.Stop()
	select {
	case <-k.over:
	case <-t.C:
		l.cfg.Logger.Warn("contribws: the listeners of a connection are still busy after its end", "waited", l.cfg.EndTimeout)
	}
}

// Guard returns fn as a listener whose panics are logged and go no further. The
// library calls the listeners of "disconnect" and "error" on goroutines of its own,
// where a panic ends the process:
//
//	socketio.On(socketio.EventDisconnect, contribws.Guard(onDisconnect))
//
// One that panics in a chain of several listeners keeps the others from their turn,
// unless it is guarded.
func Guard(fn func(payload *socketio.EventPayload)) func(payload *socketio.EventPayload) {
	return func(payload *socketio.EventPayload) {
		defer func() {
			if v := recover(); v != nil {
				log := slog.Default()
				if k := from(payload.Kws); k != nil {
					log = k.route.cfg.Logger
				}
				logPanic(log, payload.Name, v)
			}
		}()
		fn(payload)
	}
}

func logPanic(log *slog.Logger, listener string, v any) {
	log.Error("contribws: a listener panicked", "listener", listener, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}
