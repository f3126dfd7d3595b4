package contribws

import (
	"sync"

	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// conn is one connection: it stands between the transport and the core, and gives
// the library a copy of what the client sends.
type conn struct {
	transport.Conn // set by Accept

	route  *route
	params map[string]string
	recv   transport.Receiver   // set by Accept
	socket *socketbridge.Socket // set before the library hears of the connection
	pipe   *pipe
	over   chan struct{} // closed when the library has let go of the connection

	mu      sync.Mutex
	started bool // the library has the connection, or had
	ended   bool // it must not get it any more
}

func newConn(r *route, params map[string]string) *conn {
	k := &conn{route: r, params: params, over: make(chan struct{})}
	k.pipe = newPipe(k, r.cfg.MaxBehind)
	return k
}

// connected begins the library's part, when the socket was let in. It runs on the
// socket's inbox and returns when the listeners of "connect" have, so that no
// handler runs before them.
func (k *conn) connected(s *socketbridge.Socket) {
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return
	}
	k.socket, k.started = s, true
	k.mu.Unlock()
	k.route.library.serve(k)
	select {
	case <-k.pipe.reading:
	case <-k.over:
	}
}

// Receive gives a message to the listeners and to the core.
func (k *conn) Receive(m transport.Message) error {
	k.pipe.feed(m)
	return k.recv.Receive(m)
}

// Close is the core's or a listener's wish to end the connection: listeners get
// nothing more of what the client sent.
func (k *conn) Close(r transport.Reason) {
	k.pipe.drop()
	k.Conn.Close(r)
}

// Closed ends the socket, and then the library's part.
func (k *conn) Closed(r transport.Reason, cause error) {
	k.mu.Lock()
	k.ended = true
	started := k.started
	k.mu.Unlock()
	k.pipe.hangUp(closeCode(r))
	k.recv.Closed(r, cause)
	if started {
		k.route.library.wait(k)
	}
}

// closeCode is what the listeners of "disconnect" are told (RFC 6455, section 7.4).
func closeCode(r transport.Reason) uint16 {
	switch r {
	case transport.ForcedClose:
		return 1000
	case transport.ShuttingDown, transport.TransportClose:
		return 1001
	default:
		return 1011
	}
}

// identify replaces what the library took from its request by what is kept of the
// client's handshake: copies, without the session's cookie.
func (k *conn) identify(kws *socketio.Websocket) {
	hs := k.Handshake()
	kws.Locals = func(key string) any { return hs.Locals[key] }
	kws.Params = func(key string, def ...string) string {
		v, ok := k.params[key]
		return or(v, ok, def)
	}
	kws.Cookies = func(key string, def ...string) string {
		v, ok := hs.Cookies[key]
		return or(v, ok, def)
	}
	kws.Query = func(key string, def ...string) string {
		all := hs.Query[key]
		if len(all) == 0 {
			return or("", false, def)
		}
		return all[len(all)-1] // as the library has it
	}
}

func or(value string, ok bool, def []string) string {
	if !ok && len(def) > 0 {
		return def[0]
	}
	return value
}
