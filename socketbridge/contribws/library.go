package contribws

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Between two messages of a connection the library waits for a tick of this: with
// its own 10 ms a connection has 100 messages a second. A tick that nobody waits
// for costs nothing. An app may set another value in main.
func init() { socketio.ReadTimeout = time.Microsecond }

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
		c.Locals(localsKey, c.Context().Conn().(*pipe).conn)
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
	kws.Conn = &websocket.Conn{Conn: kws.Conn.Conn} // the library's own is used again for another
	k.identify(kws)
	if l.cfg.Connect == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil { // here, so that the library knows of no panic and cleans up
			logPanic(l.cfg.Logger, "Config.Connect", v)
			k.socket.Close()
		}
	}()
	l.cfg.Connect(kws)
}

// end is deferred by the library around each connection.
func (l *library) end(c *websocket.Conn) {
	k := c.Locals(localsKey).(*conn)
	if v := recover(); v != nil {
		logPanic(l.cfg.Logger, socketio.EventConnect, v)
		k.socket.Close()
	}
	_ = k.pipe.Close()
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
// library calls listeners on goroutines of its own, where a panic would end the
// process:
//
//	socketio.On(socketio.EventMessage, contribws.Guard(onMessage))
func Guard(fn func(payload *socketio.EventPayload)) func(payload *socketio.EventPayload) {
	return func(payload *socketio.EventPayload) {
		defer func() {
			if v := recover(); v != nil {
				log := slog.Default()
				if kws := payload.Kws; kws != nil && kws.Locals != nil {
					if k, ok := kws.Locals(localsKey).(*conn); ok {
						log = k.route.cfg.Logger
					}
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
