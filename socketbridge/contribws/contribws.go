package contribws

import (
	"strings"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// localsKey is the key of the handshake's Local that holds the connection. The socket's
// Handshake and the *socketio.Websocket share these Locals.
const localsKey = "fiberbridge.contribws"

// New returns the handler of a route whose WebSockets are sockets of io. The app's
// socketio.On listeners get a *socketio.Websocket for each. Mount it where socketio.New was,
// after the session middleware:
//
//	app.Get("/ws/:room", contribws.New(io))
//
// Call it once for each route, before the server accepts connections. It panics if the
// configuration is not valid.
func New(io *socketbridge.Server, config ...Config) fiber.Handler {
	cfg := configDefault(config...)
	ns := io.Of(cfg.Namespace)
	r := &route{cfg: cfg, plain: ns.Plain()}
	r.library = newLibrary(cfg)
	ns.OnConnection(func(s *socketbridge.Socket) {
		if k := connOfHandshake(s.Handshake()); k != nil && k.route == r {
			k.connected(s)
		}
	})
	serve := io.Engine().Plain(r)
	return func(c *fiber.Ctx) error {
		params := make(map[string]string)
		for name, value := range c.AllParams() {
			params[strings.Clone(name)] = strings.Clone(value)
		}
		c.Locals(localsKey, newConn(r, params))
		return serve(c)
	}
}

// route is shared by the connections of one New.
type route struct {
	cfg     Config
	plain   transport.Acceptor
	library *library
}

// Accept makes a connection a socket of the namespace. The returned Receiver passes the
// client's messages to the socket and to the listeners.
func (r *route) Accept(tc transport.Conn) (transport.Receiver, error) {
	k := connOfHandshake(tc.Handshake())
	k.Conn = tc
	receiver, err := r.plain.Accept(k)
	if err != nil {
		return nil, err
	}
	k.receiver = receiver
	return k, nil
}

func connOfHandshake(hs *transport.Handshake) *conn {
	k, _ := hs.Locals[localsKey].(*conn)
	return k
}

// SocketOf returns the socket of a *socketio.Websocket, or nil if it does not belong to a
// route of this package. It is safe for concurrent use, even after the connection has
// ended.
func SocketOf(kws *socketio.Websocket) *socketbridge.Socket {
	if k := connOf(kws); k != nil {
		return k.socket
	}
	return nil
}

// SessionOf returns the session of a *socketio.Websocket, or nil if it has none. A listener
// that changes the session must call Save: changes in listeners are not saved automatically.
func SessionOf(kws *socketio.Websocket) *fibersession.Handle {
	if s := SocketOf(kws); s != nil {
		return s.Session()
	}
	return nil
}
