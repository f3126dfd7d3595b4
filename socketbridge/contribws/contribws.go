package contribws

import (
	"log/slog"
	"strings"
	"time"

	"github.com/gofiber/contrib/socketio"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Config is the configuration of a route.
type Config struct {
	// Namespace is where the route's sockets are.
	//
	// Optional. Default: "/"
	Namespace string

	// Connect is what the app gave socketio.New: it is called for each connection
	// before the listeners of socketio.EventConnect. The socket is connected and
	// its session loaded.
	//
	// Optional. Default: nil
	Connect func(kws *socketio.Websocket)

	// MaxBehind is how many messages of one connection may wait for the app's
	// listeners of socketio.EventMessage. A client that sends more is read from
	// more slowly.
	//
	// Optional. Default: 256
	MaxBehind int

	// MaxBehindBytes is how many bytes they may have together. One message may
	// always wait.
	//
	// Optional. Default: 1 MiB
	MaxBehindBytes int

	// EndTimeout is how long the end of a connection waits for the listeners of
	// its socketio.EventDisconnect.
	//
	// Optional. Default: 5 * time.Second
	EndTimeout time.Duration

	// Logger receives what operators need to know. It never sees a session ID.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

// ConfigDefault is what New uses where Config says nothing.
var ConfigDefault = Config{
	Namespace:      "/",
	MaxBehind:      256,
	MaxBehindBytes: 1 << 20,
	EndTimeout:     5 * time.Second,
}

func configDefault(config ...Config) Config {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Namespace == "" {
		cfg.Namespace = ConfigDefault.Namespace
	}
	if cfg.MaxBehind <= 0 {
		cfg.MaxBehind = ConfigDefault.MaxBehind
	}
	if cfg.MaxBehindBytes <= 0 {
		cfg.MaxBehindBytes = ConfigDefault.MaxBehindBytes
	}
	if cfg.EndTimeout <= 0 {
		cfg.EndTimeout = ConfigDefault.EndTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}

// localsKey is where a handshake keeps its connection: in the Locals that the
// socket's Handshake and the *socketio.Websocket have in common.
const localsKey = "fiberbridge.contribws"

// New returns the handler of a route whose WebSockets are sockets of io, and for
// the app's socketio.On listeners a *socketio.Websocket each. Mount it where
// socketio.New was, after the session middleware:
//
//	app.Get("/ws/:room", contribws.New(io))
//
// It is to be called before the server takes connections, once for each route.
func New(io *socketbridge.Server, config ...Config) fiber.Handler {
	cfg := configDefault(config...)
	ns := io.Of(cfg.Namespace)
	r := &route{cfg: cfg, plain: ns.Plain()}
	r.library = newLibrary(r)
	ns.OnConnection(func(s *socketbridge.Socket) {
		if k := of(s.Handshake()); k != nil && k.route == r {
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

// route is what the connections of one New share.
type route struct {
	cfg     Config
	plain   transport.Acceptor
	library *library
}

// Accept makes a connection a socket of the namespace, and listens in to what its
// client sends.
func (r *route) Accept(tc transport.Conn) (transport.Receiver, error) {
	k := of(tc.Handshake())
	k.Conn = tc
	recv, err := r.plain.Accept(k)
	if err != nil {
		return nil, err
	}
	k.recv = recv
	return k, nil
}

func of(hs *transport.Handshake) *conn {
	k, _ := hs.Locals[localsKey].(*conn)
	return k
}

// SocketOf returns the socket that a *socketio.Websocket is, or nil for one that no
// route of this package has made. It is safe for concurrent use, also when the
// connection has ended.
func SocketOf(kws *socketio.Websocket) *socketbridge.Socket {
	if k := from(kws); k != nil {
		return k.socket
	}
	return nil
}

// SessionOf returns the session of a *socketio.Websocket, or nil when it shares
// none. In a listener, change it and call Save: what listeners change is not saved
// by itself.
func SessionOf(kws *socketio.Websocket) *fibersession.Handle {
	if s := SocketOf(kws); s != nil {
		return s.Session()
	}
	return nil
}
