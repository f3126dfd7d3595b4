package contribws

import (
	"sync"
	"sync/atomic"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// conn is one connection: it stands between the transport and the core, and gives
// the listeners a copy of what the client sends.
type conn struct {
	transport.Conn // set by Accept

	route  *route
	params map[string]string
	recv   transport.Receiver   // set by Accept
	socket *socketbridge.Socket // set before the library hears of the connection
	kws    *socketio.Websocket  // set by the library's begin
	pipe   *pipe
	heard  *queue
	over   chan struct{} // closed when the library has let go of the connection

	readerEnded  atomic.Bool // see tricks.go
	disconnected atomic.Bool // the listeners of "disconnect" were called

	mu      sync.Mutex
	started bool // the library has the connection, or had
	ended   bool // it must not get it any more
}

func newConn(r *route, params map[string]string) *conn {
	k := &conn{route: r, params: params, over: make(chan struct{})}
	k.pipe = newPipe(k)
	k.heard = newQueue(r.cfg.MaxBehind, r.cfg.MaxBehindBytes, k.fire)
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
	case <-k.pipe.begun:
		k.heard.start()
	case <-k.over:
	}
}

// Receive gives a message to the core, and then to the listeners: what breaks a
// limit of the core's they never hear.
func (k *conn) Receive(m transport.Message) error {
	if err := k.recv.Receive(m); err != nil {
		return err
	}
	k.heard.put(m.Data)
	return nil
}

// fire calls the listeners of one message.
func (k *conn) fire(data []byte) {
	defer k.contain(socketio.EventMessage)
	k.kws.Fire(socketio.EventMessage, data)
}

// contain is deferred where listeners are called: their panic goes no further.
func (k *conn) contain(listener string) {
	if v := recover(); v != nil {
		logPanic(k.route.cfg.Logger, listener, v)
	}
}

// Close is the core's or a listener's wish to end the connection: listeners get
// nothing more of what the client sent.
func (k *conn) Close(r transport.Reason) {
	k.heard.drop()
	k.Conn.Close(r)
}

// Closed ends the socket, and then the library's part.
func (k *conn) Closed(r transport.Reason, cause error) {
	k.mu.Lock()
	k.ended = true
	started := k.started
	k.mu.Unlock()
	k.heard.end(func() { k.hangUp(closeCode(r)) })
	k.recv.Closed(r, cause)
	if started {
		k.route.library.wait(k)
	}
}

// hangUp makes the library's writer fail, which is how it finds that the client
// has gone.
func (k *conn) hangUp(code int) {
	select {
	case <-k.over: // by itself: nobody would take the pong
		return
	default:
	}
	k.pipe.goodbye.Store(&websocket.CloseError{Code: code})
	k.kws.Emit(nil, socketio.PongMessage)
}

// closeCode is what the listeners of "disconnect" are told (RFC 6455, section 7.4).
func closeCode(r transport.Reason) int {
	switch r {
	case transport.ForcedClose:
		return websocket.CloseNormalClosure
	case transport.ShuttingDown, transport.TransportClose:
		return websocket.CloseGoingAway
	default:
		return websocket.CloseInternalServerErr
	}
}
