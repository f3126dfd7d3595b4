package contribws

import (
	"sync"
	"sync/atomic"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/socketio"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// conn is one connection. It sits between the transport and the socket, and passes a copy of
// the client's messages to the listeners.
type conn struct {
	transport.Conn // set by Accept

	route       *route
	params      map[string]string
	receiver    transport.Receiver   // set by Accept
	socket      *socketbridge.Socket // set before the library gets the connection
	kws         *socketio.Websocket  // set by library.onConnect
	libraryConn *libraryConn
	messages    *messageQueue
	libraryDone chan struct{} // closed when the library has released the connection

	readerStopped atomic.Bool // see library_listeners.go
	disconnected  atomic.Bool // the listeners of "disconnect" were called

	mu      sync.Mutex
	started bool // the library has or had the connection
	ended   bool // the library must not get the connection any more
}

func newConn(r *route, params map[string]string) *conn {
	k := &conn{route: r, params: params, libraryDone: make(chan struct{})}
	k.libraryConn = newLibraryConn(k)
	k.messages = newMessageQueue(r.cfg.MaxBehind, r.cfg.MaxBehindBytes, k.fireMessage)
	return k
}

// connected passes the connection to the library after the socket was accepted. It runs on
// the socket's inbox and returns after the listeners of "connect" have returned, so that no
// event handler runs before them.
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
	case <-k.libraryConn.connected:
		k.messages.start()
	case <-k.libraryDone:
	}
}

// Receive passes a message to the socket, and then to the listeners. The listeners do not
// get a message that exceeds one of the socket's limits.
func (k *conn) Receive(m transport.Message) error {
	if err := k.receiver.Receive(m); err != nil {
		return err
	}
	k.messages.enqueue(m.Data)
	return nil
}

// fireMessage calls the listeners of "message".
func (k *conn) fireMessage(data []byte) {
	defer func() {
		if v := recover(); v != nil {
			reportPanic(k.route.library.notices, socketio.EventMessage, v)
		}
	}()
	k.kws.Fire(socketio.EventMessage, data)
}

// Close is called by the socket or by a listener to end the connection. Messages that wait
// for the listeners are discarded.
func (k *conn) Close(r transport.Reason) {
	k.messages.discard()
	k.Conn.Close(r)
}

// Interrupt implements transport.Interrupter.
func (k *conn) Interrupt() {
	if i, ok := k.receiver.(transport.Interrupter); ok {
		i.Interrupt()
	}
}

// Closed ends the socket, and then the library's use of the connection.
func (k *conn) Closed(r transport.Reason, cause error) {
	k.mu.Lock()
	k.ended = true
	started := k.started
	k.mu.Unlock()
	k.messages.close(func() { k.disconnectLibrary(closeCode(r)) })
	k.receiver.Closed(r, cause)
	if started {
		k.route.library.waitForEnd(k)
	}
}

// disconnectLibrary makes the library's next write fail. This is how the library notices
// that the client has left.
func (k *conn) disconnectLibrary(code int) {
	select {
	case <-k.libraryDone: // the library has ended on its own and would not take the pong
		return
	default:
	}
	k.libraryConn.pongError.Store(&websocket.CloseError{Code: code})
	k.kws.Emit(nil, socketio.PongMessage)
}

// closeCode returns the close code (RFC 6455, section 7.4) that the listeners of
// "disconnect" get.
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
